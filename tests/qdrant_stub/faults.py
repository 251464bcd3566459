"""Faults that a stub of a Qdrant server is told to make, and requests that it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import Lock
from typing import Literal

Kind = Literal["status", "delay", "hang", "reset_before", "reset_after", "truncate"]


@dataclass
class Fault:
    """A fault that strikes the next ``times`` matching requests, after ``skip`` of them went through.

    Of several faults for one request the first in the list strikes; one that is used up is passed over.

    ``kind``:
        ``status``: refused with ``status``, ``message`` and ``retry_after``; not applied. Over gRPC with the code that
            Qdrant gives in place of the HTTP status.
        ``delay``: applied and answered, but ``seconds`` later (earlier if the stub is closed).
        ``hang``: never applied, never answered: the connection stays open until the stub is closed.
        ``reset_before``: the connection is reset before the request is applied.
        ``reset_after``: the request is applied, and the connection reset before the answer.
        ``truncate``: the request is applied, and the connection ends amid the answer.

    Over gRPC a reset ends all connections of the stub, for they share one port.
    """

    kind: Kind
    on: str = "*"
    """A pattern of ``Request.operation`` or of ``Request.target``."""
    times: int = 1
    skip: int = 0
    status: int = 503
    message: str = "a fault of the stub"
    retry_after: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Request:
    """One request, as it arrived."""

    protocol: Literal["rest", "grpc"]
    operation: str
    """The same word on both protocols: ``upsert``, ``query``, ``scroll``, ...; see ``engine.py``."""
    target: str
    """``PUT /collections/news/points``, or ``/qdrant.Points/Upsert``."""
    collection: str = ""
    points: int = 0
    """Points to be written, or ids that were named."""
    wait: bool | None = None


class Refused(Exception):
    """The request is answered with an error, as an HTTP status."""

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Reset(Exception):
    """The connection is reset in place of an answer."""


class Truncated(Exception):
    """The answer breaks off."""

    def __init__(self, answer: object) -> None:
        super().__init__("the answer breaks off")
        self.answer = answer


class FaultList(list[Fault]):
    """The faults to come; ``append`` one to make it happen."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def take(self, request: Request) -> Fault | None:
        """Return the fault that strikes this request, counted down."""
        with self._lock:
            for fault in self:
                if not (fnmatchcase(request.operation, fault.on) or fnmatchcase(request.target, fault.on)):
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault
            return None
