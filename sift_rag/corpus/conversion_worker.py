"""The child process that reads files for a ``ConversionPool``: one after the other, until its input ends.

It answers a request (path, options) with a ``SourceDocument``, split into passages if that is asked for, or with the
exception that says why there is none. What happens to it, by a file that was made to do harm or by chance, happens to
nothing else.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sift_rag.corpus.documents import SourceDocument, read_document
from sift_rag.corpus.more_time import grant_with
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.passages import split_document
from sift_rag.corpus.planning import revision_of
from sift_rag.errors import SiftRagError, UnreadableDocument

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MEMORY_LIMIT = 2 << 30
"""Bytes that a conversion may allocate. Far more than a file of 64 MB needs, far less than a machine has."""

GRACE = 5
"""Seconds after which a child ends itself, if a file takes longer than it may and its parent is gone."""

_LENGTH = struct.Struct("!Q")
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


SPLIT_CHARACTERS = 1_000_000
"""Length of the longest text that is split here: about a second's work. A longer one is split as it is written, so that
not all of its passages are in memory at once."""


class Splitting(NamedTuple):
    """The way to split a file after it was read."""

    source: str
    max_tokens: int
    held: str
    """Revision that the store holds: a document of this revision is not split."""


class Request(NamedTuple):
    """A file to convert, and perhaps to split."""

    path: Path
    options: IngestOptions
    splitting: Splitting | None = None
    tokenizer: str | None = None
    """The tokenizer as JSON, with the first request that needs it."""


class Answer(NamedTuple):
    """The answer to a request: the document, or the exception that says why there is none."""

    result: SourceDocument | SiftRagError
    out_of_memory: bool = False


class MoreTime(NamedTuple):
    """The child's word that the file being converted may take more seconds than it was given."""

    seconds: float


def send(stream: IO[bytes], message: object) -> None:
    """Write a message, after its length in bytes."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message.

    Raises:
        EOFError: the other side has ended.
    """
    [length] = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return pickle.loads(_exactly(stream, length))  # noqa: S301 - of a process of our own


def peak_memory() -> int:
    """Return the most memory that this process has used, in bytes; 0 if that is unknown.

    On Linux it begins with what the parent used when it started the process.
    """
    if sys.platform == "win32":
        return 0
    import resource

    return bytes_of(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def bytes_of(maxrss: int) -> int:
    """Return the bytes that ``ru_maxrss`` counts, whose unit depends on the system."""
    return maxrss * (1 if sys.platform == "darwin" else 1024)


def serve(parent: int) -> None:
    """Answer requests on stdin until it ends.

    Args:
        parent: id of the process that asks.
    """
    _live_no_longer_than(parent)
    _limit_memory()
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get among the answers
    grant_with(lambda seconds: _take_more_time(answers, seconds))
    send(answers, peak_memory())  # ready
    tokenizer: Tokenizer | None = None
    while True:
        try:
            request: Request = receive(requests)
        except EOFError:
            return
        _set_alarm(int(request.options.file_timeout) + GRACE)
        if request.tokenizer is not None:
            tokenizer = _tokenizer_of(request.tokenizer)
        answer = _convert(request, tokenizer)
        _set_alarm(0)
        try:
            send(answers, answer)
        except MemoryError:
            send(answers, Answer(UnreadableDocument(), out_of_memory=True))


def _convert(request: Request, tokenizer: Tokenizer | None) -> Answer:
    try:
        document = read_document(request.path, request.options)
        document = replace(document, sections=list(document.sections))
        if request.splitting is not None and tokenizer is not None:
            document = _split(document, request.splitting, request.options, tokenizer)
        return Answer(document)
    except SiftRagError as error:
        return Answer(error, _is_of_memory(error))
    except Exception as error:  # noqa: BLE001 - a defect of a reader costs one file, with the reason in the report
        return Answer(UnreadableDocument(f"conversion failed: {type(error).__name__}: {error}"), _is_of_memory(error))


def _split(
    document: SourceDocument, splitting: Splitting, options: IngestOptions, tokenizer: Tokenizer
) -> SourceDocument:
    """Return the document with its passages; without, if the store has them or they are too many.

    What goes wrong here goes wrong again where the parent splits the document, and is told there.
    """
    revision = revision_of(document.content_hash, options, document.pages_without_text)
    length = sum(len(section.text) for section in document.sections)
    if revision == splitting.held or length > SPLIT_CHARACTERS:
        return document
    try:
        passages = split_document(
            document, splitting.source, tokenizer=tokenizer, max_tokens=splitting.max_tokens, revision=revision
        )
        return replace(document, passages=list(passages))
    except (SiftRagError, ValueError):
        return document


def _tokenizer_of(text: str) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(text)


def _is_of_memory(error: BaseException) -> bool:
    """Return True if an exception was raised for want of memory, or from one that was."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MemoryError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _live_no_longer_than(parent: int) -> None:
    """Let Ctrl-C be the parent's business, and end with it, even in the middle of a file."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if sys.platform != "win32" and os.getppid() != parent:  # it died before that
        os._exit(1)


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _take_more_time(answers: IO[bytes], seconds: float) -> None:
    """Tell the parent that a file may take longer, and put off the end of this process by as much."""
    send(answers, MoreTime(seconds))
    if sys.platform != "win32":
        signal.alarm(signal.alarm(0) + math.ceil(seconds))


def _set_alarm(seconds: int) -> None:
    """End this process after so many seconds, whatever it is doing then; 0: do not."""
    if sys.platform != "win32":
        signal.alarm(seconds)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
