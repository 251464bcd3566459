"""Names in the documents are those of the code, of the examples and of the containers."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from sift_rag import SearchOptions
from sift_rag.suggestions import endings

ROOT = Path(__file__).parents[2]
HANDBOOK = [str(path.relative_to(ROOT / "examples")) for path in (ROOT / "examples" / "handbook").rglob("*.md")]
SET_IN_COMPOSE = re.compile(r"\$\{([A-Z_]+)[:}]")
WITHOUT_VALUE = re.compile(r"^ +([A-Z_]+): *(?:#.*)?$", re.MULTILINE)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_judged_questions_name_files_of_the_handbook() -> None:
    lines = re.findall(r'^\{"question".*\}$', text("docs/evaluating.md"), re.MULTILINE)
    named = [name for line in lines for name in json.loads(line).get("relevant", ())]
    assert named
    assert {name: len(endings(name, HANDBOOK)) for name in named} == dict.fromkeys(named, 1)


def test_the_server_names_every_option_of_a_search() -> None:
    paragraph = text("plugins/sift_rag_server/README.md").partition("and every option of")[2].partition("`/openapi")[0]
    assert re.findall(r"`(\w+)`", paragraph)[1:] == [field.name for field in fields(SearchOptions)]


def test_the_example_of_an_environment_has_every_variable_of_the_containers() -> None:
    compose = text("docker-compose.yml")
    read = {*SET_IN_COMPOSE.findall(compose), *WITHOUT_VALUE.findall(compose)} - {"SIFT_RAG_STORE"}
    assert read == set(re.findall(r"^(?:# )?([A-Z_]+)=", text(".env.example"), re.MULTILINE))


@pytest.mark.parametrize("name", ["SIFT_RAG_DOCUMENTS", "SIFT_RAG_MEMORY", "QDRANT_MEMORY", "run --rm ingest"])
def test_operations_tells_how_the_containers_are_set_up(name: str) -> None:
    assert name in text("docs/operations.md")
