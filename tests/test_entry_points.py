"""The tables of entry points are complete, and everything they name exists."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sift_rag
from sift_rag import SearchOptions, defaults
from sift_rag.protocols import Message

PAGE = Path(__file__).parents[1] / "docs" / "entry-points.md"
OPTIONS = tuple(field.name for field in fields(SearchOptions))
FRAMEWORKS = {
    "LangChain": ("sift_rag_langchain", "langchain_core"),
    "LlamaIndex": ("sift_rag_llama_index", "llama_index.core"),
    "Haystack": ("sift_rag_haystack", "haystack"),
}

# Reading the page


def table(heading: str) -> list[dict[str, str]]:
    """Return the table below a heading: for each row a dictionary from column to cell."""
    below = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in below.splitlines() if line.startswith("|")
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def code(cell: str) -> list[str]:
    """Return the code spans of a cell."""
    return re.findall(r"`([^`]+)`", cell)


def spans(rows: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Return each different (column, code span), but for the first column's."""
    found = [(column, span) for row in rows for column, cell in list(row.items())[1:] for span in code(cell)]
    return list(dict.fromkeys(found))


SEARCH, OTHERS = table("Search options"), table("Everything else")

# What there is at each entry point


class SilentModel:
    """A language model that is never asked."""

    name, context_length = "silent", 1

    def count_tokens(self, messages: Sequence[Message]) -> int:
        raise NotImplementedError

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        raise NotImplementedError


@cache
def command_options(command: str) -> Collection[str]:
    """Return the options and arguments of a command, and ``--set NAME`` for each setting."""
    import typer.main

    from sift_rag_cli.app import app
    from sift_rag_cli.settings import settings_of

    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    names = [name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)]
    return {*names, *(name.upper() for name in names), *(f"--set {name}" for name in settings_of(command))}


@cache
def readable_paths() -> Collection[str]:
    """Return the paths that the server answers a GET request for."""
    pytest.importorskip("fastapi", reason="The server is not installed: pip install 'sift-rag[server]'")
    from sift_rag_server import ServerSettings, Service
    from sift_rag_server.page.routes import page_routes

    return {getattr(route, "path", "") for part in page_routes(Service(ServerSettings())) for route in part.routes}


@cache
def body_fields(path: str) -> Collection[str]:
    """Return the fields of a POST request's body, by the server's OpenAPI document."""
    pytest.importorskip("fastapi", reason="The server is not installed: pip install 'sift-rag[server]'")
    from sift_rag_server import ServerSettings, Service, create_app

    document = create_app(Service(ServerSettings())).openapi()
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return properties(schema, document["components"]["schemas"])


def properties(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 2) -> set[str]:
    """Return the properties of an object, or of all that it may be; those of an object within as ``outer.inner``."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    names = {
        name for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())) for name in properties(part, schemas)
    }
    for name, value in schema.get("properties", {}).items() if depth else ():
        names |= {name, *(f"{name}.{inner}" for inner in properties(value, schemas, depth - 1))}
    return names


@cache
def tool_arguments() -> dict[str, Collection[str]]:
    """Return the arguments of each tool that an MCP server can have."""
    pytest.importorskip("mcp", reason="The Model Context Protocol is not installed: pip install 'sift-rag[mcp]'")
    from sift_rag_mcp import McpSettings, create_server

    server = create_server(McpSettings(roots=(PAGE.parent,), model=SilentModel()))
    return {tool.name: set(tool.input_schema["properties"]) for tool in asyncio.run(server.list_tools())}


@cache
def module_of(framework: str) -> ModuleType:
    """Return our package for a framework; skip where the framework is not installed."""
    package, needed = FRAMEWORKS[framework]
    pytest.importorskip(needed, reason=f"{framework} is not installed: pip install 'sift-rag[dev]'")
    return importlib.import_module(package)


def parameters(function: Callable[..., Any]) -> set[str]:
    """Return the names of a function's parameters; ``**options`` and ``**overrides`` are the search options."""
    names = set(inspect.signature(function).parameters)
    return names | set(OPTIONS) if names & {"options", "overrides"} else names


