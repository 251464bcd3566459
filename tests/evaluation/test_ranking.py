"""Metrics of a ranking, by hand and against trec_eval through ir_measures."""

from __future__ import annotations

import random
from math import log2

import ir_measures
import pytest

from sift_rag.evaluation.ranking import ndcg, recall, reciprocal_rank


def test_the_metrics_of_a_ranking_that_can_be_counted() -> None:
    gains = [(), (1,), (), (2,)]
    assert recall(gains, 4) == 0.5
    assert reciprocal_rank(gains) == 0.5
    ideal = 3 + 2 / log2(3) + 1 / 2 + 1 / log2(5)
    assert ndcg(gains, [1, 2, 3, 1]) == pytest.approx((1 / log2(3) + 2 / log2(5)) / ideal)


def test_the_first_hit_of_a_thing_counts_and_a_better_order_is_worth_more() -> None:
    assert ndcg([(1,), (1,)], [1, 1]) == 1.0
    assert ndcg([(2,), (1,)], [1, 2]) == 1.0
    assert ndcg([(1,), (2,)], [1, 2]) < 1.0
    assert ndcg([(1,), ()], [1]) == 1.0
    assert ndcg([(), (1,)], [1]) == pytest.approx(1 / log2(3))


def test_a_ranking_without_a_find_is_worth_nothing() -> None:
    assert (recall([(), ()], 3), reciprocal_rank([(), ()]), ndcg([(), ()], [1])) == (0.0, 0.0, 0.0)
    assert (recall([], 3), reciprocal_rank([]), ndcg([], [1])) == (0.0, 0.0, 0.0)


def test_a_hit_that_finds_several_things_counts_all_and_is_no_better_than_ideal() -> None:
    assert recall([(1, 1)], 2) == 1.0
    assert ndcg([(1, 1)], [1, 1]) == 1.0


def test_only_ten_hits_count_for_ndcg() -> None:
    assert ndcg([()] * 10 + [(1,)], [1]) == 0.0
    assert ndcg([()] * 9 + [(1,)], [1]) > 0.0
    assert ndcg([(1,)] * 10, [1] * 12) == 1.0


def test_random_rankings_have_the_figures_of_ir_measures() -> None:
    generator = random.Random(0)
    found = 0
    for _ in range(200):
        documents = [f"d{number}" for number in range(30)]
        grades = {
            name: generator.choice([1, 1, 2, 3]) for name in generator.sample(documents, generator.randint(1, 15))
        }
        k = generator.randint(1, 20)
        ranked = generator.sample(documents, k)
        gains = [(grades[name],) if name in grades else () for name in ranked]
        qrels = [ir_measures.Qrel("q", name, grade) for name, grade in grades.items()]
        run = [ir_measures.ScoredDoc("q", name, float(-rank)) for rank, name in enumerate(ranked)]
        measures = [ir_measures.R @ k, ir_measures.nDCG @ 10, ir_measures.RR]
        theirs = ir_measures.calc_aggregate(measures, qrels, run)
        ours = [recall(gains, len(grades)), ndcg(gains, list(grades.values())), reciprocal_rank(gains)]
        assert ours == pytest.approx([theirs[measure] for measure in measures], abs=1e-9)
        found += any(gains)
    assert found > 100
