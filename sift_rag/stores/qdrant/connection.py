"""One connection to a server: which protocol it speaks, what is tried again, what its failures become.

Everything that is asked of a server can be asked twice with the same result, so a request that failed for a reason that
may pass is repeated, with growing pauses. The client's own helpers repeat nothing, or everything at once.
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
from sift_rag.stores.qdrant.errors import CLIENT_ERRORS, RequestFailure, fault_of

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)

_PING_SECONDS = 5
_PROBE_SECONDS = 1.0
_OLDEST = (1, 16)
"""The first version that keeps metadata of collections."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often, and after which pauses, a request is repeated."""

    attempts: int = 6
    first_pause: float = 0.25
    """Seconds; it doubles each time. Of each pause a random part, up to a half, is left out."""
    longest_pause: float = 8.0
    longest_wait: float = 60.0
    """Seconds that a server may ask to wait; for more, it is an error."""
    sleep: Callable[[float], None] = time.sleep

    def pause(self, attempt: int, fault: RequestFailure) -> float:
        """Seconds before attempt ``attempt`` + 1 (the first is 1)."""
        pause = min(self.longest_pause, self.first_pause * 2.0 ** (attempt - 1))
        return max(pause * random.uniform(0.5, 1.0), fault.retry_after or 0.0)  # noqa: S311 - so that not all come back at once


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
        """The server, for messages."""
        self.over_grpc = over_grpc
        self.timeout = timeout
        self._has_key = has_key
        self._retrying = retrying or Retrying()
        self._closed = False

    def call(self, request: Callable[[], _T], what: str, *, retrying: Retrying | None = None) -> _T:
        """What the request gives, after as many attempts as it takes.

        Args:
            request: asks the client; may be repeated.
            what: what it is about, for messages: ``The collection 'news'``.
            retrying: in place of the connection's own.

        Raises:
            SiftRagError: it failed for good; see ``faults.py``.
        """
        retrying = retrying or self._retrying
        attempt = 0
        while True:
            self.check_open(what)
            attempt += 1
            try:
                return request()
            except CLIENT_ERRORS as error:
                fault = fault_of(error, where=self.where, what=what, has_key=self._has_key)
                asked = fault.retry_after or 0.0
                if not fault.transient or attempt >= retrying.attempts or asked > retrying.longest_wait:
                    raise fault.error from error
                pause = retrying.pause(attempt, fault)
                _LOG.debug("attempt %d failed (%s); the next one in %.2f s", attempt, fault.error, pause)
            retrying.sleep(pause)

    def check_open(self, what: str) -> None:
        """Raise ``StoreError`` after ``close``."""
        if self._closed:
            raise StoreError(f"{what} is closed. Open it again to use it.")

    def close(self) -> None:
        """Release the sockets; closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self.client.close()


def connect(address: ServerAddress, *, retrying: Retrying | None = None) -> Connection:
    """A connection to a server that has answered.

    Everything goes over gRPC if the server answers there, else over REST.

    Raises:
        StoreUnreachable: it does not answer.
        StoreConflict: it is too old, or of another major version than the client.
        ConfigurationError: it asks for another key.
    """
    warn_of_open_key(address)
    if address.grpc_port is not None and (address.scheme.startswith("grpc") or _listens(address)):
        connection = _open(address, over_grpc=True, retrying=retrying)
        try:
            _check_version(_ping(connection), connection.where)
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
        _check_version(_ping(connection), connection.where)
    except BaseException:
        connection.close()
        raise
    return connection


def warn_of_open_key(address: ServerAddress) -> None:
    """Warn if a key would go to another machine for anyone on the way to read."""
    if address.api_key is not None and not address.secure and not address.loopback:
        _LOG.warning(
            "The API key goes to %s unencrypted: anyone on the way can read it. Use https:// (or grpcs://).",
            address.url,
        )


def _open(address: ServerAddress, *, over_grpc: bool, retrying: Retrying | None) -> Connection:
    options: dict[str, Any] = {}
    if over_grpc:
        options["grpc_options"] = {
            "grpc.initial_reconnect_backoff_ms": 250,
            "grpc.max_reconnect_backoff_ms": 2000,
            "grpc.use_local_subchannel_pool": 1,  # a refusal that another connection met does not make this one wait
        }
        options["pool_size"] = 1
    if address.loopback:  # a proxy is for other machines
        options["trust_env"] = False
        options.setdefault("grpc_options", {})["grpc.enable_http_proxy"] = 0
    # The key goes as a header: given as such, the client warns of it in its own way, on loopback too.
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


def _ping(connection: Connection) -> str:
    """The server's version."""
    return connection.call(lambda: connection.client.info().version, connection.where, retrying=ONCE)


def _listens(address: ServerAddress) -> bool:
    """Whether anything does at the gRPC port."""
    try:
        socket.create_connection((address.host, address.grpc_port), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _check_version(server: str, where: str) -> None:
    """Refuse a server that cannot do what is needed; warn of one that the client was not made for."""
    theirs, ours = _numbers(server), _numbers(version("qdrant-client"))
    if theirs is None or ours is None:
        _LOG.warning("%s says %r of its version, which tells nothing: go on with care.", where, server)
        return
    if theirs[0] != ours[0] or theirs < _OLDEST:
        raise StoreConflict(
            f"{where} is Qdrant {server}; expected is {_OLDEST[0]}.{_OLDEST[1]} or newer, of major version {ours[0]}. "
            "Upgrade the server, one minor version at a time, or install the sift-rag and qdrant-client that fit it."
        )
    if abs(theirs[1] - ours[1]) > 1:
        _LOG.warning(
            "%s is Qdrant %s, and this qdrant-client is for %d.%d: they are made to fit within one minor version.",
            where,
            server,
            *ours,
        )


def _numbers(text: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
