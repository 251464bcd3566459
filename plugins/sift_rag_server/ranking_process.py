"""The part of a ranking that runs in a process of its own. Imports nothing heavy, so that it can set what numpy reads.

A process ends when the server does, however that ends, and leaves signals of the terminal to the server.
"""

from __future__ import annotations

import os
import signal
from multiprocessing import parent_process
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sift_rag_server.ranking import EmbedderFacts, Ranking

_facts: EmbedderFacts | None = None


def begin(name: str, dimension: int, max_tokens: int, tokenizer: str) -> None:
    """Prepare this process for rankings.

    Args:
        name: the embedder's.
        dimension: the embedder's.
        max_tokens: the embedder's.
        tokenizer: the embedder's, in JSON.
    """
    global _facts  # noqa: PLW0603 - the executor's initializer can leave what it made nowhere else
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # there are as many processes as are of use
    from tokenizers import Tokenizer

    from sift_rag_server.ranking import EmbedderFacts

    _facts = EmbedderFacts(name, dimension, max_tokens, Tokenizer.from_str(tokenizer))


def ready() -> bool:
    """Return True: the process is prepared."""
    return _facts is not None


def reply(ranking: Ranking) -> bytes | None:
    """Return the body of a reply; None if there is an error, which a thread of the server will find again."""
    try:
        return None if _facts is None else ranking.reply(_facts)
    except Exception:  # noqa: BLE001 - not every exception can be sent to another process
        return None


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
