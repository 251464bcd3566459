"""The documents of a collection over HTTP: listed, read, uploaded, ingested and deleted."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from sift_rag import ingest_paths
from sift_rag.opening import open_store
from sift_rag.types import Embedding
from sift_rag_server import Limits
from sift_rag_server.page import upload_files
from tests.doubles import HashingEmbedder
from tests.http.serving import Served, serving

REFUNDS = "# Refunds\n\nYou can return a lamp within thirty days. A refund needs the receipt.\n"
HOSTILE = "# <img src=x onerror=alert(1)>\n\nThe <script>lamp</script> is \u202egnihton\u202c but \x07 light.\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five documents, of which two are copies, one is long and one could not be read."""
    folder = tmp_path_factory.mktemp("documents") / "shop"
    files = {
        "refunds.md": REFUNDS,
        "old/refunds.md": REFUNDS,
        "<b>.md": HOSTILE,
        "long.md": "# Long\n\n"
        + "\n\n".join(f"Paragraph {n} has words of its own: {'word ' * 30}." for n in range(40)),
        "broken.pdf": "%PDF-1.4 and no more",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    store = tmp_path_factory.mktemp("store")
    ingest_paths([folder], store=store, embedder=HashingEmbedder())
    return store


@pytest.fixture(scope="module")
def shown(shop: Path) -> Iterator[Served]:
    """A server of that collection which does not write."""
    with serving(store=shop, idle_seconds=0) as running:
        yield running


@pytest.fixture
def writable(tmp_path: Path) -> Iterator[Served]:
    """A server that accepts documents, without any collection."""
    with serving(store=tmp_path / "store", idle_seconds=60, uploads=tmp_path / "files") as running:
        yield running


def token(served: Served) -> dict[str, str]:
    return {"x-sift-rag-token": served.client.get("/page/session").json()["token"]}


def upload(served: Served, name: str, content: bytes | str, **query: str) -> int:
    content = content.encode() if isinstance(content, str) else content
    return served.client.post(
        "/page/uploads",
        params={"collection": "notes", "name": name, **query},
        content=content,
        headers=token(served),
    ).status_code


def ingest(served: Served, *names: str) -> dict[str, dict[str, Any]]:
    """Ingest uploads and return the result of each file by its source."""
    asked = {"collection": "notes", "names": names}
    begun = served.client.post("/page/ingest", json=asked, headers=token(served))
    assert begun.status_code == 200, begun.text
    return {str(one["source"]): one for one in followed(served)["done"]["files"]}


def followed(served: Served) -> dict[str, Any]:
    """The events of the last ingest by their names, of each the last one."""
    events = served.client.post("/page/ingest/events", json={"collection": "notes"}).text
    pairs = [event.split("\n") for event in events.strip().split("\n\n")]
    return {name.removeprefix("event: "): json.loads(data.removeprefix("data: ")) for name, data in pairs}


def listed(served: Served, **query: object) -> dict[str, Any]:
    reply = served.client.get("/page/documents", params={"collection": "documents", **query})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_documents_come_with_their_states_and_can_be_searched_filtered_and_paged(shown: Served) -> None:
    everything = listed(shown)
    assert everything["counts"] == {
        "all": 5, "ingested": 4, "failed": 1, "pending": 0, "scans": 0, "notices": 0
    }  # fmt: skip
    sources = [document["source"] for document in everything["documents"]]
    assert sources == sorted(sources)
    failed = listed(shown, state="failed")["documents"]
    assert [document["source"] for document in failed] == ["shop/broken.pdf"]
    assert failed[0]["reason"]
    found = listed(shown, search="REFUNDS shop/old")
    assert [document["source"] for document in found["documents"]] == ["shop/old/refunds.md"]
    assert found["counts"]["all"] == found["total"] == 1
    pages = [listed(shown, limit=2, offset=offset)["documents"] for offset in (0, 2, 4)]
    assert [document["source"] for page in pages for document in page] == sources
    english = listed(shown, language="en")
    assert english["total"] == english["counts"]["all"] == english["languages"]["en"] == 2
    assert {document["language"] for document in english["documents"]} == {"en"}
    assert english["languages"] == everything["languages"] == {"": 3, "en": 2}
    assert listed(shown, language="")["total"] == 3
    assert shown.client.get("/page/documents", params={"language": "<b>"}).status_code == 400
    longest = listed(shown, sort="passages", limit=1)["documents"]
    assert longest[0]["source"] == "shop/long.md"


def test_the_passages_around_one_are_those_before_and_after_it(shown: Served, shop: Path) -> None:
    with closing(open_store(shop)) as store:
        ids = [candidate.passage.id for candidate in store.passages("shop/long.md")]

    def stretch(**query: object) -> dict[str, Any]:
        asked = {"collection": "documents", "source": "shop/long.md", **query}
        return dict(shown.client.get("/page/documents/passages", params=asked).json())

    for place in (0, 1, 7, len(ids) - 1):
        got = stretch(around=ids[place], before=3, after=4)
        expected = ids[max(0, place - 3) : place + 5]
        assert [passage["id"] for passage in got["passages"]] == expected
        assert got["before"] == max(0, place - 3)
        assert got["before"] + len(expected) + got["after"] == len(ids)
    assert [passage["id"] for passage in stretch(after=2)["passages"]] == ids[:3]
    assert stretch()["passages"][0]["headings"] == ["Long"]


def test_what_is_not_there_is_told_in_a_sentence(shown: Served) -> None:
    def asked(path: str, **query: str) -> tuple[int, str]:
        reply = shown.client.get(path, params=query)
        return reply.status_code, reply.json()["message"]

    passages = "/page/documents/passages"
    assert asked("/page/documents", collection="none")[0] == 404
    assert asked("/page/documents", collection="../none")[0] == 400
    assert asked("/page/documents", state="lost")[0] == 400
    assert asked("/page/documents", limit="-1")[0] == 400
    assert asked(passages, source="none.md")[0] == 404
    assert asked(passages, source="shop/long.md", around="gone") == (
        404,
        "The document has no such passage any more: it has changed since the link was made.",
    )


def test_duplicates_are_those_of_the_library(shown: Served) -> None:
    found = shown.client.get("/page/duplicates", params={"collection": "documents"}).json()
    assert found["repeated"] == 1
    assert [place["source"] for place in found["groups"][0]["places"]] == ["shop/old/refunds.md", "shop/refunds.md"]
    assert found["passages"] - found["distinct"] == found["repeated"]


@pytest.mark.slow
def test_an_upload_becomes_a_document_that_is_found_replaced_and_deleted(writable: Served, tmp_path: Path) -> None:
    assert upload(writable, "shop/refunds.md", REFUNDS) == 200
    assert upload(writable, "blob.md", bytes(range(256)) * 4) == 200
    results = ingest(writable, "shop/refunds.md", "blob.md")
    assert results["uploads/shop/refunds.md"]["result"] == "new"
    assert results["uploads/blob.md"]["result"] == "skipped"
    assert results["uploads/blob.md"]["reason"]
    kept = tmp_path / "files" / "notes" / "shop" / "refunds.md"
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == [kept]

    hits = writable.client.post("/v1/search", json={"query": "lamp", "collection": "notes"}).json()["hits"]
    assert [hit["source"] for hit in hits] == ["uploads/shop/refunds.md"]

    assert upload(writable, "shop/refunds.md", REFUNDS) == 200
    assert ingest(writable, "shop/refunds.md")["uploads/shop/refunds.md"]["result"] == "unchanged"
    assert upload(writable, "shop/refunds.md", "Other words.") == 409
    assert kept.read_text() == REFUNDS
    assert upload(writable, "shop/refunds.md", "Other words.", replace="true") == 200
    assert ingest(writable, "shop/refunds.md")["uploads/shop/refunds.md"]["result"] == "updated"

    asked = {"collection": "notes", "source": "uploads/shop/refunds.md"}
    assert writable.client.post("/page/documents/delete", json=asked).status_code == 403
    deleted = writable.client.post("/page/documents/delete", json=asked, headers=token(writable)).json()
    assert deleted == {"source": "uploads/shop/refunds.md", "passages": 1, "file_removed": True}
    assert not kept.exists()
    again = writable.client.post("/page/documents/delete", json=asked, headers=token(writable))
    assert again.status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "../outside.md", "a/../../outside.md", "/etc/outside.md", "..\\outside.md", "a//b.md", ".", "", " ",
        ".hidden.md", "a/.git/config", "nul\0.md", "line\nbreak.md", "x" * 300 + ".md", "/".join("a" * 20) + "/b.md",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_or_hides_is_refused(writable: Served, tmp_path: Path, name: str) -> None:
    assert upload(writable, name, REFUNDS) == 400
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".md"] == []


