"""``sift-rag.toml``: options that a user would otherwise type at every call.

There may be one file in the working directory and one in the user's configuration folder; for each key, the nearer
one wins. An option and an environment variable win over both. The keys are those of the commands' options that have
an
environment variable, and those of ``--set``.

A file in the working directory may have come with somebody else's project. It may choose the endpoint or the server
that is asked, but then none of the user's keys is sent there: ``chosen_by_working_directory``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args, get_type_hints

import typer

from sift_rag.errors import ConfigurationError
from sift_rag_cli.kinds import CHOICES, Kind, kind_of, one_of
from sift_rag_cli.settings import GROUPS, Values, read_settings, unknown_name

FILE_NAME = "sift-rag.toml"

Table = dict[str, object]
Commands = Mapping[str, Callable[..., None]]
"""The functions of the commands, by name."""

SHARED = ("store", "collection", "embedder", "embedder_url", "model", "base_url", "reranker", "reranker_url")
"""Options shared by several commands; they stand above all tables."""
TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "": ("ask", ("layout", "runtime")),
    "ingest": ("ingest", ("server",)),
    "search": ("search", ("search", "selector")),
    "ask": ("ask", ("search", "selector", "answer")),
    "finetuning": ("", ("finetuning",)),
    "embedding": ("", ("embedding",)),
    "serve": ("serve", ()),
}
"""The command whose options, and the groups whose settings, are the keys of each table. The first has no name."""
_READS: dict[str, tuple[str, ...]] = {
    "search": ("embedding", "search"),
    "ask": ("embedding", "search", "ask", "finetuning"),
    "compare": ("embedding", "finetuning"),
}
_READS |= {
    "chat": _READS["ask"],
    "evaluate": _READS["search"],
    "calibrate": ("embedding", "search", "ask"),
    "ingest": ("embedding", "ingest"),
    "serve": ("embedding", "serve"),
    "ui": ("embedding", "serve"),
}
"""The tables that a command reads; later ones win. Every command reads the first table."""


class Configuration(NamedTuple):
    """The contents of both files."""

    tables: dict[str, Table]
    near: frozenset[str]
    """Keys of the first table whose value comes from the working directory."""

    def values(self, command: str) -> Table:
        """Return what the files set for a command: options by parameter, settings by their ``--set`` name."""
        found = dict(self.tables[""])
        for name in _READS.get(command, ()):
            prefix = "".join(GROUPS[group].prefix for group in TABLES[name][1])
            found |= {f"{prefix}{key}": value for key, value in self.tables[name].items()}
        return found


def load_configuration(commands: Commands) -> Configuration:
    """Read both files into one configuration, empty if there is none.

    Raises:
        ConfigurationError: a file cannot be read, is not TOML, or holds an unknown key or a value of the wrong type.
    """
    from platformdirs import user_config_path

    far = read_configuration(user_config_path("sift-rag") / FILE_NAME, commands)
    near = read_configuration(Path.cwd() / FILE_NAME, commands)
    return Configuration({name: far[name] | near[name] for name in TABLES}, frozenset(near[""]))


def read_configuration(path: Path, commands: Commands) -> dict[str, Table]:
    """Read one file, table by table. A relative ``store`` in it is relative to the file."""
    content = _parse(path)
    tables: dict[str, Table] = {}
    for name in [name for name in TABLES if name]:
        table = content.pop(name, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: '{name}' must be a table: write [{name}] on a line of its own.")
        tables[name] = table
    tables[""] = content
    for name, table in tables.items():
        _check(path, name, table, commands)
    store = content.get("store")
    if isinstance(store, str) and "://" not in store:
        content["store"] = str(path.parent / Path(store).expanduser())
    return tables


def chosen_by_working_directory(context: typer.Context, name: str) -> bool:
    """Return True if a shared option gets its value only from the working directory's file."""
    configuration = context.find_object(Configuration)
    source = context.get_parameter_source(name)
    return (
        configuration is not None and name in configuration.near and source is not None and source.name == "DEFAULT_MAP"
    )


def settings_for(context: typer.Context, assignments: Sequence[str] | None, *, selectors: Sequence[str] = ()) -> Values:
    """Return the running command's settings by group: from ``--set``, the environment and the files.

    Raises:
        ValueError: an assignment is not ``NAME=VALUE``, its name is unknown, or a value is of the wrong type.
    """
    command = context.info_name or ""
    configuration = context.find_object(Configuration)
    configured = {} if configuration is None else configuration.values(command)
    return read_settings(command, assignments or (), configured=configured, selectors=selectors)


def _parse(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # besides its own: a number of thousands of digits, lists too deep
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from error


def _check(path: Path, name: str, table: Table, commands: Commands) -> None:
    within = f" in [{name}]" if name else ""
    kinds = _options(name, commands)
    if not table.keys() <= kinds.keys():
        kinds |= _settings(name)
    for key, value in table.items():
        if key not in kinds:
            known = [*kinds, *(() if name else (f"[{table}]" for table in TABLES if table))]
            raise ConfigurationError(f"{path}: unknown key '{key}'{within}; {unknown_name(key, known)}")
        if not kinds[key].accepts(value):
            raise ConfigurationError(f"{path}: '{key}'{within} must be {kinds[key].words}, but is {value!r}.")


def _options(table: str, commands: Commands) -> dict[str, Kind]:
    """Return the options that a table may hold, with their types: those that have an environment variable."""
    command = commands.get(TABLES[table][0])
    hints = get_type_hints(command, include_extras=True) if command is not None else {}
    found: dict[str, Kind] = {}
    for name, hint in hints.items():
        kind_and_option = get_args(hint)  # of Annotated[type, option]
        if (name in SHARED) is (not table) and any(getattr(part, "envvar", None) for part in kind_and_option[1:]):
            kind = one_of(CHOICES[name]) if name in CHOICES else kind_of(kind_and_option[0])
            found |= {} if kind is None else {name: kind}
    return found


def _settings(table: str) -> dict[str, Kind]:
    """Return the settings that a table may hold, with their types. Imports the library modules that define them."""
    return {
        name.removeprefix(GROUPS[group].prefix): setting.kind
        for group in TABLES[table][1]
        for name, setting in GROUPS[group].read().items()
    }
