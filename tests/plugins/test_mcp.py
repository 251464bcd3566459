"""The tools of the MCP server, called by the SDK's own client in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from qdrant_client import QdrantClient, models

from sift_rag import ingest_paths
from sift_rag.protocols import LanguageModel, Message
from sift_rag_mcp import McpSettings, create_server
from tests.doubles import HashingEmbedder
from tests.qdrant_stub.server import QdrantStub

FILES = {
    "travel/flights.md": "# Flights\n\nFlights are booked in the portal, in economy class.\n",
    "travel/flights-copy.md": "# Flights\n\nFlights are booked in the portal, in economy class.\n",
    "travel/taxis.md": "# Taxis\n\nTaxis after ten are paid by the company.\n\n## Tips\n\nTips are never paid.\n",
    "leave.md": "# Leave\n\nEverybody has thirty days of leave.\n",
}
QUESTION = "Who pays for flights and taxis?"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def settings(tmp_path: Path, folder: Path) -> McpSettings:
    ingest_paths([folder], store=tmp_path / "store", embedder=HashingEmbedder())
    return McpSettings(store=tmp_path / "store", embedder=HashingEmbedder())


class Reply:
    """The result of one call."""

    def __init__(self, result: Any) -> None:
        self.is_error: bool = result.is_error
        self.text: str = result.content[0].text
        self.data: dict[str, Any] = result.structured_content or {}


def call(settings: McpSettings, tool: str, progress: list[float] | None = None, **arguments: Any) -> Reply:
    async def told(done: float, total: float | None, message: str | None) -> None:
        if progress is not None:
            progress.append(done)

    async def run() -> Reply:
        async with Client(create_server(settings)) as client:
            return Reply(await client.call_tool(tool, arguments, progress_callback=told))

    return anyio.run(run)


def tools(settings: McpSettings) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with Client(create_server(settings)) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    return anyio.run(run)


class CannedModel:
    """A language model that always gives the same answer."""

    name, context_length = "canned", 4096

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content) for message in messages) // 4

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        yield self._answer


# Searching


def test_a_search_returns_passages_with_their_places(settings: McpSettings) -> None:
    reply = call(settings, "search", questions=[QUESTION], k=2)
    assert {hit["source"] for hit in reply.data["hits"]} <= {f"handbook/{name}" for name in FILES}
    for hit in reply.data["hits"]:
        assert hit["location"] in reply.text
        assert hit["text"].strip() in reply.text
    assert reply.data["known"] == [hit["id"] for hit in reply.data["hits"]]


def test_a_second_search_never_repeats_the_first(settings: McpSettings) -> None:
    seen: list[str] = []
    texts: list[str] = []
    for _ in range(3):
        reply = call(settings, "search", questions=[QUESTION], k=1, known=seen)
        texts += [hit["text"] for hit in reply.data["hits"]]
        assert reply.data["known"][: len(seen)] == seen
        seen = reply.data["known"]
    assert len(texts) == len(set(texts)) == 3


def test_known_takes_whole_documents(settings: McpSettings) -> None:
    reply = call(settings, "search", questions=[QUESTION], k=9, known=["handbook/travel/taxis.md"])
    assert reply.data["hits"]
    assert all("taxis" not in hit["source"] for hit in reply.data["hits"])


def test_a_copy_is_named_and_not_repeated(settings: McpSettings) -> None:
    reply = call(settings, "search", questions=["Where are flights booked?"], k=9)
    places = [hit["also_in"] for hit in reply.data["hits"] if "flights" in hit["source"]]
    assert len(places) == 1
    assert len(places[0]) == 1


def test_a_filter_leaves_out_the_rest(settings: McpSettings) -> None:
    reply = call(settings, "search", questions=[QUESTION], k=9, filters=["source=*leave.md"])
    assert [hit["source"] for hit in reply.data["hits"]] == ["handbook/leave.md"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"questions": []}, "questions"),
        ({"questions": ["  "]}, "empty"),
        ({"questions": ["?"], "k": 0}, "k"),
        ({"questions": ["?"], "filters": ["year"]}, "KEY=VALUE"),
        ({}, "questions"),
    ],
)
def test_what_cannot_be_searched_is_told(settings: McpSettings, arguments: dict[str, Any], reason: str) -> None:
    reply = call(settings, "search", **arguments)
    assert reply.is_error
    assert reason in reply.text


# Reading


def test_a_whole_document_in_reading_order(settings: McpSettings) -> None:
    reply = call(settings, "get", source="handbook/travel/taxis.md")
    assert [passage["location"] for passage in reply.data["passages"]] == [
        "handbook/travel/taxis.md:3",
        "handbook/travel/taxis.md:7",
    ]
    assert (reply.data["first"], reply.data["total"]) == (1, 2)


@pytest.mark.parametrize(("line", "expected"), [(1, 1), (3, 1), (6, 1), (7, 2), (900, 2)])
def test_the_passage_at_a_line(settings: McpSettings, line: int, expected: int) -> None:
    reply = call(settings, "get", source="handbook/travel/taxis.md", line=line, around=0)
    assert (reply.data["first"], len(reply.data["passages"])) == (expected, 1)


def test_the_neighbours_of_a_hit(settings: McpSettings) -> None:
    hit = next(
        hit
        for hit in call(settings, "search", questions=["tips"], k=9).data["hits"]
        if hit["location"].endswith("taxis.md:7")
    )
    reply = call(settings, "get", source=hit["source"], passage=hit["id"], around=1)
    assert [passage["id"] for passage in reply.data["passages"]][-1] == hit["id"]
    assert len(reply.data["passages"]) == 2


def test_a_document_that_is_not_there_is_told_with_the_next_best(settings: McpSettings) -> None:
    reply = call(settings, "get", source="handbook/leav.md")
    assert reply.is_error
    assert "Did you mean 'handbook/leave.md'?" in reply.text


@pytest.mark.parametrize("name", ["leave.md", "/leave.md", "handbook/leave.md"])
def test_a_unique_ending_of_a_name_is_enough_to_read_a_document(settings: McpSettings, name: str) -> None:
    reply = call(settings, "get", source=name)
    assert (reply.data["source"], reply.data["total"]) == ("handbook/leave.md", 1)


def test_an_ending_of_several_names_is_told_with_the_names(settings: McpSettings, folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / "old" / "leave.md").write_text("# Leave\n\nTwenty days.\n", encoding="utf-8")
    ingest_paths([folder], store=settings.store, embedder=HashingEmbedder())
    reply = call(settings, "get", source="leave.md")
    assert reply.is_error
    assert "2 documents end in 'leave.md': 'handbook/leave.md', 'handbook/old/leave.md'. Name one." in reply.text


def test_a_document_without_passages_is_told(settings: McpSettings, folder: Path) -> None:
    (folder / "empty.pdf").write_bytes(b"%PDF-1.4")
    ingest_paths([folder], store=settings.store, embedder=HashingEmbedder())
    assert "handbook/empty.pdf" in call(settings, "list").text
    for name in ("empty.pdf", "handbook/empty.pdf"):
        reply = call(settings, "get", source=name)
        assert reply.is_error
        assert "The document 'handbook/empty.pdf' has no passages." in reply.text


def test_only_a_whole_name_is_enough_to_delete_a_document(settings: McpSettings) -> None:
    reply = call(settings, "delete", sources=["leave.md"])
    assert reply.is_error
    assert "There is no document 'leave.md'. Did you mean 'handbook/leave.md'?" in reply.text
    assert call(settings, "status").data["passages"] == 5


def test_a_resource_is_a_document(settings: McpSettings) -> None:
    async def read(source: str) -> str:
        async with Client(create_server(settings)) as client:
            found: Any = await client.read_resource(f"sift-rag://documents/{source}")
            return str(found.contents[0].text)

    async def refused(source: str) -> str:
        async with Client(create_server(settings)) as client:
            with pytest.raises(MCPError) as error:
                await client.read_resource(f"sift-rag://documents/{source}")
            return str(error.value)

    assert "thirty days" in anyio.run(read, "handbook/leave.md")
    assert "no document 'handbook/none.md'" in anyio.run(refused, "handbook/none.md")


def test_documents_are_listed(settings: McpSettings) -> None:
    reply = call(settings, "list", prefix="handbook/travel/", limit=2)
    assert [document["source"] for document in reply.data["documents"]] == [
        "handbook/travel/flights-copy.md",
        "handbook/travel/flights.md",
    ]
    assert reply.data["total"] == 3
    assert "1 more" in reply.text


def test_the_status_counts(settings: McpSettings) -> None:
    data = call(settings, "status").data
    assert (data["passages"], data["documents"], data["collections"]) == (5, {"ingested": 4}, ["documents"])


# Writing


def test_nothing_that_writes_is_there_if_it_may_not(settings: McpSettings, folder: Path) -> None:
    reading = {"search", "get", "list", "status"}
    assert tools(replace(settings, read_only=True, roots=(folder,))).keys() == reading
    assert tools(settings).keys() == {*reading, "delete"}
    assert tools(replace(settings, roots=(folder,))).keys() == {*reading, "delete", "ingest"}
    annotated = tools(replace(settings, roots=(folder,)))
    assert {name for name, tool in annotated.items() if tool.annotations.read_only_hint} == reading


def test_an_ingest_brings_changes_in_and_tells_how_far_it_is(settings: McpSettings, folder: Path) -> None:
    (folder / "new.md").write_text("# New\n\nParking is free.\n", encoding="utf-8")
    (folder / "leave.md").unlink()
    progress: list[float] = []
    reply = call(replace(settings, roots=(folder,)), "ingest", progress, paths=["."], prune=True)
    assert {name: reply.data[name] for name in ("new", "removed", "unchanged")} == {
        "new": 1,
        "removed": 1,
        "unchanged": 3,
    }
    assert progress == sorted(progress)
    assert progress


@pytest.mark.parametrize("path", ["..", "../secret", "/etc/passwd", "a/../../b", "~", "link", "\0"])
def test_an_ingest_stays_in_its_folders(settings: McpSettings, folder: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.md").write_text("# Key\n", encoding="utf-8")
    (folder / "link").symlink_to(tmp_path / "secret")
    reply = call(replace(settings, roots=(folder,)), "ingest", paths=[path])
    assert reply.is_error
    assert "outside" in reply.text or "not a path" in reply.text
    assert call(settings, "status").data["documents"] == {"ingested": 4}


def test_all_or_nothing_is_deleted(settings: McpSettings, folder: Path) -> None:
    refused = call(settings, "delete", sources=["handbook/leave.md", "handbook/none.md"])
    assert refused.is_error
    assert call(settings, "status").data["passages"] == 5
    done = call(settings, "delete", sources=["handbook/leave.md", "handbook/leave.md"])
    assert done.data == {"deleted": ["handbook/leave.md"], "passages": 1}
    assert call(settings, "status").data["passages"] == 4
    assert (folder / "leave.md").exists()


# Asking


def test_the_model_answers_if_there_is_one(settings: McpSettings) -> None:
    assert "ask" not in tools(settings)
    model: LanguageModel = CannedModel("The company pays for taxis [1].")
    reply = call(replace(settings, model=model), "ask", questions=["Who pays for taxis?"], k=1)
    assert reply.data["answer"].startswith("The company pays for taxis [1]")
    assert reply.data["citations"][0]["location"] in reply.text
    assert reply.data["sentences"][0]["verdict"] in {"supported", "unsupported", "uncited"}


# A collection that another tool made


@pytest.fixture
def theirs(qdrant: QdrantStub) -> McpSettings:
    """Two points on a server, as LangChain writes them."""
    embedder, texts = HashingEmbedder(dimension=16), ["Owls hunt at night.", "Bees make honey by day."]
    payloads: list[dict[str, Any]] = [
        {"page_content": text, "metadata": {"source": f"docs/{n}.md", "year": 2020 + n}} for n, text in enumerate(texts)
    ]
    with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as client:
        vectors = models.VectorParams(size=16, distance=models.Distance.COSINE)
        client.create_collection("theirs", vectors_config=vectors)
        rows = embedder.embed_passages(texts).tolist()
        points = [models.PointStruct(id=n, vector=rows[n], payload=payloads[n]) for n in range(2)]
        client.upsert("theirs", points, wait=True)
    return McpSettings(store=f"{qdrant.url}?grpc_port={qdrant.grpc_port}", collection="theirs", embedder=embedder)


def test_the_collection_of_another_tool_is_searched_and_read(theirs: McpSettings) -> None:
    found = call(theirs, "search", questions=["Who makes honey?"], filters=["year>=2021"])
    assert [hit["source"] for hit in found.data["hits"]] == ["docs/1.md"]
    assert "honey" in call(theirs, "get", source="docs/1.md").text
    assert {one["source"] for one in call(theirs, "list").data["documents"]} == {"docs/0.md", "docs/1.md"}
    assert call(theirs, "status").data["passages"] == 2


def test_the_collection_of_another_tool_is_not_written(theirs: McpSettings, folder: Path) -> None:
    for tool, arguments in (("delete", {"sources": ["docs/0.md"]}), ("ingest", {"paths": ["."]})):
        refused = call(replace(theirs, roots=(folder,)), tool, **arguments)
        assert refused.is_error
        assert "another tool" in refused.text
    assert call(theirs, "status").data["passages"] == 2


# The store


def test_the_store_is_free_between_calls(settings: McpSettings, folder: Path) -> None:
    async def run(between: Callable[[], object]) -> None:
        async with Client(create_server(replace(settings, idle_seconds=0))) as client:
            await client.call_tool("search", {"questions": [QUESTION]})
            await anyio.to_thread.run_sync(between)
            await client.call_tool("search", {"questions": [QUESTION]})

    (folder / "new.md").write_text("# New\n\nParking is free.\n", encoding="utf-8")
    anyio.run(run, lambda: ingest_paths([folder], store=settings.store, embedder=HashingEmbedder(), wait=0))
    assert call(settings, "status").data["documents"] == {"ingested": 5}


@pytest.mark.slow
@pytest.mark.parametrize(("idle_seconds", "longest"), [(0.3, 600.0), (600.0, 0.3)])
def test_another_process_writes_soon_whether_an_agent_pauses_or_not(
    settings: McpSettings, folder: Path, monkeypatch: pytest.MonkeyPatch, idle_seconds: float, longest: float
) -> None:
    """The agent pauses, or the collection has been open for long enough."""
    monkeypatch.setattr("sift_rag_mcp.access.LONGEST_OPEN", longest)
    (folder / "new.md").write_text("# New\n\nParking is free.\n", encoding="utf-8")
    program = "import sys; from sift_rag import ingest_paths; from tests.doubles import HashingEmbedder; "
    program += "ingest_paths(sys.argv[1], store=sys.argv[2], embedder=HashingEmbedder(), wait=30)"

    async def run() -> None:
        async with Client(create_server(replace(settings, idle_seconds=idle_seconds))) as client:
            await client.call_tool("get", {"source": "handbook/leave.md"})
            writer = subprocess.Popen([sys.executable, "-c", program, folder, str(settings.store)])
            while await anyio.to_thread.run_sync(writer.poll) is None:
                if longest < idle_seconds:
                    await client.call_tool("get", {"source": "handbook/leave.md"})
                else:
                    await anyio.sleep(0.05)
            assert writer.returncode == 0
            found = await client.call_tool("search", {"questions": ["Is parking free?"], "k": 1})
            assert [hit["source"] for hit in found.structured_content["hits"]] == ["handbook/new.md"]

    anyio.run(run)


def test_nothing_is_held_once_the_client_has_gone(settings: McpSettings, folder: Path) -> None:
    assert call(settings, "search", questions=[QUESTION]).data["hits"]
    ingest_paths([folder], store=settings.store, embedder=HashingEmbedder(), wait=0)


def test_a_write_does_not_wait_for_what_the_server_itself_has_read(settings: McpSettings) -> None:
    async def run() -> Any:
        async with Client(create_server(replace(settings, idle_seconds=600))) as client:
            await client.call_tool("search", {"questions": [QUESTION]})
            return await client.call_tool("delete", {"sources": ["handbook/leave.md"]})

    assert not anyio.run(run).is_error


def test_a_collection_that_is_not_there_is_told(tmp_path: Path) -> None:
    reply = call(McpSettings(store=tmp_path / "none", embedder=HashingEmbedder()), "search", questions=["?"])
    assert reply.is_error
    assert "Ingest documents first" in reply.text


def test_several_calls_at_once_take_turns(settings: McpSettings) -> None:
    async def run() -> list[Any]:
        found: list[Any] = []
        async with Client(create_server(settings)) as client:

            async def one() -> None:
                found.append(await client.call_tool("search", {"questions": [QUESTION]}))

            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(one)
        return found

    results = anyio.run(run)
    assert len({str(result.structured_content["hits"]) for result in results}) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("search", {"questions": "why?"}, "The argument 'questions' is invalid: it must be a list."),
        ("search", {"questions": ["why?"], "k": 0}, "The argument 'k' is invalid: it must be at least 1."),
        ("search", {"query": "why?"}, "The argument 'questions' is missing. There is no 'query'."),
        ("get", {"source": "leave.md", "line": "ten"}, "The argument 'line' is invalid: it must be a whole number."),
    ],
)
def test_an_agent_that_sends_a_wrong_argument_reads_what_is_wrong(
    settings: McpSettings, tool: str, arguments: dict[str, Any], words: str
) -> None:
    reply = call(settings, tool, **arguments)
    assert reply.is_error
    assert reply.text == words


def test_no_tool_takes_an_argument_that_its_schema_does_not_name(settings: McpSettings, folder: Path) -> None:
    writing = replace(settings, roots=(folder,), model=CannedModel("Yes [1]."))
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools(writing).values())


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        (
            "search",
            {"questions": [QUESTION], "filter": ["year>=2025"]},
            "There is no argument 'filter'. Did you mean 'filters'?",
        ),
        (
            "get",
            {"source": "handbook/leave.md", "colour": 3},
            "There is no argument 'colour'. 'get' takes 'source', 'line', 'passage', 'around'.",
        ),
        ("status", {"verbose": True}, "There is no argument 'verbose'. 'status' takes none."),
        (
            "delete",
            {"sources": ["handbook/leave.md"], "dry_run": True},
            "There is no argument 'dry_run'. 'delete' takes 'sources'.",
        ),
    ],
)
def test_an_argument_that_is_not_known_is_refused_and_nothing_is_done(
    settings: McpSettings, tool: str, arguments: dict[str, Any], words: str
) -> None:
    reply = call(settings, tool, **arguments)
    assert reply.is_error
    assert reply.text == words
    assert call(settings, "status").data["passages"] == 5
