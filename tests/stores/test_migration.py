"""A collection migrated: everything, once, comparable afterwards, whatever happened before or in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from sift_rag.protocols import PassageStore
from sift_rag.stores import migration as module
from sift_rag.stores.comparison import fingerprint
from sift_rag.stores.embedded.check import check_collection
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection, open_collection
from sift_rag.stores.memory import MemoryStore
from sift_rag.stores.migration import TOLERANCE, MigrationProgress, migrate
from sift_rag.types import CollectionInfo, Document, Embedding, Passage, Span
from tests.doubles import Fragile, Killed

DIMENSION = 24
INFO = CollectionInfo("news", "an embedder", DIMENSION, SCHEMA_VERSION)
COUNTS = {"a.md": 3, "b.md": 11, "c.md": 1, "d.md": 0, "e.md": 5}


def passages(source: str, count: int, *, revision: str = "1") -> list[Passage]:
    first = 1000 * (1 + ord(source[0]))
    return [
        Passage(
            str(UUID(int=first + number)),
            f"text {number} of {source}",
            source,
            Span(number, number + 1, number),
            title="A title",
            headings=("One", "Two"),
            metadata={"tags": ["x", source], "number": 0.1 * number},
            revision=revision,
        )
        for number in range(count)
    ]


def vectors(count: int, *, seed: int = 0) -> Embedding:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


def put(store: PassageStore, source: str, count: int, *, revision: str = "1", seed: int | None = None) -> None:
    rows = vectors(count, seed=ord(source[0]) if seed is None else seed)
    store.upsert(passages(source, count, revision=revision), rows)
    state = "ingested" if count else "failed"
    store.put_documents([Document(source, f"/{source}", state, passages=count, revision=revision)])  # type: ignore[arg-type]


@pytest.fixture
def origin() -> MemoryStore:
    store = MemoryStore(INFO)
    for source, count in COUNTS.items():
        put(store, source, count)
    return store


@pytest.fixture
def target() -> MemoryStore:
    return MemoryStore(INFO)


def contents(store: PassageStore) -> dict[Document, list[tuple[Passage, bytes]]]:
    return {
        document: [(c.passage, c.embedding.tobytes()) for c in store.passages(document.source)]
        for document in store.documents()
    }


def same(one: PassageStore, other: PassageStore) -> bool:
    return contents(one) == contents(other) and one.count() == other.count()


@pytest.mark.parametrize("window", [1, 2, 4, 5, 256])
def test_everything_arrives_bit_for_bit(
    origin: MemoryStore, target: MemoryStore, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", window)
    before = contents(origin)
    done = migrate(origin, target)
    assert contents(target) == before == contents(origin)
    assert (done.carried, done.skipped, done.repaired, done.passages, done.besides) == (5, 0, 0, 20, 0)
    assert (done.deviation, done.differences) == (0.0, ())


@pytest.mark.slow
def test_between_embedded_stores_every_bit_arrives_also_of_rows_that_the_engine_brought_to_norm_1(
    tmp_path: Path,
) -> None:
    one = create_collection(tmp_path / "one", INFO)
    rows = vectors(500)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) * np.linspace(1 - 2e-6, 1 + 2e-6, 500)[:, None]
    one.upsert(passages("a.md", 500), rows.astype(np.float32))
    one.put_documents([Document("a.md", "/a.md", "ingested", passages=500, revision="1")])
    other = create_collection(tmp_path / "two", replace(INFO, name="other"))
    done = migrate(one, other)
    assert (done.differences, done.deviation, done.passages) == ((), 0.0, 500)
    assert contents(one) == contents(other)
    one.close()
    other.close()
    assert check_collection(tmp_path / "two", "other") == []


def test_a_second_run_finds_everything_there_and_writes_nothing(
    origin: MemoryStore, target: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = migrate(origin, target)
    for name in ("upsert", "put_documents", "delete_passages", "drop_documents"):
        monkeypatch.setattr(target, name, lambda *_, **__: pytest.fail("something was written again"))
    second = migrate(origin, Writeless(target))
    assert (second.carried, second.skipped) == (0, 5)
    assert (second.fingerprint, second.differences) == (first.fingerprint, ())


class Writeless:
    """A store that refuses every write, even an empty one."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put_documents(self, documents: Sequence[Document]) -> None:
        assert not documents

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        assert not passages


