from __future__ import annotations

import numpy as np
import pytest

from benchmarks.common.datasets import HotpotQuestion, Paragraph, Sentence
from benchmarks.quality.reworded_copies import VERSIONS, edited, find, reworded, versions_of
from sift_rag import Nearest, Retriever
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo
from tests.doubles import HashingEmbedder

TOWER = Paragraph("Tower", ('It is a "film" tower', " near many towers - also tall."))
RIVER = Paragraph("River", ("The Danube flows through Ulm.",))


def test_every_other_word_that_has_a_synonym_is_replaced() -> None:
    assert reworded("a film near many towers, also tall") == "a movie near numerous towers, also tall"
    assert reworded("nothing to say") == "nothing to say"


def test_an_edited_text_says_the_same_in_another_typography() -> None:
    assert edited('It is a "film" - tall.', "Tower") == "It is a \u201cfilm\u201d \u2013 tall.\nSee also: Tower."


def test_every_version_is_a_passage_of_its_own() -> None:
    passages = versions_of(TOWER)
    assert len({passage.id for passage in passages}) == len({passage.text for passage in passages}) == len(VERSIONS)
    assert {passage.title for passage in passages} == {"Tower"}


def test_hits_of_two_versions_count_once() -> None:
    embedder = HashingEmbedder()
    passages = [passage for paragraph in (TOWER, RIVER) for passage in versions_of(paragraph)]
    store = MemoryStore(CollectionInfo("versions", embedder.name, embedder.dimension, 1))
    store.upsert(passages, embedder.embed_passages([passage.embedding_text for passage in passages]))
    question = HotpotQuestion("Which film tower?", "", (TOWER, RIVER), frozenset({Sentence("River", 0)}))
    found = find(Retriever(embedder, store, selector=Nearest(), keep_copies=True), [question])
    assert found.distinct[0].tolist() == [1, 2, 2, 2]
    assert found.evidence[0].tolist() == pytest.approx([0, 1, 1, 1])
    assert np.all(found.distinct <= 2)