@pytest.mark.slow
def test_names_and_texts_may_hold_markup_and_direction_marks(writable: Served) -> None:
    names = ("<script>alert(1)</script>.md".replace("/", "-"), "\u202etxt.md", "'; drop.md", "ünï cödé.md")
    for name in names:
        assert upload(writable, name, HOSTILE) == 200
    assert {str(one["result"]) for one in ingest(writable, *names).values()} == {"new"}
    sources = {document["source"] for document in listed(writable, collection="notes")["documents"]}
    assert sources == {unicodedata.normalize("NFC", f"uploads/{name}") for name in names}


def test_a_link_in_the_folder_leads_nowhere(writable: Served, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "files" / "notes").mkdir(parents=True)
    (tmp_path / "files" / "notes" / "link").symlink_to(outside)
    assert upload(writable, "link/a.md", REFUNDS) == 400
    assert list(outside.iterdir()) == []


def test_files_that_cannot_be_documents_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    limits = Limits(upload_bytes=1000)
    with serving(store=tmp_path / "store", uploads=tmp_path / "files", limits=limits) as served:
        assert upload(served, "empty.md", b"") == 422
        assert upload(served, "archive.zip", b"PK") == 415
        assert upload(served, "large.md", b"x" * 1001) == 413
        reply = served.client.post("/page/ingest", json={"collection": "notes", "names": []}, headers=token(served))
        assert (reply.status_code, reply.json()["message"]) == (400, "0 files are named; expected between 1 and 1,000.")
        asked = {"collection": "notes", "names": ["never.md"]}
        assert served.client.post("/page/ingest", json=asked, headers=token(served)).status_code == 404
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_full_disk_is_told_and_leaves_nothing(
    writable: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload_files, "sync", full)
    assert upload(writable, "a.md", REFUNDS) == 507
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_nothing_is_written_without_the_token_or_by_a_server_that_only_reads(writable: Served, shown: Served) -> None:
    query = {"collection": "documents", "name": "a.md"}
    body = {"collection": "documents", "names": ["a.md"], "source": "shop/refunds.md"}
    for path in ("/page/uploads", "/page/ingest", "/page/documents/delete"):
        refused = writable.client.post(path, params=query, json=body)
        assert (refused.status_code, "token" in refused.json()["message"]) == (403, True)
        wrong = writable.client.post(path, params=query, json=body, headers={"x-sift-rag-token": "wrong"})
        assert wrong.status_code == 403
        reading = shown.client.post(path, params=query, json=body, headers=token(shown))
        assert (reading.status_code, "--allow-ingest" in reading.json()["message"]) == (403, True)
    assert listed(shown)["total"] == 5


