"""The MCP server and its tools. Each parses its arguments, makes one call to the library, and shapes the reply."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations
from pydantic import BaseModel, Field, ValidationError

from sift_rag import defaults
from sift_rag.allocator import keep_freed_memory
from sift_rag.corpus.report import Progress
from sift_rag.errors import CollectionNotFound, DocumentNotFound, NoEvidence, StoreInUse
from sift_rag.filters import Filter
from sift_rag.retrieval.options import SearchOptions
from sift_rag.suggestions import suggestion
from sift_rag.wrong_values import what_is_wrong
from sift_rag_mcp import replies
from sift_rag_mcp.access import Access, DirectAccess, WritingAccess
from sift_rag_mcp.library import Library, Writing
from sift_rag_mcp.settings import McpSettings
from sift_rag_mcp.stdio import answered_stdio

INSTRUCTIONS = (
    "Search the user's documents. `search` returns passages that answer together and do not repeat each other: ask all "
    "parts of a question in one call. To learn more, search again with `known` set to the ids of the last reply: what "
    "you have read is never returned again. `get` reads on around a passage, `list` names the documents. Cite passages "
    "by their location."
)

LISTED = 100
"""Number of documents in a list unless another is asked for."""

MAX_QUESTIONS, MAX_CHARACTERS = 100, 20_000
"""Maximum number of questions in one call, and the length of one."""

REPORT_SECONDS = 0.1
"""Seconds between two reports of progress."""

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ADVICE = {
    CollectionNotFound: "Ingest documents first.",
    DocumentNotFound: "`list` names the documents.",
    NoEvidence: "Ask in other words, or with fewer filters.",
    StoreInUse: "Try again in a moment.",
}

logger = logging.getLogger(__name__)
_T = TypeVar("_T")

Questions = Annotated[
    list[Annotated[str, Field(max_length=MAX_CHARACTERS)]],
    Field(
        description="Everything to find out, one question each; they are answered together.",
        min_length=1,
        max_length=MAX_QUESTIONS,
    ),
]
K = Annotated[int, Field(description="Maximum number of passages.", ge=1, le=100)]
Filters = Annotated[
    list[str] | None,
    Field(
        description="Only from these: 'source=GLOB', or for a field of the metadata 'KEY=VALUE', 'KEY!=VALUE', "
        "'KEY>=VALUE' (also >, <=, <: numbers and ISO dates) or 'KEY~=GLOB'."
    ),
]
Known = Annotated[
    list[str] | None,
    Field(description="Ids of passages, or sources of documents, that you have read: they are not repeated."),
]
Around = Annotated[
    int, Field(description="Number of passages to add before and after each one, from its document.", ge=0, le=50)
]
TokenBudget = Annotated[int | None, Field(description="Maximum number of tokens in total.", ge=1)]
Source = Annotated[str, Field(description="Document, as `list` and hits name it, or a unique ending of that.")]


class _Server(MCPServer[Any]):
    """A server that says in plain words what is wrong with a message, or with the arguments of a call."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._schemas: dict[str, dict[str, Any]] = {}

    async def run_stdio_async(self) -> None:
        """Serve one client over stdin and stdout."""
        keep_freed_memory()
        server = self._lowlevel_server
        async with answered_stdio() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())

    async def list_tools(self) -> list[Tool]:
        """List the tools, which take no arguments but those of their schemas."""
        return [
            tool.model_copy(update={"input_schema": {**tool.input_schema, "additionalProperties": False}})
            for tool in await super().list_tools()
        ]

    async def _schema(self, name: str) -> dict[str, Any] | None:
        """Return the schema of a tool's arguments; None if there is no such tool."""
        if name not in self._schemas:  # the SDK writes those of all tools anew each time
            self._schemas |= {tool.name: tool.input_schema for tool in await self.list_tools()}
        return self._schemas.get(name)

    async def call_tool(self, name: str, arguments: dict[str, Any], *others: Any, **options: Any) -> Any:
        """Call a tool.

        Raises:
            ToolError: the arguments are wrong, or the tool failed.
        """
        schema = await self._schema(name)
        if schema is not None and all(required in arguments for required in schema.get("required", ())):
            _check_known(name, arguments, list(schema["properties"]))
        try:
            return await super().call_tool(name, arguments, *others, **options)
        except ToolError as error:
            if schema is None or not isinstance(error.__cause__, ValidationError):
                raise
            raise ToolError(_wrong_argument(error.__cause__, arguments, schema["properties"])) from error.__cause__


