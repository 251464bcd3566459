"""Filters of frameworks: what is mapped means what the framework means, and the rest is refused."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.filters import Filter
from sift_rag.types import Passage, Span

KEYS = ("year", "price", "tag")
ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
NUMBERS = st.sampled_from([1, 2, 2.0, 3, 2.5, -1])
TAGS = st.sampled_from(["x", "y", "a*", "x y"])
METADATA = st.fixed_dictionaries({"year": NUMBERS, "price": NUMBERS, "tag": TAGS})
"""All keys, since frameworks disagree on what a missing key is unequal to."""

Tree = tuple[Any, ...]


def equalities(key: str) -> st.SearchStrategy[Tree]:
    values = TAGS if key == "tag" else NUMBERS
    return st.one_of(
        st.tuples(st.sampled_from(["==", "!="]), st.just(key), values),
        st.tuples(st.sampled_from(["in", "not in"]), st.just(key), st.lists(values, min_size=1, max_size=3)),
    )


COMPARISONS = st.one_of(
    st.tuples(st.sampled_from(list(ORDERS)), st.sampled_from(["year", "price"]), NUMBERS),
    *(equalities(key) for key in KEYS),
)
TREES = st.recursive(
    COMPARISONS, lambda inner: st.tuples(st.sampled_from(["and", "or", "not"]), st.lists(inner, min_size=1, max_size=3))
)


def holds(tree: Tree, metadata: Mapping[str, Any]) -> bool:
    """The oracle: plain Python."""
    match tree:
        case ("and", parts):
            return all(holds(part, metadata) for part in parts)
        case ("or", parts):
            return any(holds(part, metadata) for part in parts)
        case ("not", parts):
            return not all(holds(part, metadata) for part in parts)
        case ("in", key, values):
            return metadata[key] in values
        case ("not in", key, values):
            return metadata[key] not in values
        case ("==", key, value):
            return bool(metadata[key] == value)
        case ("!=", key, value):
            return bool(metadata[key] != value)
        case (sign, key, value):
            return bool(ORDERS[sign](metadata[key], value))
    raise AssertionError(tree)


def langchain(tree: Tree) -> Any:
    names = {"==": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
    names |= {"in": "$in", "not in": "$nin"}
    if len(tree) == 2:
        return {f"${tree[0]}": [langchain(part) for part in tree[1]]}
    sign, key, value = tree
    return {key: value if sign == "==" else {names[sign]: value}}


def from_langchain(tree: Tree) -> Filter:
    pytest.importorskip("langchain_core", reason="LangChain is not installed: pip install 'sift-rag[dev]'")
    from sift_rag_langchain.filters import filter_from

    return filter_from(langchain(tree))


def from_llama_index(tree: Tree) -> Filter:
    pytest.importorskip("llama_index.core", reason="LlamaIndex is not installed: pip install 'sift-rag[dev]'")
    from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

    from sift_rag_llama_index.filters import filter_from

    def of(tree: Tree) -> Any:
        if len(tree) == 2:
            return MetadataFilters(filters=[of(part) for part in tree[1]], condition=FilterCondition(tree[0]))
        sign, key, value = tree
        return MetadataFilter.model_construct(
            key=key, value=value, operator=FilterOperator({"not in": "nin"}.get(sign, sign))
        )

    made = of(tree)
    return filter_from(made if len(tree) == 2 else MetadataFilters(filters=[made]))


def from_haystack(tree: Tree) -> Filter:
    pytest.importorskip("haystack", reason="Haystack is not installed: pip install 'sift-rag[dev]'")
    from sift_rag_haystack.filters import filter_from

    def of(tree: Tree) -> dict[str, Any]:
        if len(tree) == 2:
            return {"operator": tree[0].upper(), "conditions": [of(part) for part in tree[1]]}
        return {"operator": tree[0], "field": f"meta.{tree[1]}", "value": tree[2]}

    return filter_from(of(tree))


@pytest.mark.parametrize("mapped", [from_langchain, from_llama_index, from_haystack])
@settings(deadline=None)  # the first example imports the framework
@given(tree=TREES, metadata=METADATA)
def test_what_is_mapped_matches_what_plain_python_does(mapped: Any, tree: Tree, metadata: dict[str, Any]) -> None:
    where = None
    with suppress(ValueError):  # the tests below say what is refused
        where = mapped(tree)
    assert where is None or where.matches(Passage("", "", "a.md", Span(0, 0), metadata=metadata)) == holds(
        tree, metadata
    )


@pytest.mark.parametrize("mapped", [from_langchain, from_llama_index, from_haystack])
@settings(deadline=None)
@given(comparisons=st.lists(COMPARISONS, min_size=1, max_size=4, unique_by=lambda tree: tree[1:2] + tree[:1]))
def test_a_conjunction_is_mapped_unless_one_key_has_two_sets_of_values(mapped: Any, comparisons: list[Tree]) -> None:
    sets = [key for sign, key, _ in comparisons if sign in {"==", "in"}]
    if len(sets) == len(set(sets)):
        assert mapped(("and", comparisons))
    assert mapped(("or", [("==", "tag", "x"), ("in", "tag", ["y", "z"])])) == Filter(
        labels=(("tag", "x"), ("tag", "y"), ("tag", "z"))
    )


@pytest.mark.parametrize("mapped", [from_langchain, from_llama_index, from_haystack])
@pytest.mark.parametrize(
    ("tree", "part"),
    [
        (("or", [("==", "tag", "x"), ("==", "year", 1)]), "OR across the keys 'tag', 'year'"),
        (("or", [("<", "year", 1), (">", "year", 2)]), "OR of anything but equal values"),
        (("not", [("==", "tag", "x"), ("==", "year", 1)]), "NOT of a group"),
        (("not", [("<", "year", 1)]), "NOT of the operator 'lt'"),
        (("and", [("==", "tag", "x"), ("==", "tag", "y")]), "two sets of values"),
        ((">", "source", 1), "an order of sources"),
        (("==", "tag", None), "a comparison of 'tag' with None"),
    ],
)
def test_a_refusal_names_the_part(mapped: Any, tree: Tree, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        mapped(tree)


def test_a_source_is_that_source_alone() -> None:
    for source in ("docs/[a]*.md", "docs/"):
        where = from_langchain(("==", "source", source))
        assert where.matches_source(source)
        assert not where.matches_source(f"{source}x")
        assert not where.matches_source("docs/a1.md")