def arguments(target: Any, method: str) -> set[str]:
    """Return what a class, one of its methods or a function can be called with."""
    if isinstance(target, type) and not method:
        return parameters(target.__init__) | set(getattr(target, "model_fields", ()))
    if method == "invoke":  # LangChain passes keywords on to these
        inner = "_get_relevant_documents" if hasattr(target, "_get_relevant_documents") else "_answer"
        return parameters(getattr(target, inner))
    return parameters(getattr(target, method) if method else target)


def exists(module: ModuleType, span: str) -> bool:
    """Return True if ``name``, ``Class.method``, ``module.name``, or one of these with ``(argument=)``, is there."""
    match = re.fullmatch(r"(?:([a-z_.]+)\.)?(\w+)(?:\.(\w+))?(?:\((\w+)=\))?", span)
    assert match, span
    within, name, method, argument = (part or "" for part in match.groups())
    home = importlib.import_module(f"{module.__name__}.{within}") if within else module
    target = getattr(home, name, None)
    return hasattr(target, method or "__call__") and (not argument or argument in arguments(target, method))


def spelled(column: str) -> Collection[str]:
    """Return every search option that an entry point takes, as the table spells it."""
    match column:
        case "Python":
            return {f"{name}=" for name in OPTIONS}
        case "command line":
            return {name for name in command_options("search") if name in command_options("ask")}
        case "`/v1/search`" | "`/v1/ask`":
            return body_fields(column.strip("`"))
        case _:
            return {f"{name}=" for name in arguments(module_of(column).SiftRetriever, "")}


# The tests


def test_every_search_option_has_a_row_in_the_order_of_the_fields() -> None:
    assert [code(row["option"])[0] for row in SEARCH] == list(OPTIONS)


@pytest.mark.parametrize("row", SEARCH, ids=lambda row: code(row["option"])[0])
def test_a_search_option_has_no_gap(row: dict[str, str]) -> None:
    assert [column for column, cell in row.items() if len(code(cell)) != 1] == []


@pytest.mark.parametrize(("column", "span"), spans(SEARCH))
def test_a_search_option_exists_as_it_is_spelled(column: str, span: str) -> None:
    assert span in spelled(column)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "k"])
def test_a_search_option_is_named_as_the_field(name: str) -> None:
    row = next(row for row in SEARCH if code(row["option"])[0] == name)
    others = {
        column: code(cell)[0].strip("-=") for column, cell in row.items() if column not in {"option", "command line"}
    }
    assert set(others.values()) == {name}


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row["capability"])
def test_a_capability_has_no_empty_cell(row: dict[str, str]) -> None:
    assert all(row.values())


@pytest.mark.parametrize(("column", "span"), spans(OTHERS))
def test_a_capability_exists_as_it_is_spelled(column: str, span: str) -> None:
    match column, span.split():
        case "command line", ["sift-rag", command, *option]:
            assert not option or " ".join(option) in command_options(command)
        case "HTTP", ["GET", path]:
            assert path in readable_paths()
        case "HTTP", ["POST", path, *field]:
            assert set(field) <= set(body_fields(path))
        case "MCP", ["sift-rag", command, option]:
            assert option in command_options(command)
        case "MCP", [tool, *argument]:
            assert set(argument) <= set(tool_arguments()[tool])
        case "Python", _:
            assert exists(sift_rag, span)
        case _:
            assert exists(module_of(column), span)


def test_every_tool_of_agents_stands_in_the_table() -> None:
    assert {span.split()[0] for column, span in spans(OTHERS) if column == "MCP"} >= set(tool_arguments()) - {
        "get",
        "status",
    }


def test_the_arguments_of_a_search_by_agents_are_named() -> None:
    (told,) = re.findall(
        r"^The tools `search` and `ask` of agents take (.*?)\.$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert set(code(told.replace("\n", " "))) - {"--filter"} == set(tool_arguments()["search"])


def test_every_mode_is_named() -> None:
    (row,) = (row for row in OTHERS if row["capability"].startswith("mode"))
    assert row["capability"] == f"mode: {', '.join(defaults.MODES)}"
