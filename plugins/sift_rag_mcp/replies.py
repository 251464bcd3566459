"""The results of the tools: structured, and as a short text for models that read only text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from sift_rag.answering.answer import Answer
from sift_rag.answering.prompt import locate
from sift_rag.types import Document, Passage, Retrieval


class FoundPassage(BaseModel):
    """A passage."""

    id: str = Field(description="Pass it as `known` in the next search.")
    source: str = Field(description="Document.")
    location: str = Field(description="Source with line, page or slide.")
    title: str = ""
    headings: list[str] = Field(default_factory=list, description="Headings above it, outermost first.")
    text: str
    metadata: dict[str, Any] = Field(default_factory=dict)


class Hit(FoundPassage):
    """A selected passage."""

    similarity: float | None = Field(description="Cosine with the question, -1 to 1.")
    adds: float | None = Field(
        description="What it adds to those before, as a share, 0 to 1, of what all candidates could tell."
    )
    also_in: list[str] = Field(default_factory=list, description="Other places with the same text.")


class SearchReply(BaseModel):
    """The result of a search."""

    questions: list[str]
    hits: list[Hit] = Field(description="In the order of selection: each adds most to those before it.")
    told: float | None = Field(
        description="Share, 0 to 1, of what all candidates could tell that the hits tell together."
    )
    candidates: int = Field(description="Number of distinct passages selected from.")
    known: list[str] = Field(description="Ids to pass as `known` next time, so that nothing is repeated.")


class Citation(BaseModel):
    """A passage that an answer cites."""

    number: int
    id: str
    location: str


class Sentence(BaseModel):
    """A sentence of an answer, checked against the passages."""

    text: str
    verdict: str = Field(description="supported, unsupported or uncited")


class AskReply(BaseModel):
    """An answer."""

    answer: str
    citations: list[Citation]
    sentences: list[Sentence] | None = Field(None, description="Its sentences, checked against the passages.")
    finish_reason: str | None = None
    notices: list[str] = Field(default_factory=list)
    known: list[str] = Field(description="Ids of the passages that the model was shown.")


class GetReply(BaseModel):
    """Neighbouring passages of a document."""

    source: str
    title: str
    passages: list[FoundPassage] = Field(description="In reading order.")
    first: int = Field(description="Place of the first of them in the document, from 1.")
    total: int = Field(description="Number of passages in the document.")


class ListedDocument(BaseModel):
    """A document."""

    source: str
    state: str = Field(description="ingested, failed or pending")
    title: str = ""
    passages: int
    reason: str = Field("", description="Why it failed.")


class ListReply(BaseModel):
    """The documents of a collection."""

    documents: list[ListedDocument]
    total: int = Field(description="Number of documents that match, shown or not.")


class StatusReply(BaseModel):
    """A collection."""

    collection: str
    embedder: str
    dimension: int
    passages: int
    documents: dict[str, int] = Field(description="Number of documents by state.")
    collections: list[str] = Field(description="All collections of the store.")


class IngestReply(BaseModel):
    """The outcome of an ingest."""

    new: int
    updated: int
    unchanged: int
    removed: int
    failed: int
    skipped: int
    passages_total: int
    problems: list[str] = Field(description="What was not ingested, and why.")


class DeleteReply(BaseModel):
    """The outcome of a deletion."""

    deleted: list[str]
    passages: int


def found_passage(passage: Passage) -> FoundPassage:
    """Return a passage as a reply shows it."""
    return FoundPassage(**_passage(passage))


def search_reply(retrieval: Retrieval, known: Sequence[str]) -> SearchReply:
    """Return the reply to a search in which ``known`` was known already."""
    shares = retrieval.added()
    hits = [
        Hit(
            **_passage(hit.in_context),
            similarity=_finite(hit.similarity),
            adds=_finite(share),
            also_in=[locate(copy) for copy in hit.copies],
        )
        for hit, share in zip(retrieval.hits, shares, strict=True)
    ]
    ids = list(dict.fromkeys((*known, *_ids_shown(retrieval))))
    return SearchReply(
        questions=list(retrieval.questions),
        hits=hits,
        told=_finite(math.fsum(shares)) if hits else None,
        candidates=retrieval.candidates,
        known=ids,
    )


def ask_reply(answer: Answer) -> AskReply:
    """Return the reply to a question that the model answered."""
    return AskReply(
        answer=answer.text,
        citations=[
            Citation(number=number, id=passage.id, location=locate(passage)) for number, passage in answer.citations
        ],
        sentences=None
        if answer.sentences is None
        else [Sentence(text=one.text, verdict=one.verdict) for one in answer.sentences],
        finish_reason=answer.finish_reason,
        notices=list(answer.notices),
        known=_ids_shown(answer.retrieval),
    )


def listed(document: Document) -> ListedDocument:
    """Return a document as a list shows it."""
    return ListedDocument(
        source=document.source,
        state=document.state,
        title=document.title,
        passages=document.passages,
        reason=document.reason,
    )


def search_text(reply: SearchReply) -> str:
    """Return the short text of a search: places, texts, and what to do next."""
    if not reply.hits:
        return "Nothing more was found."
    parts = [_numbered(number, hit) for number, hit in enumerate(reply.hits, start=1)]
    told = f" They tell {reply.told:.0%} of what the nearest {_counted(reply.candidates)} could." if reply.told else ""
    return "\n\n".join(parts) + f"\n\n{_counted(len(reply.hits))}.{told} To get others, search again with `known`."


def get_text(reply: GetReply) -> str:
    """Return the text of neighbouring passages."""
    last = reply.first + len(reply.passages) - 1
    texts = "\n\n".join(f"[{passage.location}]\n{passage.text.strip()}" for passage in reply.passages)
    return f"{reply.source}, passages {reply.first} to {last} of {reply.total}\n\n{texts}"


def list_text(reply: ListReply) -> str:
    """Return a line for each document."""
    lines = [
        f"{one.source}  {one.state}, {_counted(one.passages)}" + (f": {one.reason}" if one.reason else "")
        for one in reply.documents
    ]
    if len(lines) < reply.total:
        lines.append(f"... and {reply.total - len(lines)} more: narrow the prefix.")
    return "\n".join(lines) or "No documents."


def _ids_shown(retrieval: Retrieval) -> list[str]:
    """Return the ids of the hits, then those of the passages around them."""
    around = [passage.id for hit in retrieval.hits for passage in (*hit.before, *hit.after)]
    return [*(hit.passage.id for hit in retrieval.hits), *around]


def _counted(passages: int) -> str:
    return f"{passages} passage{'' if passages == 1 else 's'}"


def _numbered(number: int, hit: Hit) -> str:
    heading = " > ".join(hit.headings)
    return f"[{number}] {hit.location}{f'  {heading}' if heading else ''}  (id {hit.id})\n{hit.text.strip()}"


def _passage(passage: Passage) -> dict[str, Any]:
    return {
        "id": passage.id,
        "source": passage.source,
        "location": locate(passage),
        "title": passage.title,
        "headings": list(passage.headings),
        "text": passage.text,
        "metadata": dict(passage.metadata),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
