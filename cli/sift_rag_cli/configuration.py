"""``sift-rag.toml``: what a person would otherwise type at every call.

One file in the working directory, one in the user's configuration folder; key by key the nearer one wins. A flag and an
environment variable win over both.

A file in the working directory may have come with somebody else's project. It may choose the endpoint or the server
that is asked, but then no key of the user's is sent there: see :func:`chosen_by_working_directory`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import typer

from sift_rag.errors import ConfigurationError

FILE_NAME = "sift-rag.toml"

SelectorName = Literal["sift", "nearest", "mmr", "dpp", "facility-location", "hull", "uncertainty", "random"]
KernelName = Literal["rbf", "linear"]

Settings = dict[str, object]


class _Kind(NamedTuple):
    expected: str
    accepts: Callable[[object], bool]


def _one_of(choices: tuple[str, ...]) -> _Kind:
    return _Kind("one of " + ", ".join(f'"{choice}"' for choice in choices), lambda value: value in choices)


_TEXT = _Kind("a text", lambda value: isinstance(value, str))
_TEXTS = _Kind("a list of texts", lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value))
_WHOLE = _Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
_NUMBER = _Kind("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool))
_SWITCH = _Kind("true or false", lambda value: isinstance(value, bool))

# The names are those of the commands' parameters, and, in capitals after SIFT_RAG_, of the environment variables.
_SHARED = {
    "store": _TEXT,
    "collection": _TEXT,
    "embedder": _TEXT,
    "model": _TEXT,
    "base_url": _TEXT,
    "vector_name": _TEXT,
    "text_key": _TEXT,
    "source_key": _TEXT,
}
_SELECTION = {
    "k": _WHOLE,
    "selector": _one_of(get_args(SelectorName)),
    "kernel": _one_of(get_args(KernelName)),
    "lengthscale": _NUMBER,
    "noise_variance": _NUMBER,
    "centring": _NUMBER,
    "candidates": _WHOLE,
    "stop_explained": _NUMBER,
    "stop_variance": _NUMBER,
    "alpha": _NUMBER,
    "token_budget": _WHOLE,
    "max_variance": _NUMBER,
    "exhaustive": _SWITCH,
}
_TABLES = {
    "ingest": {"include": _TEXTS, "exclude": _TEXTS, "text_field": _TEXT, "max_megabytes": _WHOLE},
    "search": _SELECTION,
    "ask": {**_SELECTION, "system": _TEXT, "max_new_tokens": _WHOLE, "decompose": _SWITCH},
}
# Which tables a command reads, the later one winning; every command reads the shared keys.
_READS = {"ingest": ("ingest",), "search": ("search",), "ask": ("search", "ask"), "chat": ("search", "ask")}


class Configuration(NamedTuple):
    """What the files say."""

    shared: Settings
    tables: dict[str, Settings]
    near: frozenset[str]
    """Shared keys whose value is the working directory's."""

    def defaults(self, commands: Mapping[str, object]) -> dict[str, Settings]:
        """By command, the values that stand in for options not given."""
        return {
            command: self.shared | {k: v for name in _READS.get(command, ()) for k, v in self.tables[name].items()}
            for command in commands
        }


def load_configuration() -> Configuration:
    """Both files in one; empty where there is none.

    Raises:
        ConfigurationError: a file cannot be read, is not TOML, or holds an unknown key or a value of the wrong type.
    """
    from platformdirs import user_config_path

    far = read_configuration(user_config_path("sift-rag") / FILE_NAME)
    near = read_configuration(Path.cwd() / FILE_NAME)
    return Configuration(
        shared=far.shared | near.shared,
        tables={name: far.tables[name] | near.tables[name] for name in _TABLES},
        near=frozenset(near.shared),
    )


def read_configuration(path: Path) -> Configuration:
    """One file; a relative ``store`` in it is relative to the file."""
    content = _parse(path)
    tables: dict[str, Settings] = {}
    for name, keys in _TABLES.items():
        table = content.pop(name, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: '{name}' must be a table: write [{name}] on a line of its own.")
        tables[name] = _checked(path, table, keys, where=f" in [{name}]")
    shared = _checked(path, content, _SHARED, where="")
    store = shared.get("store")
    if isinstance(store, str) and "://" not in store:
        shared["store"] = str(path.parent / Path(store).expanduser())
    return Configuration(shared, tables, frozenset(shared))


def _parse(path: Path) -> Settings:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # besides its own: a number of thousands of digits, lists too deep
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from error


def _checked(path: Path, values: Settings, kinds: Mapping[str, _Kind], *, where: str) -> Settings:
    for key, value in values.items():
        kind = kinds.get(key)
        if kind is None:
            known = ", ".join([*sorted(kinds), *(f"[{name}]" for name in _TABLES if kinds is _SHARED)])
            raise ConfigurationError(f"{path}: unknown key '{key}'{where}; known are {known}.")
        if not kind.accepts(value):
            raise ConfigurationError(f"{path}: '{key}'{where} must be {kind.expected}, but is {value!r}.")
    return dict(values)


def chosen_by_working_directory(context: typer.Context, name: str) -> bool:
    """Whether the working directory's file gave a shared option its value, and no flag or variable did."""
    configuration = context.find_object(Configuration)
    source = context.get_parameter_source(name)
    return (
        configuration is not None and name in configuration.near and source is not None and source.name == "DEFAULT_MAP"
    )