def _check_known(tool: str, arguments: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ``ToolError`` for an argument that the tool does not have: it would be ignored."""
    unknown = next((given for given in arguments if given not in known), None)
    if unknown is not None:
        takes = f" {tool!r} takes {', '.join(map(repr, known)) or 'none'}."
        raise ToolError(f"There is no argument {unknown!r}.{suggestion(unknown, known) or takes}")


def _wrong_argument(error: ValidationError, arguments: Mapping[str, Any], known: Container[str]) -> str:
    first, *others = error.errors(include_url=False, include_input=False)
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] != "missing":
        of_argument = [one for one in others if one["loc"][:1] == first["loc"][:1]]
        return f"The argument {name!r} is invalid: {what_is_wrong([first, *of_argument])}."
    unknown = [repr(given) for given in arguments if given not in known]
    return f"The argument {name!r} is missing." + (f" There is no {' or '.join(unknown)}." if unknown else "")


def create_server(settings: McpSettings) -> MCPServer[Any]:
    """Return the server of one client; ``run("stdio")`` serves it over stdin and stdout.

    Nothing is loaded before the first call.
    """
    access = DirectAccess(settings)
    return create_reading_server(access) if settings.read_only else create_writing_server(access)


def create_writing_server(access: WritingAccess) -> MCPServer[Any]:
    """Return a server whose tools read, delete and, if there are folders to ingest from, ingest."""
    server = create_reading_server(access)
    writing = Writing(access)
    _add_deleting(server, access, writing)
    if access.roots:
        _add_ingesting(server, access, writing)
    return server


def create_reading_server(access: Access) -> MCPServer[Any]:
    """Return a server whose tools change nothing."""

    @asynccontextmanager
    async def running(_: MCPServer[Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            access.close()

    server = _Server(
        "sift-rag",
        title="sift-rag",
        instructions=INSTRUCTIONS,
        version=version("sift-rag"),
        log_level="WARNING",
        lifespan=running,
    )
    _add_reading(server, access)
    if access.answers:
        _add_asking(server, access)
    return server


def _add_reading(server: MCPServer[Any], access: Access) -> None:
    library = Library(access)

    @server.tool(title="Search documents", annotations=_READS)
    async def search(
        questions: Questions,
        k: K = defaults.K,
        filters: Filters = None,
        known: Known = None,
        token_budget: TokenBudget = None,
        context: Around = 0,
    ) -> Annotated[CallToolResult, replies.SearchReply]:
        """Find passages that answer the questions together, none repeating another."""
        with _told(access):
            options = _options(k, filters, known, token_budget, context)
            reply = await access.run(partial(library.search, questions, options))
        return _result(reply, replies.search_text(reply))

    @server.tool(title="Read a document", annotations=_READS)
    async def get(
        source: Source,
        line: Annotated[int | None, Field(description="Read around this line.", ge=1)] = None,
        passage: Annotated[str | None, Field(description="Read around the passage with this id.")] = None,
        around: Annotated[int, Field(description="Number of passages before and after.", ge=0, le=50)] = 1,
    ) -> Annotated[CallToolResult, replies.GetReply]:
        """Read a document: all of it, or the passages around a line or a passage."""
        with _told(access):
            reply = await access.run(partial(library.get, source, line=line, passage=passage, around=around))
        return _result(reply, replies.get_text(reply))

    @server.tool(name="list", title="List documents", annotations=_READS)
    async def list_documents(
        prefix: Annotated[str, Field(description="Only documents whose name begins so.")] = "",
        limit: Annotated[int, Field(description="Maximum number of documents.", ge=1, le=1000)] = LISTED,
    ) -> Annotated[CallToolResult, replies.ListReply]:
        """List the documents with their state."""
        with _told(access):
            reply = await access.run(partial(library.list, prefix, limit))
        return _result(reply, replies.list_text(reply))

    @server.tool(title="Show the collection", annotations=_READS)
    async def status() -> Annotated[CallToolResult, replies.StatusReply]:
        """Say what the collection holds."""
        with _told(access):
            reply = await access.run(library.status)
        return _result(reply)

    @server.resource("sift-rag://documents/{+source}", name="document", mime_type="text/plain")
    async def document(source: str) -> str:
        """Read a document as text, with the place of each passage."""
        try:
            return await access.run(partial(library.text, source))
        except Exception as error:
            kind = ResourceNotFoundError if isinstance(error, DocumentNotFound) else ResourceError
            raise kind(_fact(access, error)) from error


def _add_asking(server: MCPServer[Any], access: Access) -> None:
    @server.tool(title="Answer from documents", annotations=_READS)
    async def ask(
        questions: Questions,
        k: K = defaults.K,
        filters: Filters = None,
        known: Known = None,
        token_budget: TokenBudget = None,
        context: Around = 0,
    ) -> Annotated[CallToolResult, replies.AskReply]:
        """Let this server's language model answer from the documents, with citations."""
        with _told(access):
            options = _options(k, filters, known, token_budget, context)
            reply = replies.ask_reply(await access.answer(options.query(questions), options))
        cited = "\n".join(f"[{one.number}] {one.location}" for one in reply.citations)
        return _result(reply, f"{reply.answer}\n\n{cited}".rstrip())


def _add_deleting(server: MCPServer[Any], access: WritingAccess, writing: Writing) -> None:
    @server.tool(
        title="Delete documents",
        annotations=ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False),
    )
    async def delete(
        sources: Annotated[list[str], Field(description="Documents, as `list` names them.", min_length=1)],
    ) -> Annotated[CallToolResult, replies.DeleteReply]:
        """Delete documents from the collection. Their files are not touched."""
        with _told(access):
            reply = await access.write(partial(writing.delete, sources))
        return _result(reply)


