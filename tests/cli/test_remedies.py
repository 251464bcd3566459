"""Every remedy that the library names has words on the command line, and vice versa."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from string import Formatter

import pytest

import sift_rag
from sift_rag.errors import Remedy, StoreError
from sift_rag_cli.remedies import REMEDIES, message_of

LIBRARY = Path(sift_rag.__file__).parent
USES: dict[str, list[set[str]]] = defaultdict(list)
"""The names of the values at each use of a key."""
for path in LIBRARY.rglob("*.py"):
    if path != LIBRARY / "errors.py":
        for key, values in re.findall(r'\bRemedy\(\s*"([\w-]+)"((?:[^()]|\([^()]*\))*)\)', path.read_text("utf-8")):
            USES[key].append(set(re.findall(r"(\w+)=", values)))


def test_the_keys_of_the_library_are_those_of_the_table() -> None:
    assert set(USES) == set(REMEDIES)


@pytest.mark.parametrize("key", sorted(USES))
def test_the_words_use_values_that_the_library_gives(key: str) -> None:
    fields = {field.split(".")[0] for _, field, _, _ in Formatter().parse(REMEDIES[key]) if field}
    assert all(fields <= given for given in USES[key])
    assert REMEDIES[key].endswith(".")


def test_a_message_is_followed_by_what_to_do() -> None:
    key = next(key for key in REMEDIES if "{" not in REMEDIES[key])
    assert message_of(StoreError("It is damaged.", remedy=Remedy(key))) == f"It is damaged. {REMEDIES[key]}"
    assert message_of(StoreError("It is damaged.")) == "It is damaged."
