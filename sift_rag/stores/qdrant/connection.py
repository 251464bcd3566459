"""One connection to a server: its protocol, its retries, and its errors as ours.

Every request can be repeated with the same result, so one that failed for a temporary reason is retried, with
growing pauses. The client's own helpers retry nothing, or everything at once.
"""

from __future__ import annotations

import logging
import random
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

from qdrant_client import QdrantClient

from sift_rag.errors import StoreConflict, StoreError, StoreUnreachable
from sift_rag.stores.qdrant.address import ServerAddress
from sift_rag.stores.qdrant.errors import CLIENT_ERRORS, RequestFailure, failure_of

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)

_PING_SECONDS = 5
_PROBE_SECONDS = 1.0
_OLDEST = (1, 16)
"""First version that keeps metadata of collections."""
_ADDS_VECTORS = (1, 18)
"""First version that can add a vector to an existing collection."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Number of attempts of a request, and the pauses between them."""

    attempts: int = 6
    """Number of attempts, the first included."""
    first_pause: float = 0.25
    """Seconds before the second attempt; doubles each time. Each pause is shortened by a random part, up to a half."""
    longest_pause: float = 8.0
    """Seconds that a pause takes at most."""
    longest_wait: float = 60.0
    """Seconds that a server may ask to wait; if it asks for more, the request fails."""
    sleep: Callable[[float], None] = time.sleep
    """Function that waits."""

    def pause(self, attempt: int, failure: RequestFailure) -> float:
        """Return the seconds before attempt ``attempt`` + 1 (the first is 1)."""
        pause = min(self.longest_pause, self.first_pause * 2.0 ** (attempt - 1))
        return max(pause * random.uniform(0.5, 1.0), failure.retry_after or 0.0)  # noqa: S311 - against a thundering herd


ONCE = Retrying(attempts=1)


