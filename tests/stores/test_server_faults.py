"""Transport faults: each ends in success after a retry or in one clear error, with nothing lost and nothing twice.

On the stub of a Qdrant server, over both protocols. The pauses between attempts are noted, not waited for, where the
stub itself needs no time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID, uuid5

import numpy as np
import pytest

from sift_rag.errors import (
    CollectionNotFound,
    ConfigurationError,
    StoreConflict,
    StoreError,
    StoreFull,
    StoreUnreachable,
)
from sift_rag.protocols import PassageStore
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.qdrant.address import parse_address
from sift_rag.stores.qdrant.connection import Retrying, warn_of_open_key
from sift_rag.stores.qdrant.database import QdrantDatabase
from sift_rag.stores.qdrant.errors import RequestFailure
from sift_rag.types import CollectionInfo, Document, Embedding, Passage, Span
from tests.qdrant_stub.faults import Fault
from tests.qdrant_stub.server import QdrantStub
from tests.servers import PROTOCOLS

pytestmark = pytest.mark.slow

DIMENSION = 8
INFO = CollectionInfo("news", "an embedder", DIMENSION, SCHEMA_VERSION, "1/200/20")
NAMESPACE = UUID("5b7e7f57-97b0-4b5c-a4a5-0f2f6c1d6f11")
COUNT = 300
REQUESTS = 3
"""Number of requests that write these passages."""
SECRET = "a-key-that-nobody-may-see"


@dataclass
class Server:
    """The stub, asked over one protocol, with the pauses that were made."""

    stub: QdrantStub
    protocol: str
    pauses: list[float] = field(default_factory=list)

    def url(self, parameters: str = "") -> str:
        if self.protocol == "grpc":
            return f"grpc://127.0.0.1:{self.stub.grpc_port}?{parameters}".rstrip("?")
        return f"{self.stub.url}?grpc_port=9&{parameters}".rstrip("&")

    def database(
        self, *, api_key: str | None = None, parameters: str = "", sleep: Callable[[float], None] | None = None
    ) -> QdrantDatabase:
        address = parse_address(self.url(parameters), api_key=api_key)
        retrying = Retrying(sleep=sleep or self.pauses.append)
        return QdrantDatabase(address, retrying=retrying)

    def written(self) -> list[int]:
        """Return the number of points of each request that writes passages, in order."""
        return [r.points for r in self.stub.requests if r.operation == "upsert" and r.collection == "news@0"]


@pytest.fixture(params=PROTOCOLS)
def server(request: pytest.FixtureRequest, qdrant: QdrantStub) -> Server:
    return Server(qdrant, request.param)


@pytest.fixture
def store(server: Server) -> Iterator[PassageStore]:
    with closing(server.database().create(INFO)) as made:
        yield made


@cache
def passages(count: int = COUNT, *, text: str = "text") -> list[Passage]:
    return [
        Passage(str(uuid5(NAMESPACE, f"{n}")), f"{text} {n}", "a.md", Span(10 * n, 10 * n + 9)) for n in range(count)
    ]


def vectors(count: int = COUNT) -> Embedding:
    rows = np.random.default_rng(0).standard_normal((count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def check_whole(store: PassageStore) -> None:
    found = list(store.passages("a.md"))
    assert [candidate.passage for candidate in found] == passages()
    assert np.array_equal([candidate.embedding for candidate in found], vectors())
    assert store.count() == COUNT


PASSING = [
    Fault("status", status=429, retry_after=7),
    Fault("status", status=429),
    Fault("status", status=500),
    Fault("status", status=503, times=3),
    Fault("reset_before"),
    Fault("reset_after"),
    Fault("truncate"),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind} {fault.status} {fault.retry_after}")
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_an_upload_goes_on_after_a_fault_that_passes(
    server: Server, store: PassageStore, fault: Fault, skip: int
) -> None:
    server.stub.faults.append(Fault(**(vars(fault) | {"on": "upsert", "skip": skip})))
    store.upsert(passages(), vectors())
    check_whole(store)
    assert len(server.written()) >= REQUESTS + fault.times
    assert len(server.pauses) >= fault.times
    assert min(server.pauses) >= (fault.retry_after or 0.125)


@pytest.mark.parametrize("operation", ["query_batch", "scroll", "count", "retrieve"])
def test_reading_goes_on_after_a_fault_that_passes(server: Server, store: PassageStore, operation: str) -> None:
    store.upsert(passages(), vectors())
    expected = store.search(vectors(1), 20)
    server.stub.faults.extend([Fault("status", on=operation, status=503), Fault("truncate", on=operation)])
    assert store.search(vectors(1), 20) == expected
    check_whole(store)
    assert len(server.pauses) >= 2


def test_a_request_that_takes_too_long_is_made_again(server: Server) -> None:
    with closing(server.database(parameters="timeout=3").create(INFO)) as store:
        server.stub.faults.append(Fault("hang", on="upsert", skip=1))
        store.upsert(passages(), vectors())
        check_whole(store)
        assert len(server.pauses) == 1


def test_pauses_double_and_no_two_clients_make_the_same() -> None:
    some = [Retrying(sleep=lambda _: None).pause(attempt, _passing_fault()) for attempt in (1, 1, 2, 3, 4, 5, 9)]
    for pause, most in zip(some, (0.25, 0.25, 0.5, 1, 2, 4, 8), strict=True):
        assert most / 2 <= pause <= most
    assert some[0] != some[1]


def _passing_fault() -> RequestFailure:
    return RequestFailure(StoreError(), transient=True)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_stays_is_one_error_and_what_was_acknowledged_is_there(
    server: Server, store: PassageStore, status: int
) -> None:
    server.stub.faults.append(Fault("status", on="upsert", status=status, skip=1, times=100))
    with pytest.raises(StoreUnreachable, match=r"Try again later|no answer from"):
        store.upsert(passages(), vectors())
    assert len(server.written()) == 1 + 6
    assert store.count() == server.written()[0]
    server.stub.faults.clear()
    store.upsert(passages(), vectors())
    check_whole(store)


def test_a_server_that_asks_to_wait_for_an_hour_is_not_waited_for(server: Server, store: PassageStore) -> None:
    server.stub.faults.append(Fault("status", on="upsert", status=429, retry_after=3600))
    with pytest.raises(StoreUnreachable, match="too many requests"):
        store.upsert(passages(), vectors())
    assert server.pauses == []


@pytest.mark.parametrize(
    ("status", "message", "kind", "expected"),
    [
        (400, "Wrong input: something", StoreError, "Wrong input: something"),
        (500, "No space left on device: WAL", StoreFull, "no space left"),
        (404, "Not found: Collection `news@0` doesn't exist!", CollectionNotFound, "'news' is not .or no longer. on"),
        (413, "Error, decoded message length too large: found 40000000 bytes", StoreError, "size"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(
    server: Server, store: PassageStore, status: int, message: str, kind: type[Exception], expected: str
) -> None:
    server.stub.faults.append(Fault("status", on="upsert", status=status, message=message, times=100))
    with pytest.raises(kind, match=expected):
        store.upsert(passages(), vectors())
    assert len(server.written()) == 1
    assert server.pauses == []


def test_a_server_that_is_down_is_told_at_once(server: Server) -> None:
    server.database().create(INFO).close()
    database = server.database()
    with (
        server.stub.down(),
        pytest.raises(StoreUnreachable, match=r"no answer from Qdrant at .*Check that it is running"),
    ):
        database.open("news")
    assert server.pauses == []


def test_a_server_that_restarts_amid_an_upload_gets_the_rest(server: Server) -> None:
    with ExitStack() as down:

        def comes_back(seconds: float) -> None:
            down.close()
            time.sleep(seconds)  # as it is: a channel needs its time to connect anew

        with closing(server.database(sleep=comes_back).create(INFO)) as store:
            store.upsert(passages()[:200], vectors()[:200])
            down.enter_context(server.stub.down())
            store.upsert(passages(), vectors())
            check_whole(store)


class TestKeys:
    @pytest.fixture
    def guarded(self, request: pytest.FixtureRequest) -> Iterator[QdrantStub]:
        with QdrantStub(api_key=SECRET, read_only_api_key="read") as stub:
            yield stub

    @pytest.fixture(params=PROTOCOLS)
    def locked(self, request: pytest.FixtureRequest, guarded: QdrantStub) -> Server:
        return Server(guarded, request.param)

    def test_with_the_key_all_works_and_is_never_shown(self, locked: Server, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        with closing(locked.database(api_key=SECRET).create(INFO)) as store:
            locked.stub.faults.append(Fault("status", on="upsert", status=503))
            store.upsert(passages(), vectors())
            check_whole(store)
        assert caplog.records
        assert SECRET not in caplog.text
        assert SECRET not in repr(parse_address(locked.url(), api_key=SECRET))

    def test_without_a_key_the_remedy_is_to_set_one(self, locked: Server) -> None:
        with pytest.raises(ConfigurationError, match="asks for an API key, but none is set") as told:
            locked.database().open("news")
        assert told.value.remedy is not None
        assert told.value.remedy.key == "qdrant-key"
        assert locked.pauses == []

    def test_a_wrong_key_is_refused_and_not_shown(self, locked: Server) -> None:
        with pytest.raises(ConfigurationError, match="does not accept the API key") as error:
            locked.database(api_key="wrong-key").open("news")
        assert "wrong-key" not in str(error.value)
        assert locked.pauses == []

    def test_a_key_that_may_only_read_reads_and_is_refused_when_it_writes(self, locked: Server) -> None:
        with closing(locked.database(api_key=SECRET).create(INFO)) as store:
            store.upsert(passages(), vectors())
        with closing(locked.database(api_key="read").open("news")) as store:
            check_whole(store)
            with pytest.raises(ConfigurationError, match="does not allow this with the API key"):
                store.upsert(passages(1), vectors(1))

    @pytest.mark.parametrize(
        ("url", "warned"),
        [
            ("http://qdrant.example.org:6333", True),
            ("grpc://10.1.2.3", True),
            ("https://qdrant.example.org", False),
            ("grpcs://10.1.2.3", False),
            ("http://127.0.0.1:6333", False),
            ("http://localhost", False),
            ("http://[::1]:6333", False),
        ],
    )
    def test_a_key_that_travels_in_the_open_is_warned_of(
        self, url: str, warned: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        warn_of_open_key(parse_address(url, api_key=SECRET))
        assert ("unencrypted" in caplog.text) == warned
        assert SECRET not in caplog.text


class TestSize:
    def test_requests_hold_at_most_128_points_and_16_mebibytes(self, server: Server, store: PassageStore) -> None:
        store.upsert(passages(), vectors())
        assert server.written() == [128, 128, 44]
        long = passages(5, text="x" * (6 * 2**20))
        store.upsert(long, vectors(5))
        assert server.written()[3:] == [2, 2, 1]
        assert [candidate.passage for candidate in store.fetch([p.id for p in long])] == long

    def test_a_passage_that_no_request_can_hold_is_one_error_and_harms_no_other(self) -> None:
        with QdrantStub(max_body_bytes=200_000) as stub:
            server = Server(stub, "rest")
            with closing(server.database().create(INFO)) as store:
                store.upsert(passages(), vectors())
                with pytest.raises(StoreError, match="size"):
                    store.upsert(passages(1, text="x" * 300_000), vectors(1))
                check_whole(store)
                assert server.pauses == []


class TestVersions:
    @pytest.mark.parametrize("version", ["1.15.4", "0.11.0", "2.0.0"])
    def test_a_server_that_cannot_do_is_refused(self, server: Server, version: str) -> None:
        server.stub.version = version
        with pytest.raises(StoreConflict, match=rf"is Qdrant {version}; expected is 1.16 or newer"):
            server.database().create(INFO)

    @pytest.mark.parametrize(
        ("version", "warning"),
        [("1.99.0", "within one minor version"), ("v1", "cannot be read"), ("", "cannot be read")],
    )
    def test_a_server_that_may_not_fit_is_warned_of(
        self, server: Server, version: str, warning: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.stub.version = version
        with closing(server.database().create(INFO)) as store:
            assert store.count() == 0
        assert warning in caplog.text

    def test_a_server_of_the_clients_own_version_is_not(self, server: Server, caplog: pytest.LogCaptureFixture) -> None:
        server.database().create(INFO).close()
        assert caplog.text == ""


class TestUnderUs:
    def test_a_collection_that_is_deleted_is_told_and_not_made_again(self, server: Server, store: PassageStore) -> None:
        store.upsert(passages(), vectors())
        server.database().drop("news")
        for use in (
            lambda: store.search(vectors(1), 5),
            lambda: store.upsert(passages(), vectors()),
            lambda: store.delete_passages("a.md"),
            lambda: list(store.documents()),
            lambda: store.put_documents([Document("a.md", "/a.md", "pending")]),
            store.count,
        ):
            with pytest.raises(CollectionNotFound, match=r"'news' is not .or no longer. on .*deleted or replaced"):
                use()
        assert server.database().collections() == []
        assert server.stub.engine.list_collections().collections == []

    def test_a_replaced_collection_is_told_to_who_had_it_open(self, server: Server, store: PassageStore) -> None:
        store.upsert(passages(), vectors())
        building = server.database().building_name("news")
        with closing(server.database().create(CollectionInfo(building, "another", 4, SCHEMA_VERSION))) as new:
            assert server.database().collections() == [INFO]
            assert new.count() == 0
        server.database().replace("news", building)
        with pytest.raises(CollectionNotFound, match="replaced"):
            store.search(vectors(1), 5)
        assert server.database().collections() == [CollectionInfo("news", "another", 4, SCHEMA_VERSION)]
        names = {entry.name for entry in server.stub.engine.list_collections().collections}
        assert names == {building, f"{building}.documents"}

    def test_an_answer_lost_while_a_collection_is_made_makes_it_once(self, server: Server) -> None:
        server.stub.faults.append(Fault("reset_after", on="create_collection"))
        with closing(server.database().create(INFO)) as store:
            store.upsert(passages(), vectors())
            check_whole(store)
        assert server.database().collections() == [INFO]

    @pytest.mark.parametrize("dies_at", ["create_collection", "create_index", "update_aliases"])
    def test_what_a_maker_that_died_left_behind_is_taken_up(self, server: Server, dies_at: str) -> None:
        server.stub.faults.append(Fault("status", on=dies_at, status=503, skip=int("e_c" in dies_at), times=6))
        with pytest.raises(StoreUnreachable):
            server.database().create(INFO)
        assert server.database().collections() == []
        other = CollectionInfo("news", "another", 4, SCHEMA_VERSION)
        server.database().create(other).close()
        assert server.database().collections() == [other]

    def test_two_that_make_one_at_the_same_time_get_the_same(self, server: Server) -> None:
        first: list[PassageStore] = []

        def the_other_one_first(_: float) -> None:
            first.append(server.database().create(INFO))
            first[0].upsert(passages(), vectors())

        server.stub.faults.append(Fault("status", on="create_collection", status=503))
        with pytest.raises(StoreConflict, match="just created"):  # and what it made is opened: open_or_create_store
            server.database(sleep=the_other_one_first).create(INFO)
        with closing(first[0]), closing(server.database().open("news")) as store:
            check_whole(store)

    def test_one_that_looks_for_leftovers_keeps_what_another_writes_at_that_moment(self, server: Server) -> None:
        server.stub.faults.append(Fault("status", on="update_aliases", status=503, times=6))
        with pytest.raises(StoreUnreachable):
            server.database().create(INFO)

        def the_other_one(_: float) -> None:
            with closing(server.database().create(INFO)) as store:
                store.put_documents([Document("a.md", "/a.md", "ingested")])

        server.stub.faults.append(Fault("status", on="count*", status=503, skip=1))  # the second one counts records
        server.database(sleep=the_other_one).create(INFO).close()
        with closing(server.database().open("news")) as store:
            assert [document.source for document in store.documents()] == ["a.md"]

    def test_a_drop_that_died_halfway_brings_nothing_back(self, server: Server, store: PassageStore) -> None:
        store.upsert(passages(), vectors())
        store.put_documents([Document("a.md", "/a.md", "ingested", passages=COUNT)])
        server.stub.faults.append(Fault("status", on="delete_collection", status=503, times=6))
        with pytest.raises(StoreUnreachable):
            server.database().drop("news")
        assert server.database().collections() == []
        with closing(server.database().create(INFO)) as made:
            assert made.count() == 0
            assert list(made.documents()) == []
