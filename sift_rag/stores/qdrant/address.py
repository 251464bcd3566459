"""How a server is named: ``http://localhost:6333``, ``https://qdrant.example.org``, ``grpc://localhost:6334``.

``?grpc_port=7334`` says where gRPC is, if not one port above REST; ``?timeout=120`` how many seconds a request may
take; ``?key=none`` that no API key is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from sift_rag.errors import ConfigurationError

REST_PORT = 6333
GRPC_PORT = 6334
DEFAULT_TIMEOUT = 60
"""Seconds. The client's own 5 are too few for a write that waits for a busy server."""

_SCHEMES = ("http", "https", "grpc", "grpcs")
_HOW = "Name a server like http://localhost:6333, https://host or grpc://host:6334."


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server is, and with which key it is asked."""

    scheme: str
    """``http`` or ``https`` (REST, and gRPC where it can be reached), ``grpc`` or ``grpcs`` (gRPC alone)."""
    host: str
    port: int
    grpc_port: int | None
    """None if gRPC is not to be tried."""
    path: str = ""
    """What stands before ``/collections`` in the server's URLs."""
    timeout: int = DEFAULT_TIMEOUT
    api_key: str | None = field(default=None, repr=False)

    @property
    def secure(self) -> bool:
        """Whether what is sent is encrypted."""
        return self.scheme in {"https", "grpcs"}

    @property
    def url(self) -> str:
        """For messages; without the key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return urlunsplit((self.scheme, f"{host}:{self.port}", self.path, "", ""))

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(url: str, *, api_key: str | None = None) -> ServerAddress:
    """The address that a URL names.

    Raises:
        ConfigurationError: it names no server, or holds a user, a password or an unknown parameter.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigurationError(f"The store {_shown(url)!r} is not a valid URL: {error}. {_HOW}") from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError(f"The store {_shown(url)!r} names no server. {_HOW}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "A URL is seen by others: a server's key does not belong in it. Set SIFT_RAG_QDRANT_API_KEY."
        )
    grpc_port, timeout = parameters.pop("grpc_port", None), parameters.pop("timeout", None)
    key = parameters.pop("key", None)
    if parameters or key not in {None, "none"} or parts.fragment:
        raise ConfigurationError(
            f"The store {_shown(url)!r} has more in its URL than ?grpc_port=N, ?timeout=SECONDS and ?key=none. {_HOW}"
        )
    only_grpc = parts.scheme in {"grpc", "grpcs"}
    if only_grpc and (grpc_port is not None or parts.path.strip("/")):
        raise ConfigurationError(f"The store {_shown(url)!r}: a gRPC address is a host and a port. {_HOW}")
    if port is None:
        # https without a port is a proxy's, which seldom passes gRPC on; Qdrant's own ports are written or 6333.
        port = GRPC_PORT if only_grpc else REST_PORT
    path = parts.path.rstrip("/")
    asked = _number(url, "grpc_port", grpc_port)
    return ServerAddress(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        grpc_port=port if only_grpc else asked or (None if path else port + 1),
        path=path,
        timeout=_number(url, "timeout", timeout) or DEFAULT_TIMEOUT,
        api_key=None if key == "none" else api_key,
    )


def _number(url: str, name: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 65536):
        raise ConfigurationError(f"The store {_shown(url)!r}: {name} must be a number from 1 to 65535, not {value!r}.")
    return int(value)


def _shown(url: str) -> str:
    """The URL without what may be a password."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