def _add_ingesting(server: MCPServer[Any], access: WritingAccess, writing: Writing) -> None:
    @server.tool(
        title="Ingest files",
        annotations=ToolAnnotations(destructive_hint=False, idempotent_hint=True, open_world_hint=False),
    )
    async def ingest(
        context: Context[Any, Any],
        paths: Annotated[list[str], Field(description="Files and folders of the server's machine.", min_length=1)],
        prune: Annotated[
            bool, Field(description="Also remove documents of these folders whose files no longer exist.")
        ] = False,
    ) -> Annotated[CallToolResult, replies.IngestReply]:
        """Bring the collection up to date with files. Unchanged ones are not read again."""

        def begin(tell: Callable[[Progress], None]) -> Awaitable[replies.IngestReply]:
            return access.write(partial(writing.ingest, paths, prune=prune, tell=tell))

        with _told(access):
            reply = await _reported(context, begin)
        return _result(reply)


def _options(
    k: int, filters: list[str] | None, known: list[str] | None, token_budget: int | None, context: int
) -> SearchOptions:
    return SearchOptions(
        k=k,
        where=Filter.parse(filters) if filters else None,
        known=tuple(known or ()),
        token_budget=token_budget,
        context=context,
    )


def _result(reply: BaseModel, text: str | None = None) -> CallToolResult:
    shown = reply.model_dump_json(indent=1) if text is None else text
    return CallToolResult(
        content=[TextContent(type="text", text=shown)], structured_content=reply.model_dump(mode="json")
    )


@contextmanager
def _told(access: Access) -> Iterator[None]:
    """Turn errors into what a model can read and act on."""
    try:
        yield
    except Exception as error:
        advice = next((_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE), "")
        raise ToolError(f"{_fact(access, error)} {advice}".rstrip()) from error


def _fact(access: Access, error: Exception) -> str:
    """Return what a client may read about an error; raise it again if it is a bug."""
    fact = access.fact(error)
    if fact is None:
        raise error
    return fact


async def _reported(context: Context[Any, Any], begin: Callable[[Callable[[Progress], None]], Awaitable[_T]]) -> _T:
    """Return what the begun work does, and meanwhile report the progress that it tells, from any thread."""
    told: deque[Progress] = deque(maxlen=1)

    async def report() -> None:
        if told:
            done = told.pop()
            await context.report_progress(done.bytes_done, done.bytes_found, done.source or None)

    work = asyncio.ensure_future(begin(told.append))
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=REPORT_SECONDS)
            await report()
        return work.result()
    finally:
        work.cancel()
