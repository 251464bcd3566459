"""``--embedder-url``: on the command line, in the environment, in ``sift-rag.toml``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sift_rag.opening import open_store
from tests.cli.conftest import Run
from tests.cli.documents import write_library
from tests.cli.endpoint import serving
from tests.embedders.stub_embeddings import DIMENSION, StubEmbeddings, stub_embeddings, vector_of

pytestmark = pytest.mark.slow

QUESTION = "How do I book a flight?"
SECRET = "a-key-that-nobody-may-see"


@pytest.fixture
def stub() -> Iterator[StubEmbeddings]:
    with stub_embeddings() as running:
        yield running


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return write_library(tmp_path / "documents")


@pytest.fixture
def ingested(run: Run, stub: StubEmbeddings, documents: Path) -> Path:
    """A store made at the endpoint."""
    store = documents.parent / "store"
    result = run("ingest", str(documents), "-s", str(store), "--embedder-url", stub.url, "-e", "tiny")
    assert result.exit_code == 0, result.output
    stub.bodies.clear()
    stub.keys.clear()
    return store


def test_what_was_ingested_at_an_endpoint_is_found_through_it(run: Run, stub: StubEmbeddings, ingested: Path) -> None:
    arguments = ("search", QUESTION, "-s", str(ingested), "--embedder-url", stub.url, "--json")
    found = json.loads(run(*arguments).stdout)
    assert found["hits"]
    assert stub.texts == [QUESTION], "one request, and none to find out the dimension"
    assert [body["model"] for body in stub.bodies] == ["tiny"], "the name that the collection records"
    again = json.loads(run(*arguments, "-e", "tiny").stdout)
    assert again["hits"] == found["hits"]


def test_name_and_dimension_are_recorded_and_the_address_is_not(run: Run, stub: StubEmbeddings, ingested: Path) -> None:
    status = json.loads(run("status", "-s", str(ingested), "--json").stdout)
    assert (status["embedder"], status["dimension"]) == ("tiny", DIMENSION)
    port = stub.url.rsplit(":", 1)[1].removesuffix("/v1")
    assert not any(port.encode() in file.read_bytes() for file in ingested.rglob("*.json"))


def test_a_second_ingest_of_the_same_files_asks_for_nothing(
    run: Run, stub: StubEmbeddings, ingested: Path, documents: Path
) -> None:
    result = run("ingest", str(documents), "-s", str(ingested), "--embedder-url", stub.url)
    assert result.exit_code == 0
    assert not stub.bodies
    (documents / "new.md").write_text("# Bicycles\n\nBicycles are kept in the yard.\n")
    assert run("ingest", str(documents), "-s", str(ingested), "--embedder-url", stub.url).exit_code == 0
    assert any("yard" in text for text in stub.texts)


def test_another_address_of_the_same_model_serves_the_same_collection(run: Run, ingested: Path) -> None:
    with stub_embeddings() as moved:
        assert run("search", QUESTION, "-s", str(ingested), "--embedder-url", moved.url).exit_code == 0
        assert moved.texts == [QUESTION]


def test_without_the_address_the_error_says_what_is_missing(run: Run, ingested: Path) -> None:
    result = run("search", QUESTION, "-s", str(ingested))
    assert result.exit_code == 4
    assert "If tiny is a model at an endpoint, name its address with --embedder-url URL." in result.stderr


def test_another_model_than_the_collection_s_is_refused(run: Run, stub: StubEmbeddings, ingested: Path) -> None:
    result = run("search", QUESTION, "-s", str(ingested), "--embedder-url", stub.url, "-e", "other")
    assert result.exit_code == 6
    assert "was made with the embedder tiny" in result.stderr
    assert not stub.bodies


def test_a_new_collection_needs_a_name(run: Run, stub: StubEmbeddings, documents: Path) -> None:
    result = run("ingest", str(documents), "-s", str(documents.parent / "store"), "--embedder-url", stub.url)
    assert result.exit_code == 2
    assert "Name it: --embedder-url URL --embedder NAME." in result.stderr


def test_an_endpoint_that_changes_its_dimension_is_told_in_one_line_and_nothing_is_written(
    run: Run, stub: StubEmbeddings, ingested: Path, documents: Path
) -> None:
    stub.vector = lambda text: vector_of(text, 5)
    arguments = ("-s", str(ingested), "--embedder-url", stub.url)
    (documents / "new.md").write_text("# Bicycles\n\nBicycles are kept in the yard.\n")
    for command in (("search", QUESTION), ("ingest", str(documents))):
        result = run(*command, *arguments)
        assert result.exit_code == 1
        assert "gives vectors of 5 dimensions for 'tiny': expected 8" in result.stderr.splitlines()[-1]
        assert "ingest again with --reindex" in result.stderr
    stub.vector = vector_of
    assert not list(_passages(ingested, "library/new.md"))
    assert run("ingest", str(documents), *arguments).exit_code == 0
    assert list(_passages(ingested, "library/new.md"))


def test_reindex_takes_the_new_dimension(run: Run, stub: StubEmbeddings, ingested: Path) -> None:
    stub.vector = lambda text: vector_of(text, 5)
    result = run("ingest", "--reindex", ".", "-s", str(ingested), "--embedder-url", stub.url)
    assert json.loads(run("status", "-s", str(ingested), "--json").stdout)["dimension"] == 5, result.output


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "Set the endpoint's API key in SIFT_RAG_EMBEDDER_KEY or OPENAI_API_KEY."), (404, "no model 'tiny'")],
)
def test_an_endpoint_that_fails_before_the_first_vector_leaves_no_collection(
    run: Run, stub: StubEmbeddings, documents: Path, status: int, words: str
) -> None:
    store = documents.parent / "store"
    stub.always = status
    result = run("ingest", str(documents), "-s", str(store), "--embedder-url", stub.url, "-e", "tiny")
    assert result.exit_code == 4
    assert words in result.stderr.splitlines()[-1]
    assert run("status", "-s", str(store)).exit_code == 5, "no such collection"


def test_vectors_that_are_no_numbers_leave_nothing_half_written(
    run: Run, stub: StubEmbeddings, documents: Path
) -> None:
    stub.vector = lambda text: vector_of(text) if text == "dimension" else [float("nan")] * DIMENSION
    store = documents.parent / "store"
    result = run("ingest", str(documents), "-s", str(store), "--embedder-url", stub.url, "-e", "tiny")
    assert result.exit_code == 1
    assert "not finite" in result.stderr.splitlines()[-1]
    stub.vector = vector_of
    assert run("ingest", str(documents), "-s", str(store), "--embedder-url", stub.url, "-e", "tiny").exit_code == 0
    assert run("doctor", "-s", str(store)).exit_code == 0


def test_the_key_comes_from_the_environment(run: Run, stub: StubEmbeddings, ingested: Path) -> None:
    arguments = ("search", QUESTION, "-s", str(ingested))
    named = {"SIFT_RAG_EMBEDDER_URL": stub.url, "SIFT_RAG_API_KEY": "another"}
    run(*arguments, env=named)
    run(*arguments, env={**named, "OPENAI_API_KEY": "usual"})
    run(*arguments, env={**named, "OPENAI_API_KEY": "usual", "SIFT_RAG_EMBEDDER_KEY": SECRET})
    assert stub.keys == ["Bearer none", "Bearer usual", f"Bearer {SECRET}"]


def test_no_key_goes_to_an_embedder_that_the_working_directory_chose(
    run: Run, elsewhere: Path, stub: StubEmbeddings, ingested: Path
) -> None:
    (elsewhere / "sift-rag.toml").write_text(f"embedder_url = '{stub.url}'\n")
    result = run("search", QUESTION, "-s", str(ingested), env={"SIFT_RAG_EMBEDDER_KEY": SECRET})
    assert result.exit_code == 0, result.output
    assert stub.keys == ["Bearer none"]
    assert "so your API key is not sent to it" in result.stderr
    assert "--embedder-url or SIFT_RAG_EMBEDDER_URL" in result.stderr
    assert SECRET not in result.output


def test_settings_come_from_set_and_from_the_file(
    run: Run, elsewhere: Path, stub: StubEmbeddings, ingested: Path
) -> None:
    arguments = ("search", QUESTION, "-s", str(ingested), "--embedder-url", stub.url)
    run(*arguments, "--set", "embedding.query_prefix=query: ")
    (elsewhere / "sift-rag.toml").write_text("[embedding]\nquery_prefix = 'ask: '\nmax_tokens = 512\n")
    run(*arguments)
    assert stub.texts == [f"query: {QUESTION}", f"ask: {QUESTION}"]
    result = run(*arguments, "--set", "embedding.max_tokens=3")
    assert result.exit_code == 2
    assert "max_tokens is 3" in result.stderr


def test_an_address_that_is_none_is_a_usage_error(run: Run, ingested: Path) -> None:
    result = run("search", QUESTION, "-s", str(ingested), "--embedder-url", "localhost:8000")
    assert result.exit_code == 2
    assert "The embedder's address is 'localhost:8000'" in result.stderr


def test_ask_and_chat_embed_at_the_endpoint(run: Run, stub: StubEmbeddings, ingested: Path) -> None:
    arguments = ("-s", str(ingested), "--embedder-url", stub.url, "--set", "check=false")
    with serving("Through the travel office [1].") as answers:
        model = ("--base-url", answers.url, "-m", "stub")
        assert run("ask", QUESTION, *arguments, *model).exit_code == 0
        assert run("chat", *arguments, *model, stdin=f"{QUESTION}\n").exit_code == 0
    assert stub.texts.count(QUESTION) == 2


def _passages(store: Path, source: str) -> Iterator[object]:
    opened = open_store(store)
    try:
        yield from opened.passages(source)
    finally:
        opened.close()
