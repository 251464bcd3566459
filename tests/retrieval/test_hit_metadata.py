"""A hit's metadata for other software."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from sift_rag.retrieval.hit_metadata import hit_metadata
from sift_rag.types import Hit, Passage, Span

PASSAGE = Passage(
    id="1",
    text="Owls hunt.",
    source="owls.md",
    span=Span(3, 13, line=2),
    headings=("Birds", "Owls"),
    metadata={"year": 2020},
)
HIT = Hit(
    PASSAGE,
    rank=2,
    similarity=0.5,
    posterior_variance=0.9,
    gain=0.1,
    relevance=0.2,
    copies=(replace(PASSAGE, source="copy.md"),),
    shared_words=("owls",),
)


def test_metadata_place_and_reasons_stand_together() -> None:
    assert hit_metadata(HIT) == {
        "year": 2020,
        "source": "owls.md",
        "heading": "Birds > Owls",
        "line": 2,
        "sift": {
            "rank": 2,
            "id": "1",
            "source": "owls.md",
            "line": 2,
            "page": None,
            "title": "",
            "headings": ["Birds", "Owls"],
            "similarity": 0.5,
            "gain": 0.1,
            "relevance": 0.2,
            "redundancy": 0.1,
            "posterior_variance": 0.9,
            "shared_words": ["owls"],
            "brought_by": "question",
            "reranker_score": None,
            "also_in": [{"id": "1", "source": "copy.md", "line": 2, "page": None}],
            "before": [],
            "after": [],
        },
    }


def test_ours_win_over_equal_keys_and_the_passage_s_stay_as_they_are() -> None:
    metadata = {"source": "elsewhere", "page": 7, "sift": "no"}
    passage = replace(PASSAGE, metadata=metadata)
    told = hit_metadata(replace(HIT, passage=passage))
    assert (told["source"], told["page"]) == ("owls.md", 7)
    assert isinstance(told["sift"], dict)
    assert told["sift"]["replaced"] == {"source": "elsewhere", "sift": "no"}
    assert metadata == {"source": "elsewhere", "page": 7, "sift": "no"}


def test_what_is_no_number_is_none_in_json() -> None:
    text = json.dumps(hit_metadata(replace(HIT, similarity=math.nan)), allow_nan=False)
    assert json.loads(text)["sift"]["similarity"] is None
