"""A stub of a Qdrant server on the loopback interface, HTTP and gRPC, in this process.

It stores and answers: behind both protocols is the client's in-memory mode, with aliases, collection metadata, errors
and limits as the server has them. It can be told to fail (``faults``), and it remembers who asked what (``requests``).

It is a stub. What passes on it was not tested against Qdrant: for that the same tests run against a real server
(``SIFT_RAG_TEST_QDRANT_URL``). Nothing is written to a disk; payload indexes, quantization, shards and replicas are
accepted, shown again, and have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event
from types import TracebackType
from typing import Self, TypeVar

from tests.qdrant_stub.engine import OPEN_OPERATIONS, READ_OPERATIONS, Engine
from tests.qdrant_stub.faults import FaultList, Refused, Request, Reset, Truncated
from tests.qdrant_stub.rest import RestFront
from tests.qdrant_stub.rpc import RpcFront

Answer = TypeVar("Answer")

MAX_BODY_BYTES = 32 * 2**20
"""Largest size of a request over HTTP, as the server has it; over gRPC there is no limit."""


class QdrantStub:
    """Answers from its making until ``close``.

    The client asks for the version in a thread of its own when it is made: give it ``check_compatibility=False``, or
    name in a fault what it is ``on``.

    Args:
        api_key: All requests but those for the version and the health must bring it. None: no key is asked.
        read_only_api_key: The key of those who may only read.
        max_body_bytes: See ``MAX_BODY_BYTES``.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        read_only_api_key: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.api_key = api_key
        self.read_only_api_key = read_only_api_key
        self.max_body_bytes = max_body_bytes
        self.faults = FaultList()
        self.requests: list[Request] = []
        self.engine = Engine()
        self.closing = Event()
        self._in_flight = 0
        self._settled = Condition()
        self._rest = RestFront(self)
        self._rpc = RpcFront(self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._rest.port}"

    @property
    def port(self) -> int:
        return self._rest.port

    @property
    def grpc_port(self) -> int:
        return self._rpc.port

    @property
    def version(self) -> str:
        """Version that the stub reports; set another for a server that does not fit the client."""
        return self.engine.version

    @version.setter
    def version(self, version: str) -> None:
        self.engine.version = version

    def operations(self) -> list[str]:
        """Names of the requests so far, but for those for the version and the health."""
        return [request.operation for request in self.requests if request.operation not in OPEN_OPERATIONS]

    def settle(self) -> None:
        """Wait until no request is under way; not to be used while one hangs."""
        with self._settled:
            self._settled.wait_for(lambda: not self._in_flight)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Both ports are closed while the block runs, and all connections reset; what is stored stays."""
        self._rest.close_port()
        self._rpc.close_port()
        try:
            yield
        finally:
            self._rest.open_port()
            self._rpc.open_port()

    def perform(self, request: Request, key: str | None, apply: Callable[[Engine], Answer]) -> Answer:
        """Log, check the key, fail as told, or answer. Called by the fronts.

        Raises:
            Refused: the answer is an error.
            Reset, Truncated: there is none.
        """
        with self._settled:
            self.requests.append(request)
            self._in_flight += 1
        try:
            return self._perform(request, key, apply)
        finally:
            with self._settled:
                self._in_flight -= 1
                self._settled.notify_all()

    def _perform(self, request: Request, key: str | None, apply: Callable[[Engine], Answer]) -> Answer:
        self._check_key(request.operation, key)
        fault = self.faults.take(request)
        match fault.kind if fault else None:
            case "status":
                raise Refused(fault.status, fault.message, retry_after=fault.retry_after)
            case "hang":
                self.closing.wait()
                raise Reset
            case "reset_before":
                raise Reset
            case "delay":
                self.closing.wait(fault.seconds)
        answer = self._apply(apply)
        match fault.kind if fault else None:
            case "reset_after":
                raise Reset
            case "truncate":
                raise Truncated(answer)
        return answer

    def _apply(self, apply: Callable[[Engine], Answer]) -> Answer:
        with self.engine.lock:
            try:
                return apply(self.engine)
            except (ValueError, TypeError) as error:  # what the in-memory mode says of a request that makes no sense
                raise Refused(400, f"Wrong input: {str(error).removeprefix('Wrong input: ')}") from error

    def _check_key(self, operation: str, key: str | None) -> None:
        if self.api_key is None or operation in OPEN_OPERATIONS or key == self.api_key:
            return
        if key is None:
            raise Refused(401, "Must provide an API key or an Authorization bearer token")
        if self.read_only_api_key is None or key != self.read_only_api_key:
            raise Refused(401, "Invalid API key or JWT")
        if operation not in READ_OPERATIONS:
            raise Refused(403, "Forbidden: Global manage access is required")

    def close(self) -> None:
        """Close both ports, reset what is open, and end all threads."""
        self.closing.set()
        self._rest.close()
        self._rpc.close()
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
