"""LangChain: texts and documents in memory, or written to a collection."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import UUID

import pytest

from sift_rag import NoEvidence, StoreConflict
from tests.doubles import HashingEmbedder
from tests.plugins.conftest import QUESTION, TEXTS

pytest.importorskip("langchain_core", reason="LangChain is not installed: pip install 'sift-rag[langchain]'")

from langchain_core.documents import Document

from sift_rag_langchain import SiftRetriever
from tests.plugins.test_langchain import HashingEmbeddings

TEXT = TEXTS["owls.md"]


def test_texts_in_memory_keep_their_ids_and_metadata() -> None:
    metadata = {"tags": [{"name": "birds"}], "day": date(2024, 2, 29), "key": UUID(int=1), "set": {"b", "a"}, 7: None}
    retriever = SiftRetriever.from_texts(
        [TEXT, "  ", TEXTS["bees.md"]], [metadata, {}, {}], ["owls", "empty", "bees"], embedder=HashingEmbeddings(), k=2
    )
    found = retriever.invoke(QUESTION)
    assert [document.metadata["source"] for document in found] == ["owls", "bees"]
    told = found[0].metadata
    assert told["tags"] == [{"name": "birds"}]
    assert (told["day"], told["key"], told["set"], told["7"]) == ("2024-02-29", str(UUID(int=1)), ["a", "b"], None)


def test_documents_in_a_folder_are_replaced_by_id_by_one_writer_after_the_other(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    first = [Document(text, id=name, metadata={"source": f"/{name}"}) for name, text in TEXTS.items()]
    with_all = SiftRetriever.from_documents(first, store=tmp_path, embedder=embedder, k=9, keep_copies=True)
    found = with_all.invoke(QUESTION)
    with_all.close()
    assert {(document.metadata["source"], document.page_content) for document in found} == set(TEXTS.items())
    assert found[0].metadata["sift"]["replaced"] == {"source": "/" + found[0].metadata["source"]}
    embedder.embedded.clear()
    second = [first[0], Document("owls sleep by day", id="owls2.md")]
    retriever = SiftRetriever.from_documents(second, store=tmp_path, embedder=embedder, k=9)
    assert embedder.embedded == ["owls sleep by day"]
    texts = [document.page_content for document in retriever.invoke(QUESTION)]
    retriever.close()
    assert sorted(texts) == sorted({**TEXTS, "owls2.md": "owls sleep by day"}.values())


def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one for each"):
        SiftRetriever.from_texts([TEXT], ids=["a", "b"], store=tmp_path, embedder=HashingEmbedder())
    with pytest.raises(ValueError, match="called 'a'"):
        SiftRetriever.from_texts([TEXT, TEXT], ids=["a", "a"], store=tmp_path, embedder=HashingEmbedder())
    with pytest.raises(ValueError, match="k"):
        SiftRetriever.from_texts([TEXT], store=tmp_path, embedder=HashingEmbedder(), k=0)
    assert not list(tmp_path.iterdir())
    SiftRetriever.from_texts([TEXT], store=tmp_path, embedder=HashingEmbedder()).close()
    with pytest.raises(StoreConflict):
        SiftRetriever.from_texts([TEXT], store=tmp_path, embedder=HashingEmbedder(dimension=32))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_document_that_is_one_passage_keeps_its_id_and_the_passages_of_a_long_one_have_their_own(
    tmp_path: Path, in_memory: bool
) -> None:
    long = "\n\n".join(
        f"# Part {n}\n\nOwls hunt {n} kinds of mice at night. " + "They fly low. " * 150 for n in range(3)
    )
    given = [Document(TEXT, id="a"), Document(TEXTS["bees.md"], id="b"), Document(long, id="long"), Document("rain")]
    store = None if in_memory else tmp_path
    retriever = SiftRetriever.from_documents(given, store=store, embedder=HashingEmbedder(), k=20)
    found = retriever.invoke(QUESTION)
    known = [document.id for document in found if document.id]
    assert len(set(known)) == len(found)
    with pytest.raises(NoEvidence, match="nothing beyond what is known"):
        retriever.invoke(QUESTION, known=known)
    retriever.close()
    whole = {document.id: document.page_content for document in found if document.metadata["source"] in {"a", "b"}}
    assert whole == {"a": TEXT, "b": TEXTS["bees.md"]}
    assert len([document for document in found if document.metadata["source"] == "long"]) > 1
    for document in found:
        if document.id not in whole:
            assert document.id == document.metadata["sift"]["id"]
            assert UUID(document.id)