@pytest.mark.slow
@pytest.mark.parametrize("window", [2, 4, 256])
def test_killed_after_any_write_and_run_again_it_ends_like_an_undisturbed_one(
    origin: MemoryStore, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", window)
    before = contents(origin)
    deaths = 0
    for writes in range(1, 60):
        target = MemoryStore(INFO)
        put(target, "b.md", 14, revision="0", seed=5)  # another version of a document
        try:
            migrate(origin, Fragile(target, writes))  # type: ignore[arg-type]
        except Killed:
            deaths += 1
        for document in target.documents():
            if document.state == "ingested":  # acknowledged: it is whole
                assert len(list(target.passages(document.source))) == document.passages
        done = migrate(origin, target)
        assert done.differences == ()
        assert same(origin, target)
        assert contents(origin) == before
    assert 3 < deaths < 59


def test_the_origin_is_never_written(origin: MemoryStore, target: MemoryStore) -> None:
    migrate(Fragile(origin, 1), target)  # type: ignore[arg-type]
    assert same(origin, target)


def test_a_document_that_the_target_holds_in_another_version_becomes_the_origins(
    origin: MemoryStore, target: MemoryStore
) -> None:
    put(target, "a.md", 7, revision="0", seed=1)
    assert migrate(origin, target).carried == 5
    assert same(origin, target)


def test_what_the_target_holds_besides_stays_and_is_counted(origin: MemoryStore, target: MemoryStore) -> None:
    put(target, "z.md", 4)
    done = migrate(origin, target)
    assert (done.besides, done.differences) == (1, ())
    assert len(list(target.passages("z.md"))) == 4


def test_a_record_that_alone_has_changed_is_written_without_its_passages(
    origin: MemoryStore, target: MemoryStore
) -> None:
    migrate(origin, target)
    record = origin.document("b.md")
    assert record is not None
    origin.put_documents([replace(record, location="/elsewhere/b.md", modified_ns=7)])
    assert migrate(origin, target).carried == 0
    assert same(origin, target)


def test_a_document_under_way_in_the_origin_arrives_as_it_is(origin: MemoryStore, target: MemoryStore) -> None:
    origin.upsert(passages("b.md", 4, revision="2"), vectors(4, seed=9))  # of two revisions now
    record = origin.document("b.md")
    assert record is not None
    origin.put_documents([replace(record, state="pending")])
    for _ in range(2):
        assert migrate(origin, target).differences == ()
        assert same(origin, target)


DAMAGES: dict[str, Callable[[MemoryStore], object]] = {
    "a passage is lost": lambda store: store._passages.pop(store.fetch([ident("b.md", 3)])[0].passage.id),
    "a vector is another": lambda store: store.upsert(passages("b.md", 1), vectors(1, seed=77)),
    "a text is another": lambda store: store.upsert(
        [replace(passages("b.md", 1)[0], text="other")], vectors(1, seed=ord("b"))
    ),
    "a passage is too many": lambda store: store.upsert(passages("b.md", 12)[11:], vectors(1)),
    "all are gone": lambda store: store.delete_passages("b.md"),
}


def ident(source: str, number: int) -> str:
    return passages(source, number + 1)[number].id


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_had_arrived_and_differs_is_carried_over_once_more(
    origin: MemoryStore, target: MemoryStore, damage: str
) -> None:
    migrate(origin, target)
    DAMAGES[damage](target)
    done = migrate(origin, target)
    assert (done.carried, done.repaired, done.differences) == (0, 1, ())
    assert same(origin, target)


class Lossy:
    """A store that keeps vectors as its caller says."""

    def __init__(self, store: MemoryStore, keep: Callable[[Embedding], Embedding]) -> None:
        self._store, self._keep = store, keep

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        self._store.upsert(passages, self._keep(embeddings))


def test_half_precision_is_equal_within_what_is_told(origin: MemoryStore, target: MemoryStore) -> None:
    half = Lossy(target, lambda rows: rows.astype(np.float16).astype(np.float32))
    done = migrate(origin, half)  # type: ignore[arg-type]
    assert done.differences == ()
    assert 0 < done.deviation <= TOLERANCE
    largest = max(
        np.abs(ours.embedding - theirs.embedding).max()
        for source in COUNTS
        for ours, theirs in zip(origin.passages(source), target.passages(source), strict=True)
    )
    assert done.deviation == largest


def test_a_target_that_does_not_keep_vectors_is_told_with_the_number_of_them(
    origin: MemoryStore, target: MemoryStore
) -> None:
    done = migrate(origin, Lossy(target, lambda rows: rows[:, ::-1]))  # type: ignore[arg-type]
    assert done.repaired == 4
    assert "Of the passages of 'b.md', the target has 11 with other vectors." in done.differences


def test_a_target_that_loses_passages_is_told_with_the_number_of_them(
    origin: MemoryStore, target: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = target.upsert

    def forgetful(passages: Sequence[Passage], embeddings: Embedding) -> None:
        kept = [index for index, passage in enumerate(passages) if not passage.text.startswith("text 2 ")]
        upsert([passages[index] for index in kept], embeddings[kept])

    monkeypatch.setattr(target, "upsert", forgetful)
    done = migrate(origin, target)
    assert done.differences == tuple(
        f"Of the passages of '{source}', the target has 1 missing." for source in ("a.md", "b.md", "e.md")
    )


def test_passages_without_a_record_are_told_on_either_side(origin: MemoryStore, target: MemoryStore) -> None:
    origin.upsert(passages("x.md", 2), vectors(2))
    target.upsert(passages("y.md", 3), vectors(3))
    done = migrate(origin, target)
    unrecorded = "Passages without a record of their document in the"
    assert done.differences == (
        f"{unrecorded} origin, which were not copied: 2.",
        f"{unrecorded} target: 3.",
    )


def test_vectors_of_two_embedders_do_not_come_together(origin: MemoryStore) -> None:
    for info in (replace(INFO, embedder="other"), replace(INFO, dimension=3)):
        with pytest.raises(ValueError, match="cannot be copied"):
            migrate(origin, MemoryStore(info))


def test_a_collection_under_two_names_is_not_carried_over_into_itself(origin: MemoryStore) -> None:
    record = origin.document("b.md")
    assert record is not None
    origin.put_documents([replace(record, state="pending")])
    before = contents(origin)
    with pytest.raises(ValueError, match="into itself"):
        migrate(origin, origin)
    assert contents(origin) == before


def test_progress_goes_through_both_steps_to_the_end(origin: MemoryStore, target: MemoryStore) -> None:
    seen: list[MigrationProgress] = []
    migrate(origin, target, progress=seen.append)
    assert [(p.step, p.documents_done) for p in seen] == [
        (step, number) for step in ("copy", "verify") for number in range(1, 6)
    ]
    assert {p.documents for p in seen} == {5}
    assert seen[-1].passages_done == 20


def test_a_fingerprint_knows_every_bit_and_no_order(origin: MemoryStore) -> None:
    found = list(origin.passages("b.md"))
    whole = fingerprint(found)
    assert whole == fingerprint(reversed(found))
    assert (fingerprint(found[:4]) + fingerprint(found[4:])) % 2**128 == whole
    assert fingerprint([]) == 0
    first = found[0]
    row = first.embedding.copy()
    row[5] = np.nextafter(row[5], np.float32(2))
    others = [
        replace(first, embedding=row),
        replace(first, passage=replace(first.passage, text="text 0 of b.mD")),
        replace(first, passage=replace(first.passage, metadata={})),
        replace(first, passage=replace(first.passage, id=ident("a.md", 0))),
    ]
    assert len({fingerprint([other]) for other in [first, *others]}) == 5


def test_an_empty_collection_arrives_empty(target: MemoryStore) -> None:
    done = migrate(MemoryStore(INFO), target)
    assert (done.passages, done.fingerprint, done.differences) == (0, "0" * 32, ())


@pytest.mark.slow
def test_what_arrived_in_an_embedded_store_is_there_after_reopening(origin: MemoryStore, tmp_path: Path) -> None:
    made = create_collection(tmp_path, INFO)
    migrate(origin, made)
    made.close()
    opened = open_collection(tmp_path, "news")
    assert contents(opened).keys() == contents(origin).keys()
    opened.close()
