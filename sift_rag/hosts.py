"""Tell this machine's own host names from others."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return True if a host name or address, in brackets or not, always means this machine."""
    name = host.removeprefix("[").removesuffix("]").casefold()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
