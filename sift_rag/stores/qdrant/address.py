"""Addresses of servers: ``http://localhost:6333``, ``https://qdrant.example.org``, ``grpc://localhost:6334``.

``?grpc_port=7334`` sets the gRPC port, by default one above REST's; ``?timeout=120`` the seconds per request;
``?key=none`` withholds the API key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from sift_rag.errors import ConfigurationError, Remedy
from sift_rag.hosts import check_api_key, is_loopback

REST_PORT = 6333
GRPC_PORT = 6334
DEFAULT_TIMEOUT = 60
"""Seconds per request. The client's own 5 are too few for a write that waits for a busy server."""

_SCHEMES = ("http", "https", "grpc", "grpcs")
_HOW = "Expected a URL like http://localhost:6333, https://host or grpc://host:6334."


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The address of a server, and the key to it."""

    scheme: str
    """One of ``http`` or ``https`` (REST, and gRPC where it can be reached), ``grpc`` or ``grpcs`` (gRPC alone)."""
    host: str
    port: int
    grpc_port: int | None
    """Port of gRPC; None if gRPC is not to be tried."""
    path: str = ""
    """Prefix of ``/collections`` in the server's URLs."""
    timeout: int = DEFAULT_TIMEOUT
    """Seconds that a request may take."""
    api_key: str | None = field(default=None, repr=False)

    @property
    def secure(self) -> bool:
        """True if the connection is encrypted."""
        return self.scheme in {"https", "grpcs"}

    @property
    def url(self) -> str:
        """URL for messages, without the key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return urlunsplit((self.scheme, f"{host}:{self.port}", self.path, "", ""))

    @property
    def loopback(self) -> bool:
        """True if the server is on this machine."""
        return is_loopback(self.host)


def parse_address(url: str, *, api_key: str | None = None) -> ServerAddress:
    """Return the address of a URL.

    Raises:
        ConfigurationError: it is not a server's, or holds a user, a password or an unknown parameter;
            or ``api_key`` cannot be sent.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConfigurationError(f"The store {_shown(url)!r} is not a valid URL: {error}. {_HOW}") from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError(f"The store {_shown(url)!r} is not a server. {_HOW}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "The store's URL holds a user or a password. URLs end up in logs and histories, so a server's key does not "
            "belong there.",
            remedy=Remedy("qdrant-key"),
        )
    check_api_key(api_key, f"the store {_shown(url)}")
    grpc_port, timeout = parameters.pop("grpc_port", None), parameters.pop("timeout", None)
    key = parameters.pop("key", None)
    if parameters or key not in {None, "none"} or parts.fragment:
        raise ConfigurationError(
            f"The store {_shown(url)!r} has parameters other than ?grpc_port=N, ?timeout=SECONDS and ?key=none. {_HOW}"
        )
    only_grpc = parts.scheme in {"grpc", "grpcs"}
    if only_grpc and (grpc_port is not None or parts.path.strip("/")):
        raise ConfigurationError(f"The store {_shown(url)!r}: a gRPC address is a host and a port. {_HOW}")
    if port is None:
        # https without a port is mostly a proxy, which seldom forwards gRPC; Qdrant's own port is 6333.
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
    """Return the URL without a possible password."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
