"""Words on a server: vectors, and upgrades of collections without them; against the stub."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from time import sleep
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from sift_rag.errors import StoreUnreachable
from sift_rag.protocols import WordIndex, WordStatus
from sift_rag.selection.lexical import Vocabulary, bm25
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.migration import migrate, migrate_collection
from sift_rag.stores.qdrant.address import parse_address
from sift_rag.stores.qdrant.connection import Retrying
from sift_rag.stores.qdrant.database import QdrantDatabase
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.stores.qdrant.store import QdrantStore
from sift_rag.stores.qdrant.transport import WORDS
from sift_rag.stores.qdrant.words import AVERAGE_WORDS, words_of_passage, words_of_question
from sift_rag.types import CollectionInfo, Document, Embedding, Passage, Span
from sift_rag.words import UNSTEMMED, bag_of
from tests.examples import examples
from tests.qdrant_stub.faults import Fault
from tests.qdrant_stub.server import QdrantStub
from tests.servers import PROTOCOLS

pytestmark = pytest.mark.slow  # the fast tests ask the local mode, in tests/contracts

DIMENSION = 8
INFO = CollectionInfo("news", "an embedder", DIMENSION, SCHEMA_VERSION)
NAMESPACE = UUID("cd5b4a0f-3a0e-4d0c-9d57-0e7a8f3e6a10")
COUNT = 300
"""Number of passages of an old collection; writing their words takes three requests."""
SAME_INDEX = ("wordgbcm", "wordffjlg")
"""Two words with the same index, found among 400,000."""


def passage(number: int, text: str = "") -> Passage:
    said = text or f"the relay raised E{number}"
    return Passage(str(uuid5(NAMESPACE, str(number))), said, "a.md", Span(number, number + 1))


def vectors(count: int) -> Embedding:
    rows = np.random.default_rng(0).standard_normal((count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=PROTOCOLS)
def database(request: pytest.FixtureRequest, qdrant: QdrantStub) -> QdrantDatabase:
    url = f"{qdrant.url}?grpc_port={qdrant.grpc_port if request.param == 'grpc' else 9}"
    return QdrantDatabase(parse_address(url), retrying=Retrying(sleep=lambda _: None))


@pytest.fixture
def old(qdrant: QdrantStub, database: QdrantDatabase) -> Iterator[QdrantStore]:
    """Yield a filled collection as earlier versions made it."""
    with closing(database.create(INFO)) as made:
        made.upsert([passage(n) for n in range(COUNT)], vectors(COUNT))
        made.put_documents([Document("a.md", "/a.md", "ingested", passages=COUNT)])
    qdrant.engine.forget_vector("news", WORDS)
    qdrant.requests.clear()
    with closing(database.open("news")) as opened:
        yield opened


def numbers_found(store: WordIndex, text: str) -> list[str]:
    [found] = store.search_words([text], 5)
    return [candidate.passage.text for candidate in found]


def found_anew(database: QdrantDatabase, text: str) -> list[str]:
    with closing(database.open("news")) as store:
        return numbers_found(store, text)


class TestVectors:
    def test_the_index_of_a_word_is_the_start_of_its_hash(self) -> None:
        [index] = words_of_question("relay").indices
        assert index == int.from_bytes(blake2b(b"relay", digest_size=8).digest()[:4], "little")

    def test_the_product_of_both_with_the_document_frequency_is_bm25(self) -> None:
        rng = np.random.default_rng(0)
        lengths = [AVERAGE_WORDS + delta for delta in (-100, -40, 0, 0, 60, 80)]
        texts = [" ".join(f"w{chr(97 + word)}" for word in rng.zipf(1.3, length) % 26) for length in lengths]
        bags = [bag_of(text, UNSTEMMED) for text in texts]
        questions = ["wb wc wd", "wz", "wx wy wz wa", "unheard"]
        asked = [bag_of(question, UNSTEMMED) for question in questions]
        vocabulary = Vocabulary.of(bags)
        scores = np.zeros((len(questions), len(texts)))
        for column, text in enumerate(texts):
            held = dict(zip(*map(np.ndarray.tolist, words_of_passage(passage(0, text))), strict=True))
            for row, bag in enumerate(asked):
                idf = dict(zip((bag.ids & 0xFFFFFFFF).tolist(), vocabulary.weights(bag.ids).tolist(), strict=True))
                question = dict(zip(*map(np.ndarray.tolist, words_of_question(questions[row])), strict=True))
                scores[row, column] = sum(idf[index] * question[index] * held.get(index, 0.0) for index in question)
        assert np.allclose(scores, bm25(asked, bags), rtol=1e-5)

    def test_words_of_one_index_count_as_one(self) -> None:
        one, other = SAME_INDEX
        both = words_of_passage(passage(0, f"{one} {other} {one}"))
        thrice = words_of_passage(passage(0, f"{one} {one} {one}"))
        assert np.array_equal(both.indices, thrice.indices)
        assert np.array_equal(both.values, thrice.values)
        assert len(words_of_question(f"{one} {other}").indices) == 1

    @settings(max_examples=examples(100), deadline=None)
    @given(st.text(), st.text())
    def test_any_text_has_distinct_ascending_indices_and_positive_values(self, text: str, title: str) -> None:
        made = Passage(str(NAMESPACE), text, "a.md", Span(0, len(text)), title=title)
        for words in (words_of_passage(made), words_of_question(text)):
            assert len(words.indices) == len(words.values)
            assert (np.diff(words.indices) > 0).all()
            assert ((words.indices >= 0) & (words.indices < 2**32)).all()
            assert (words.values > 0).all()
        assert len(words_of_passage(made).indices) > 0

    def test_headings_count_too(self, database: QdrantDatabase) -> None:
        headed = Passage(str(NAMESPACE), "It is red.", "a.md", Span(0, 10), title="Lamps", headings=("Beacon",))
        with closing(database.create(INFO)) as store:
            store.upsert([headed], vectors(1))
            assert numbers_found(store, "beacon") == numbers_found(store, "lamps") == ["It is red."]


class TestServer:
    def test_a_search_of_several_texts_is_one_request(self, qdrant: QdrantStub, database: QdrantDatabase) -> None:
        with closing(database.create(INFO)) as store:
            store.upsert([passage(n) for n in range(9)], vectors(9))
            qdrant.requests.clear()
            store.search_words(["relay", "E3", "", "?"], 5)
            assert qdrant.operations() == ["query_batch"]
            qdrant.requests.clear()
            assert store.search_words(["", "?"], 5) == [[], []]
            assert qdrant.operations() == []

    def test_what_is_stored_is_a_sparse_vector_whose_frequencies_the_server_counts(
        self, qdrant: QdrantStub, database: QdrantDatabase
    ) -> None:
        options = ServerOptions(on_disk=True)
        QdrantDatabase(parse_address(qdrant.url), options).create(INFO).close()
        with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as client:
            created = (client.get_collection("news").config.params.sparse_vectors or {})[WORDS]
        assert created.modifier is models.Modifier.IDF

    def test_a_strict_mode_shortens_the_answer(self, qdrant: QdrantStub, database: QdrantDatabase) -> None:
        with closing(database.create(INFO)) as store:
            store.upsert([passage(n, "a walrus") for n in range(9)], vectors(9))
        with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as client:
            client.update_collection(
                "news", strict_mode_config=models.StrictModeConfig(enabled=True, max_query_limit=4)
            )
        assert len(found_anew(database, "walrus")) == 4

    def test_dense_search_is_what_it_was_before_words(self, old: QdrantStore, database: QdrantDatabase) -> None:
        target = vectors(1)
        before = old.search(target, 20)
        fetched = old.fetch([passage(3).id])
        _, rows = next(iter(old.scan(1000)))
        assert database.optimize("news")
        with closing(database.open("news")) as store:
            for opened in (old, store):
                assert opened.search(target, 20) == before
                assert [c.passage for c in opened.fetch([passage(3).id])] == [c.passage for c in fetched]
                assert np.array_equal(opened.fetch([passage(3).id])[0].embedding, fetched[0].embedding)
                assert np.array_equal(next(iter(opened.scan(1000)))[1], rows)
        assert database.check("news") == []


class TestUpgrade:
    def test_before_it_nothing_is_found_by_words_and_all_else_works(self, old: QdrantStore) -> None:
        assert numbers_found(old, "E7") == []
        assert len(old.search(vectors(1), 5)[0]) == 5

    def test_optimizing_indexes_all_words_once(self, old: QdrantStore, database: QdrantDatabase) -> None:
        assert database.optimize("news")
        assert found_anew(database, "E7") == ["the relay raised E7"]
        assert found_anew(database, f"E{COUNT - 1}") == [f"the relay raised E{COUNT - 1}"]
        assert not database.optimize("news")

    def test_so_does_the_next_passage_that_is_written(self, old: QdrantStore) -> None:
        old.upsert([passage(COUNT)], vectors(1))
        assert numbers_found(old, "E7") == ["the relay raised E7"]
        assert numbers_found(old, f"E{COUNT}") == [f"the relay raised E{COUNT}"]

    def test_upgraded_in_place_it_finds_what_a_new_one_finds(self, old: QdrantStore, database: QdrantDatabase) -> None:
        assert database.optimize("news")
        texts = ["relay", "E7 E8", "the", "raised E250", "", "zebra"]
        with (
            closing(database.create(replace(INFO, name="new"))) as new,
            closing(database.open("news")) as upgraded,
        ):
            migrate(old, new)
            found, expected = (
                [[candidate.passage for candidate in one] for one in store.search_words(texts, COUNT)]
                for store in (upgraded, new)
            )
            assert found == expected
            assert len(found[0]) == COUNT

    def test_cut_off_on_the_way_the_next_one_finishes_it(
        self, qdrant: QdrantStub, old: QdrantStore, database: QdrantDatabase
    ) -> None:
        qdrant.faults.append(Fault("status", on="update_vectors", skip=1, times=6))
        with pytest.raises(StoreUnreachable):
            database.optimize("news")
        [problem] = database.check("news")
        assert f"words are not indexed: {COUNT - 128}." in problem
        qdrant.requests.clear()
        old.upsert([passage(COUNT)], vectors(1))
        assert [r.points for r in qdrant.requests if r.operation == "update_vectors"] == [128, COUNT - 256]
        assert database.check("news") == [f"'a.md' has {COUNT + 1} passages, but its record says {COUNT}."]

    @pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate"])
    @pytest.mark.parametrize("on", ["create_vector_name", "update_vectors"])
    def test_a_cut_connection_is_got_over(
        self, qdrant: QdrantStub, old: QdrantStore, database: QdrantDatabase, kind: str, on: str
    ) -> None:
        qdrant.faults.append(Fault(kind, on=on))  # type: ignore[arg-type]
        assert database.optimize("news")
        assert found_anew(database, "E7") == ["the relay raised E7"]
        assert not database.optimize("news")

    def test_a_passage_deleted_meanwhile_stops_nothing(
        self, qdrant: QdrantStub, old: QdrantStore, database: QdrantDatabase
    ) -> None:
        qdrant.faults.append(Fault("delay", on="update_vectors", seconds=0.3))
        with ThreadPoolExecutor(1) as pool:
            optimizing = pool.submit(database.optimize, "news")
            while not any(request.operation == "update_vectors" for request in qdrant.requests):
                sleep(0.01)
            old.delete_passages("a.md")
            assert optimizing.result()
        assert old.count() == 0

    def test_words_that_another_process_writes_meanwhile_stay(
        self, qdrant: QdrantStub, old: QdrantStore, database: QdrantDatabase
    ) -> None:
        first = min(range(COUNT), key=lambda n: passage(n).id)
        qdrant.faults.append(Fault("delay", on="update_vectors", seconds=0.5))
        with ThreadPoolExecutor(1) as pool:
            optimizing = pool.submit(database.optimize, "news")
            while not any(request.operation == "update_vectors" for request in qdrant.requests):
                sleep(0.01)
            with closing(database.open("news")) as other:
                other._words_checked = True
                other.upsert([passage(first, "a walrus")], vectors(1))
            assert optimizing.result()
        assert found_anew(database, "walrus") == ["a walrus"]
        assert f"the relay raised E{first}" not in found_anew(database, f"E{first}")

    def test_points_of_others_are_left_alone(
        self, qdrant: QdrantStub, old: QdrantStore, database: QdrantDatabase
    ) -> None:
        with closing(QdrantClient(url=qdrant.url, check_compatibility=False)) as client:
            client.upsert("news", [models.PointStruct(id=7, vector=[1.0] + [0.0] * 7, payload={"text": "E7"})])
        assert database.optimize("news")
        assert not database.optimize("news")
        assert found_anew(database, "E7") == ["the relay raised E7"]

    def test_a_server_that_cannot_add_an_index_is_told_and_goes_on(
        self, qdrant: QdrantStub, old: QdrantStore, database: QdrantDatabase, caplog: pytest.LogCaptureFixture
    ) -> None:
        qdrant.version = "1.17.1"
        with caplog.at_level(logging.WARNING, "sift_rag"):
            assert not database.optimize("news")
            told = [
                record.getMessage() for record in caplog.records if "cannot add a word index" in record.getMessage()
            ]
            assert len(told) == 1
            with closing(database.open("news")) as store:
                for number in (COUNT, COUNT + 1):
                    store.upsert([passage(number)], vectors(1))
                assert store.count() == COUNT + 2
                assert numbers_found(store, "E7") == []
        assert sum("cannot add a word index" in record.getMessage() for record in caplog.records) == 2
        assert "create_vector_name" not in qdrant.operations()
        with closing(database.documents("news")) as records:
            assert isinstance(records, WordStatus)
            assert records.words_indexed is False

    def test_there_a_migration_to_a_new_collection_indexes_the_words(
        self, qdrant: QdrantStub, old: QdrantStore, database: QdrantDatabase
    ) -> None:
        qdrant.version = "1.17.1"
        done = migrate_collection(qdrant.url, qdrant.url, "news", target_collection="newer")
        assert done.differences == ()
        with closing(database.open("newer")) as store:
            assert numbers_found(store, "E7") == ["the relay raised E7"]

    def test_records_tell_whether_words_are_indexed(self, old: QdrantStore, database: QdrantDatabase) -> None:
        for expected in (False, True):
            with closing(database.documents("news")) as records:
                assert isinstance(records, WordStatus)
                assert records.words_indexed is expected
            database.optimize("news")


def test_a_migration_carries_words_from_a_folder_to_a_server_and_back(
    database: QdrantDatabase, qdrant: QdrantStub, tmp_path: Path
) -> None:
    with closing(database.create(INFO)) as store:
        store.upsert([passage(n) for n in range(30)], vectors(30))
        store.put_documents([Document("a.md", "/a.md", "ingested", passages=30)])
    for origin, target, name in (
        (qdrant.url, tmp_path / "folder", "folder"),
        (tmp_path / "folder", qdrant.url, "back"),
        (qdrant.url, qdrant.url, "copy"),
    ):
        source = {"folder": "news", "back": "folder", "copy": "back"}[name]
        assert migrate_collection(origin, target, source, target_collection=name).differences == ()
    for name in ("news", "back", "copy"):
        with closing(database.open(name)) as store:
            assert numbers_found(store, "E7") == ["the relay raised E7"]