class Connection:
    """An open client. Safe to use from several threads."""

    def __init__(
        self,
        client: QdrantClient,
        *,
        where: str,
        over_grpc: bool = False,
        has_key: bool = False,
        timeout: int = 60,
        retrying: Retrying | None = None,
    ) -> None:
        self.client = client
        self.where = where
        """The server, for messages: ``Qdrant at http://...``."""
        self.over_grpc = over_grpc
        self.timeout = timeout
        self._has_key = has_key
        self._retrying = retrying or Retrying()
        self.server: tuple[int, int] | None = None
        """Major and minor version of the server; None if unknown."""
        self._closed = False

    def call(self, request: Callable[[], _T], label: str, *, retrying: Retrying | None = None) -> _T:
        """Return the answer to a request, after as many attempts as it takes.

        Args:
            request: calls the client; may be repeated.
            label: subject of the request, for messages: ``The collection 'news'``.
            retrying: replaces the connection's own policy.

        Raises:
            SiftRagError: it failed for good: see ``errors.py``.
        """
        retrying = retrying or self._retrying
        attempt = 0
        while True:
            self.check_open(label)
            attempt += 1
            try:
                return request()
            except CLIENT_ERRORS as error:
                failure = failure_of(error, where=self.where, label=label, has_key=self._has_key)
                asked = failure.retry_after or 0.0
                if not failure.transient or attempt >= retrying.attempts or asked > retrying.longest_wait:
                    raise failure.error from error
                pause = retrying.pause(attempt, failure)
                _LOG.debug("attempt %d failed (%s); the next one in %.2f s", attempt, failure.error, pause)
            retrying.sleep(pause)

    @property
    def adds_vectors(self) -> bool:
        """True if server and client can add a vector to an existing collection; assumed of an unknown version."""
        return (self.server is None or self.server >= _ADDS_VECTORS) and hasattr(self.client, "create_vector_name")

    def check_open(self, label: str) -> None:
        """Raise ``StoreError`` after ``close``."""
        if self._closed:
            raise StoreError(f"{label} is closed. Open it again to use it.")

    def close(self) -> None:
        """Release the sockets; closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self.client.close()


def connect(address: ServerAddress, *, retrying: Retrying | None = None) -> Connection:
    """Return a connection to a server that has answered.

    Uses gRPC if the server answers there, else REST.

    Raises:
        StoreUnreachable: it does not answer.
        StoreConflict: it is too old, or of another major version than the client.
        ConfigurationError: it wants another key.
    """
    warn_of_open_key(address)
    if address.grpc_port is not None and (address.scheme.startswith("grpc") or _listens(address)):
        connection = _open(address, over_grpc=True, retrying=retrying)
        try:
            _greet(connection)
        except StoreUnreachable:
            connection.close()
            if address.scheme.startswith("grpc"):
                raise
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    connection = _open(address, over_grpc=False, retrying=retrying)
    try:
        _greet(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def warn_of_open_key(address: ServerAddress) -> None:
    """Warn if a key would be sent unencrypted to another machine."""
    if address.api_key is not None and not address.secure and not address.loopback:
        _LOG.warning(
            "The API key is sent to %s unencrypted: anyone on the network path can read it. Use https:// (or "
            "grpcs://).",
            address.url,
        )


def _open(address: ServerAddress, *, over_grpc: bool, retrying: Retrying | None) -> Connection:
    options: dict[str, Any] = {}
    if over_grpc:
        options["grpc_options"] = {
            "grpc.initial_reconnect_backoff_ms": 250,
            "grpc.max_reconnect_backoff_ms": 2000,
            "grpc.use_local_subchannel_pool": 1,  # so that a refusal met by another connection does not delay this one
        }
        options["pool_size"] = 1
    if address.loopback:  # a proxy is for other machines
        options["trust_env"] = False
        options.setdefault("grpc_options", {})["grpc.enable_http_proxy"] = 0
    # The key is sent as a header: passed as api_key, the client warns of it in its own way, on loopback too.
    client = QdrantClient(
        host=address.host,
        port=address.port,
        grpc_port=address.grpc_port or address.port,
        prefer_grpc=over_grpc,
        https=address.secure,
        prefix=address.path or None,
        timeout=address.timeout,
        headers={} if address.api_key is None else {"api-key": address.api_key},
        check_compatibility=False,
        **options,
    )
    return Connection(
        client,
        where=f"Qdrant at {address.url}",
        over_grpc=over_grpc,
        has_key=address.api_key is not None,
        timeout=address.timeout,
        retrying=retrying,
    )


def _greet(connection: Connection) -> None:
    """Ask for the server's version, remember it, and raise or warn if it does not fit."""
    version_there = connection.call(lambda: connection.client.info().version, connection.where, retrying=ONCE)
    _check_version(version_there, connection.where)
    connection.server = _numbers(version_there)


def _listens(address: ServerAddress) -> bool:
    """Return True if anything listens at the gRPC port."""
    try:
        socket.create_connection((address.host, address.grpc_port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _check_version(server: str, where: str) -> None:
    """Raise ``StoreConflict`` for a server that is too old or too new; warn of one that the client was not made for."""
    theirs, ours = _numbers(server), _numbers(version("qdrant-client"))
    if theirs is None or ours is None:
        _LOG.warning("%s reports its version as %r, which cannot be read: it may not be supported.", where, server)
        return
    if theirs[0] != ours[0] or theirs < _OLDEST:
        raise StoreConflict(
            f"{where} is Qdrant {server}; expected is {_OLDEST[0]}.{_OLDEST[1]} or newer, of major version {ours[0]}. "
            "Upgrade the server, one minor version at a time, or install a sift-rag and qdrant-client that fit it."
        )
    if abs(theirs[1] - ours[1]) > 1:
        _LOG.warning(
            "%s is Qdrant %s, and this qdrant-client is for %d.%d: they are compatible within one minor version.",
            where,
            server,
            *ours,
        )


def _numbers(text: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
