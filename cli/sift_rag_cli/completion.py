"""Complete the names of collections, of sources and of MCP clients in a shell.

A completion reads manifests and records of a store in a folder, and nothing else: no engine, no model. It has no names
for a store at a URL, which may not answer, and none if anything is wrong: the command itself will tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import typer

from sift_rag import defaults
from sift_rag.errors import SiftRagError
from sift_rag_cli.output import one_line

if TYPE_CHECKING:
    from sift_rag.protocols import Database

_MOST = 200
"""Maximum number of names offered."""

PROGRAM = "SIFT_RAG"
"""The program's name in the variables of a completion."""

_SPECIAL = re.compile(r"[\s\\'\"`$&|;<>()*?\[\]{}!#~]")
_SPECIAL_IN_QUOTES = re.compile(r'[\\"`$]')


def collection_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the collections whose names begin so."""
    found: list[str] = []
    with _quietly():
        database = _database(context)
        names = (info.name for info in database.collections()) if database else ()
        found = [_Name(name) for name in names if name.startswith(incomplete)]
    return found[:_MOST]


def source_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the sources of the collection whose names begin so; none that a shell could not show on one line."""
    found: list[str] = []
    with _quietly():
        database = _database(context)
        if database is None:
            return []
        with closing(database.documents(_given(context, "collection") or defaults.COLLECTION)) as records:
            names = (document.source for document in records.documents(incomplete))
            found = list(islice((_Name(name) for name in names if one_line(name) == name), _MOST))
    return found


def client_words(context: typer.Context, incomplete: str) -> list[str]:
    """Return what may follow ``sift-rag mcp``: ``install``, and then the clients that a server can be added to."""
    from sift_rag_cli.mcp_clients import CLIENTS

    given = list(context.params.get("words") or ())
    offered = {(): ["install"], ("install",): list(CLIENTS)}.get(tuple(given), [])
    return [word for word in offered if word.startswith(incomplete)]


class _Name(str):
    """A name that bash reads as one word wherever it is inserted: typer formats what it hands to a shell.

    Other shells quote what they insert by themselves.
    """

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        if os.environ.get(f"_{PROGRAM}_COMPLETE") != "complete_bash":
            return str(self)
        words, place = os.environ.get("COMP_WORDS", "").split("\n"), int(os.environ.get("COMP_CWORD", "0"))
        opened = words[place][:1] if place < len(words) else ""
        if opened == "'":
            return str(self)
        return (_SPECIAL_IN_QUOTES if opened == '"' else _SPECIAL).sub(r"\\\g<0>", self)


@contextmanager
def _quietly() -> Iterator[None]:
    """Pass over what is wrong with a store or a configuration."""
    try:
        yield
    except (SiftRagError, OSError, ValueError, RuntimeError):
        return


def _database(context: typer.Context) -> Database | None:
    from sift_rag.stores.registry import open_database

    store = _given(context, "store")
    return None if store is not None and "://" in store else open_database(store, wait=0)


def _given(context: typer.Context, name: str) -> str | None:
    """Return the value of an option from the command line, the environment or the configuration."""
    from sift_rag_cli.app import COMMANDS
    from sift_rag_cli.configuration import load_configuration

    source = context.get_parameter_source(name)
    value = context.params.get(name)
    if source is None or source.name in ("DEFAULT", "DEFAULT_MAP"):
        value = load_configuration(COMMANDS).values(str(context.info_name)).get(name, value)
    return value if isinstance(value, str) and value else None
