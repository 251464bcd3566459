"""Check addresses and keys of servers, and tell this machine's own host names from others."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from sift_rag.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Return True if a host name or address, in brackets or not, always means this machine."""
    name = host.removeprefix("[").removesuffix("]").casefold()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_http_address(url: str) -> bool:
    """Return True if it is an address of http or https with a host, and a port that is a number if it has one."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and _in_one_piece(url)
    except ValueError:
        return False


def check_api_key(key: str | None, of: str) -> None:
    """Check that a key can be sent in a header; the error does not show it, while those of HTTP libraries do.

    Args:
        key: None or empty for no key.
        of: whose key it is, in words.

    Raises:
        ConfigurationError: a character is not printable ASCII, or a blank stands at an end.
    """
    if key and not (key.isascii() and key.isprintable() and key == key.strip()):
        raise ConfigurationError(
            f"The API key of {of} must be printable ASCII, without a blank or a line break around it, or it cannot be "
            "sent."
        )


def _in_one_piece(url: str) -> bool:
    return url.isprintable() and not any(map(str.isspace, url))
