"""The commands on a server's collections, on the stub of a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from typer.testing import Result

from sift_rag.opening import open_embedder
from tests.qdrant_stub.server import QdrantStub

Run = Callable[..., Result]
SECRET = "a-key-that-nobody-may-see"


@pytest.fixture
def url(qdrant: QdrantStub) -> str:
    return f"{qdrant.url}?grpc_port={qdrant.grpc_port}"


@pytest.fixture
def at(run: Run, url: str) -> Run:
    return lambda *arguments, **keywords: run(*arguments, "--store", url, **keywords)


@pytest.fixture
def filled(at: Run, library: Path) -> Run:
    result = at("ingest", str(library))
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "5 new, 0 updated, 0 unchanged, 0 removed, 2 skipped, 1 failed"
    return at


@pytest.mark.slow
def test_every_command_of_a_folder_works_on_a_server(
    filled: Run, library: Path, store: Path, run: Run, url: str, qdrant: QdrantStub
) -> None:
    question = ("search", "What if my laptop is broken?", "--json")
    here, there = (json.loads(result.stdout) for result in (run(*question, "--store", str(store)), filled(*question)))
    assert [hit["id"] for hit in there["hits"]] == [hit["id"] for hit in here["hits"]]
    assert [hit["similarity"] for hit in there["hits"]] == pytest.approx(
        [hit["similarity"] for hit in here["hits"]], abs=1e-6
    )
    assert filled("list").stdout.count("\n") == run("list", "--store", str(store)).stdout.count("\n")
    assert "A broken laptop" in filled("show", "library/laptops.md").stdout
    assert json.loads(filled("status", "--json").stdout)["store"] == qdrant.url
    assert filled("duplicates").stdout == run("duplicates", "--store", str(store)).stdout
    assert "copies      not counted: see `sift-rag duplicates`" in filled("status").stdout
    assert filled("collections").stdout.split("\t")[0] == "documents"
    assert filled("doctor").exit_code == 0
    assert "on a server, which optimizes it by itself" in filled("optimize").stderr
    assert json.loads(filled("status", "--json").stdout)["words_indexed"] is True
    qdrant.engine.forget_vector("documents", "words")
    assert "words       not indexed yet" in filled("status").stdout
    assert "has been optimized" in filled("optimize").stderr
    assert "words  " not in filled("status").stdout
    assert filled("ask", "Who pays for taxis?").exit_code == 0
    filtered = json.loads(filled("search", "laptop", "--filter", "source=*/laptops.md", "--json").stdout)
    assert {hit["source"] for hit in filtered["hits"]} == {"library/laptops.md"}
    assert filled("ingest", str(library)).stderr.splitlines()[-1].startswith("0 new, 0 updated, 5 unchanged")
    assert filled("ingest", str(library), "--reindex").exit_code == 0
    assert "Deleted 1 file and 1 passage" in filled("delete", "library/laptops.md").stderr
    assert filled("show", "library/laptops.md").exit_code == 5
    assert filled("collections", "--drop", "documents").exit_code == 0
    assert filled("collections").stdout == ""
    assert qdrant.engine.list_collections().collections == []


def test_options_of_a_new_collection_are_the_servers(run: Run, at: Run, library: Path, tmp_path: Path) -> None:
    names = ("shard_number=2", "replication_factor=2", "write_consistency_factor=2", "quantize=true")
    options = [word for name in names for word in ("--set", name)]
    assert at("ingest", str(library), *options).exit_code == 0
    refused = run("ingest", str(library), *options, "--store", str(tmp_path / "folder"))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "need a server, but the store" in refused.stderr
    assert not (tmp_path / "folder").exists()
    impossible = at("ingest", str(library), "--set", "write_consistency_factor=3")
    assert (impossible.exit_code, impossible.stderr.count("\n")) == (2, 1)


def test_a_server_that_is_down_is_exit_code_4(filled: Run, qdrant: QdrantStub) -> None:
    with qdrant.down():
        result = filled("search", "why?")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (4, "", 1)
    assert "no answer from Qdrant at" in result.stderr


class TestKeys:
    @pytest.fixture
    def guarded(self) -> Iterator[QdrantStub]:
        with QdrantStub(api_key=SECRET) as stub:
            yield stub

    def test_the_key_comes_from_the_environment(self, run: Run, guarded: QdrantStub) -> None:
        for name in ("SIFT_RAG_QDRANT_API_KEY", "QDRANT_API_KEY"):
            result = run("collections", "--store", guarded.url, env={name: SECRET})
            assert (result.exit_code, result.stderr) == (0, "")
        result = run("collections", "--store", guarded.url)
        assert result.exit_code == 2
        assert "SIFT_RAG_QDRANT_API_KEY" in result.stderr

    def test_a_server_that_a_found_file_has_chosen_gets_no_key(
        self, run: Run, guarded: QdrantStub, elsewhere: Path
    ) -> None:
        Path("sift-rag.toml").write_text(f"store = '{guarded.url}'\n")
        key = {"SIFT_RAG_QDRANT_API_KEY": SECRET}
        refused = run("collections", env=key)
        assert refused.exit_code == 2
        assert "chosen by sift-rag.toml in this directory, so your API key is not sent" in refused.stderr
        assert SECRET not in refused.output
        assert run("collections", "--store", guarded.url, env=key).exit_code == 0
        assert run("collections", env=key | {"SIFT_RAG_STORE": guarded.url}).exit_code == 0

    def test_a_server_that_the_users_own_file_has_chosen_gets_it(
        self, run: Run, guarded: QdrantStub, elsewhere: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "configuration" / "sift-rag"
        folder.mkdir(parents=True)
        (folder / "sift-rag.toml").write_text(f"store = '{guarded.url}'\n")
        assert run("collections", env={"SIFT_RAG_QDRANT_API_KEY": SECRET}).exit_code == 0


class TestOtherTools:
    TEXTS = ("Flights are booked two weeks ahead.", "Receipts are handed in within thirty days.")

    @pytest.fixture
    def theirs(self, qdrant: QdrantStub) -> None:
        embedder = open_embedder()
        with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as client:
            shape = models.VectorParams(size=embedder.dimension, distance=models.Distance.COSINE)
            client.create_collection("theirs", vectors_config={"one": shape, "two": shape})
            rows = embedder.embed_passages(self.TEXTS).tolist()
            points = [
                models.PointStruct(
                    id=n,
                    vector={"one": row, "two": row[::-1]},
                    payload={"text": text, "content": "x", "file": f"{n}.md"},
                )
                for n, (text, row) in enumerate(zip(self.TEXTS, rows, strict=True))
            ]
            client.upsert("theirs", points)

    def test_what_cannot_be_found_out_is_asked_for_and_taken(self, at: Run, theirs: None) -> None:
        asked = ["search", "How are flights booked?", "--collection", "theirs", "--json"]
        for missing, option in (
            ("vector_name", ("--set", "vector_name=one")),
            ("text_key", ("--set", "text_key=text")),
            ("--embedder", ("--embedder", "all-MiniLM-L6-v2")),
        ):
            result = at(*asked)
            assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
            assert missing in result.stderr
            asked += option
        hit = json.loads(at(*asked, "--set", "source_key=file").stdout)["hits"][0]
        assert (hit["text"], hit["source"]) == (self.TEXTS[0], "0.md")
        assert json.loads(at(*asked, env={"SIFT_RAG_SOURCE_KEY": "file"}).stdout)["hits"][0]["source"] == "0.md"

    def test_its_duplicates_are_counted(self, at: Run, theirs: None) -> None:
        asked = ("duplicates", "--collection", "theirs", "--json")
        refused = at(*asked)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert "vector_name" in refused.stderr
        layout = ("--set", "vector_name=one", "--set", "source_key=file")
        assert json.loads(at(*asked, *layout, "--set", "text_key=text").stdout)["repeated"] == 0
        (group,) = json.loads(at(*asked, *layout, "--set", "text_key=content").stdout)["groups"]
        assert (group["source"], [copy["source"] for copy in group["also_in"]]) == ("0.md", ["1.md"])

    def test_nothing_is_written_into_it(self, at: Run, theirs: None, library: Path) -> None:
        for arguments in (
            ("ingest", str(library)),
            ("collections", "--drop", "theirs"),
            ("doctor",),
        ):
            command = at(*arguments, *(() if "--drop" in arguments else ("--collection", "theirs")))
            assert command.exit_code == 6, command.stderr
        assert "unknown, made by another tool" in at("status", "--collection", "theirs").stdout
        assert "theirs" not in at("collections").stdout