def test_a_server_with_a_key_shows_documents_to_those_who_have_it(shop: Path) -> None:
    with serving(store=shop, idle_seconds=0, api_key="secret") as served:
        for path in ("/page/documents", "/page/documents/passages?source=shop/long.md", "/page/duplicates"):
            assert served.bare.get(path).status_code == 401
            assert served.client.get(path).status_code == 200


class Gate(HashingEmbedder):
    """An embedder whose passages wait until a test opens it."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.open = Event(), Event()

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        self.arrived.set()
        assert self.open.wait(30)
        return super().embed_passages(texts)


@contextmanager
def ingesting(tmp_path: Path) -> Iterator[tuple[Served, Gate]]:
    """A server whose second document is being embedded."""
    (tmp_path / "first.md").write_text(REFUNDS, encoding="utf-8")
    ingest_paths([tmp_path / "first.md"], store=tmp_path / "store", collection="notes", embedder=HashingEmbedder())
    gate = Gate()
    with serving(gate, store=tmp_path / "store", idle_seconds=0, uploads=tmp_path / "files") as served:
        try:
            assert upload(served, "second.md", "The whale sings.") == 200
            asked = {"collection": "notes", "names": ["second.md"]}
            assert served.client.post("/page/ingest", json=asked, headers=token(served)).status_code == 200
            assert gate.arrived.wait(30)
            yield served, gate
        finally:
            gate.open.set()


@pytest.mark.slow
def test_documents_are_read_while_others_are_ingested_and_nobody_else_writes(tmp_path: Path) -> None:
    with ingesting(tmp_path) as (served, gate):
        page = listed(served, collection="notes")
        assert page["ingesting"]
        assert [document["passages"] for document in page["documents"]] == [1]
        asked: dict[str, Any] = {"collection": "notes", "source": page["documents"][0]["source"]}
        passages = served.client.get("/page/documents/passages", params=asked)
        assert passages.status_code == 200, passages.text
        asked["names"] = ["second.md"]
        for path in ("/page/ingest", "/page/documents/delete"):
            busy = served.client.post(path, json=asked, headers=token(served))
            assert (busy.status_code, busy.json()["message"][:9]) == (409, "Documents")
        gate.open.set()
        assert followed(served)["done"]["files"][0]["result"] == "new"
        assert not listed(served, collection="notes")["ingesting"]
    with closing(open_store(tmp_path / "store", "notes")) as store:  # the server holds it no longer
        assert store.count() == 2


@pytest.mark.slow
def test_a_server_that_stops_leaves_an_ingest_that_can_be_repeated(tmp_path: Path) -> None:
    with ingesting(tmp_path) as (served, gate):
        served.server.stop()
        gate.open.set()
    with serving(store=tmp_path / "store", idle_seconds=0, uploads=tmp_path / "files") as served:
        assert ingest(served, "second.md")["uploads/second.md"]["result"] in {"new", "unchanged"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text"), [("a.md", bytes(range(256)) * 4), ("a.txt", b"\n \n")])
def test_a_file_that_cannot_be_read_replaces_nothing(writable: Served, tmp_path: Path, name: str, text: bytes) -> None:
    kept, source = tmp_path / "files" / "notes" / name, f"uploads/{name}"
    assert upload(writable, name, "The lamp glows.\n") == 200
    assert ingest(writable, name)[source]["result"] == "new"
    before = kept.read_bytes()
    for _ in range(2):
        assert upload(writable, name, text, replace="true") == 200
        result = ingest(writable, name)[source]
        assert (result["result"], result["passages"]) == ("kept", 1)
        assert result["reason"]
        assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == [kept]
        assert kept.read_bytes() == before
        [document] = listed(writable, collection="notes")["documents"]
        assert (document["state"], document["reason"], document["passages"]) == ("ingested", "", 1)
    hits = writable.client.post("/v1/search", json={"query": "lamp", "collection": "notes"}).json()["hits"]
    assert [hit["source"] for hit in hits] == [source]
    assert upload(writable, name, "The owl hunts.\n", replace="true") == 200
    assert ingest(writable, name)[source]["result"] == "updated"
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == [kept]
