"""Filters: what they refuse, and what they mean for one passage."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.comparisons import Condition, ordered
from sift_rag.filters import LABEL_LENGTH, Filter, labels_of
from sift_rag.types import JsonValue, Passage, Span


def _passage(source: str = "docs/a.md", **metadata: JsonValue) -> Passage:
    return Passage("", "text", source, Span(0, 4), metadata=metadata)


@pytest.mark.parametrize(
    ("glob", "source", "matches"),
    [
        ("docs/*", "docs/a.md", True),
        ("docs/*", "docs/sub/deep/a.md", True),
        ("docs/*", "docs2/a.md", False),
        ("docs/", "docs/sub/a.md", True),
        ("docs", "docs/a.md", False),
        ("*.md", "docs/sub/a.md", True),
        ("*.md", "docs/a.MD", False),
        ("docs/?.md", "docs/a.md", True),
        ("docs/?.md", "docs/ab.md", False),
        ("docs/[ab].md", "docs/a.md", True),
        ("docs/[!ab].md", "docs/a.md", False),
        ("docs/a.md", "docs/a.md", True),
        ("docs/line\nbreak*", "docs/line\nbreak.md", True),
    ],
)
def test_a_glob_means_the_whole_source_and_its_star_crosses_slashes(glob: str, source: str, matches: bool) -> None:
    assert Filter(sources=(glob,)).matches(_passage(source)) is matches


def test_a_glob_of_many_stars_is_decided_at_once() -> None:
    assert not Filter(sources=("*a" * 40 + "b",)).matches(_passage("a" * 4000))


def test_labels_are_scalars_and_elements_of_lists_as_json_writes_them() -> None:
    metadata: dict[str, JsonValue] = {
        "text": "as it is",
        "whole": 3,
        "part": 2.50,
        "yes": True,
        "nothing": None,
        "list": ["a", 1, False, None, ["deeper"], {"k": "v"}, "a"],
        "object": {"k": "v"},
        "a=b": "c",
        "": "no name",
        "empty": "",
        "long": "x" * LABEL_LENGTH,
    }
    assert labels_of(metadata) == [
        ("text", "as it is"),
        ("whole", "3"),
        ("part", "2.5"),
        ("yes", "true"),
        ("list", "a"),
        ("list", "1"),
        ("list", "false"),
        ("empty", ""),
    ]


def test_the_longest_label_can_be_asked_for_and_a_longer_one_is_refused() -> None:
    longest = "x" * (LABEL_LENGTH - 3)
    assert Filter(labels=(("key", longest),)).matches(_passage(key=longest))
    with pytest.raises(ValueError, match="at most 256"):
        Filter(labels=(("key", f"{longest}x"),))


@pytest.mark.parametrize(
    ("sources", "labels", "complaint"),
    [
        (("docs/*", ""), (), "glob for sources is empty"),
        ((), (("", "x"),), "metadata key ''"),
        ((), (("a=b", "x"),), "metadata key 'a=b'"),
        (("\udcff",), (), "not Unicode text"),
        ((), (("key", "\udcff"),), "not Unicode text"),
    ],
)
def test_what_no_passage_can_have_is_refused(
    sources: tuple[str, ...], labels: tuple[tuple[str, str], ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Filter(sources, labels)


def test_an_empty_filter_asks_for_nothing() -> None:
    assert not Filter()
    assert Filter().matches(_passage())
    assert Filter(sources=("x",))
    assert Filter(labels=(("a", "b"),))


def test_a_single_glob_is_a_glob_and_not_its_letters() -> None:
    alone = Filter("docs/*")  # type: ignore[arg-type]
    assert alone == Filter(("docs/*",)) == Filter(["docs/*"])  # type: ignore[arg-type]
    assert not alone.matches(_passage("notes/a.md"))


@pytest.mark.parametrize("parts", [{"sources": (3,)}, {"labels": ("ab",)}, {"labels": (("year", 2021),)}])
def test_what_is_no_text_is_refused_by_its_type(parts: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="A filter's"):
        Filter(**parts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tag=x>=y", Filter(labels=(("tag", "x>=y"),))),
        ("tag= x", Filter(labels=(("tag", " x"),))),
        ("tag=!=", Filter(labels=(("tag", "!="),))),
        ("a!b~c=d", Filter(labels=(("a!b~c", "d"),))),
        ("year>=2024", Filter(comparisons=(Condition("year", "gte", "2024"),))),
        ("year > 2024-05-31", Filter(comparisons=(Condition("year", "gt", "2024-05-31"),))),
        ("year<=-1e3", Filter(comparisons=(Condition("year", "lte", "-1e3"),))),
        ("year<2", Filter(comparisons=(Condition("year", "lt", "2"),))),
        ("tag != a=b", Filter(comparisons=(Condition("tag", "not", "a=b"),))),
        ("tag~=a*>b", Filter(comparisons=(Condition("tag", "glob", "a*>b"),))),
        ('"a>b"=c', Filter(labels=(("a>b", "c"),))),
        ('"a\\"<b">=1', Filter(comparisons=(Condition('a"<b', "gte", "1"),))),
        ('"source"=x', Filter(labels=(("source", "x"),))),
        ('"a"b=c', Filter(labels=(('"a"b', "c"),))),
        ("source=a>b", Filter(sources=("a>b",))),
        ("source~=a*", Filter(sources=("a*",))),
        ("source!=a*", Filter(excluded=("a*",))),
    ],
)
def test_the_first_operator_of_a_text_decides(text: str, expected: Filter) -> None:
    assert Filter.parse([text]) == expected
    assert Filter.from_dict(expected.to_dict()) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *(
            (text, "not of the form KEY=VALUE")
            for text in ("", "year", "year>=", "year>= ", "tag!= ", ">=2024", "!=x", "~=x", "<2", '"\\q">2')
        ),
        ("year>=soon", "'year>=soon', but 'soon' has no order: expected a number, or an ISO date"),
        ("year<2024-05", "'2024-05' has no order"),
        ("date<2024-02-30", "'2024-02-30' has no order"),
        ("date<31.12.2024", "has no order"),
        ("draft>true", "'true' has no order"),
        ("year>NaN", "'NaN' has no order"),
        ("year>1e9999999999999999999", "has no order"),
        ("source<b", "order of sources"),
        ('"a=b"!=c', "metadata key 'a=b'"),
        (" !=c", "metadata key ''"),
        ("tag!=" + "x" * LABEL_LENGTH, "at most 256"),
    ],
)
def test_what_cannot_be_compared_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Filter.parse([text])


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"year": {"after": 2}}, "conditions on 'year' may be is, not, gt, gte, lt, lte, glob, but not 'after'"),
        ({"year": {}}, "but not 'nothing'"),
        ({"year": {"gte": None}}, "texts, numbers or truth values"),
        ({"year": {"gte": {"gte": 2}}}, "texts, numbers or truth values"),
        ({"year": {"gte": True}}, "'true' has no order"),
        ({"year": {"gte": float("inf")}}, "has no order"),
        ({"year": {"glob": ""}}, "glob for 'year' is empty"),
    ],
)
def test_conditions_in_json_are_checked(metadata: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Filter.from_dict({"metadata": metadata})


def test_conditions_in_json_are_those_of_the_texts() -> None:
    metadata = {
        "year": {"gte": 2024, "lt": [2026, 2027.5]},
        "tag": {"is": "a", "not": ["b", True]},
        "x": {"glob": "a*"},
    }
    where = Filter.from_dict({"sources": {"glob": "docs/", "not": ["*.txt"]}, "metadata": metadata})
    texts = ["year>=2024", "year<2026", "year<2027.5", "tag=a", "tag!=b", "tag!=true", "x~=a*"]
    assert where == Filter.parse(["source=docs/", "source!=*.txt", *texts])
    assert Filter.from_dict(json.loads(json.dumps(where.to_dict()))).to_dict() == where.to_dict()
    assert where.conditions_in_words() == ["tag=a", *(text for text in texts if text != "tag=a")]


@pytest.mark.parametrize("comparison", ["ab", ("a", "gt"), ("a", "gt", 3), (1, "gt", "3")])
def test_comparisons_of_another_type_are_refused(comparison: Any) -> None:
    with pytest.raises(TypeError, match="A filter's"):
        Filter(comparisons=(comparison,))


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="by 'in': expected one of not, gt, gte, lt, lte, glob"):
        Filter(comparisons=(("a", "in", "3"),))  # type: ignore[arg-type]


def test_bounds_of_one_key_are_met_by_one_value() -> None:
    where = Filter.parse(["year>=2020", "year<2022"])
    assert where.matches(_passage(year=[2000, 2021.5]))
    assert not where.matches(_passage(year=[2019, 2022]))
    assert not where.matches(_passage(year="2021-01-01"))
    assert not Filter.parse(["year>=2020", "year<2022-01-01"]).matches(_passage(year=[2021, "2021-01-01"]))


numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@given(value=numbers, bound=numbers)
def test_numbers_compare_exactly(value: float, bound: float) -> None:
    for sign, holds in ((">", value > bound), (">=", value >= bound), ("<", value < bound), ("<=", value <= bound)):
        for held in (value, json.dumps(value)):
            assert Filter.parse([f"n{sign}{json.dumps(bound)}"]).matches(_passage(n=held)) is holds


zoned = st.datetimes(timezones=st.timezones() | st.none())


@given(value=zoned, bound=zoned | st.dates())
def test_times_compare_as_moments(value: datetime, bound: date) -> None:
    moment = bound if isinstance(bound, datetime) else datetime(bound.year, bound.month, bound.day)
    later = _in_utc(value) > _in_utc(moment)
    assert Filter.parse([f"t>{bound.isoformat()}"]).matches(_passage(t=value.isoformat())) is later


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@given(text=st.text(alphabet="0123456789-+.eEtTzZ: ", max_size=30))
def test_any_text_has_an_order_or_none(text: str) -> None:
    found = ordered(text)
    assert found is None or isinstance(found, Decimal) or found.tzinfo is not None
    if found is not None:
        assert found >= found
