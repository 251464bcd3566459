"""Settings that have no option of their own: ``--set NAME=VALUE``, SIFT_RAG_NAME in the environment, ``sift-rag.toml``.

Names, types, defaults and descriptions are those of the library's own dataclasses. A field added there can be set here
without a change. A field that a command has an option for is left out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from sift_rag import defaults
from sift_rag_cli.kinds import CHOICES, TEXT, Kind, kind_of, one_of

if TYPE_CHECKING:
    from sift_rag.stores.qdrant.options import ServerOptions

Values = dict[str, dict[str, Any]]
"""Values by group, then by field of the library's dataclass."""


class Setting(NamedTuple):
    """One setting, as a user names it."""

    name: str
    """Its name in ``--set``, with the prefix of its group."""
    field: str
    """Its name in the library."""
    kind: Kind
    default: object
    description: str


class Group(NamedTuple):
    """The settings of one part of the library."""

    title: str
    prefix: str
    """Prefix of a name in ``--set`` and the environment."""
    read: Callable[[], Mapping[str, Setting]]
    """Return the settings by name. Imports the library's part."""


COMMANDS: Mapping[str, Sequence[str]] = {
    "search": ("runtime", "embedding", "search", "selector", "layout"),
    "ask": ("runtime", "embedding", "search", "selector", "layout", "answer", "finetuning", "model"),
    "chat": ("runtime", "embedding", "search", "selector", "layout", "answer", "finetuning", "model"),
    "duplicates": ("layout",),
    "evaluate": ("runtime", "embedding", "search", "selector", "layout"),
    "calibrate": ("runtime", "embedding", "search", "selector", "layout", "answer", "model"),
    "compare": ("runtime", "embedding", "comparison", "layout", "finetuning", "model", "ray"),
    "ingest": ("runtime", "embedding", "server", "ray"),
    "migrate": ("server",),
    "serve": ("runtime", "embedding"),
    "ui": ("runtime", "embedding"),
}
"""The groups of settings that each command takes."""

OPTIONS = frozenset(
    {
        "k",
        "token_budget",
        "context",
        "exact",
        "selector",
        "known",
        "known_texts",
        "system",
        "steps",
        "save_adapter",
        "arms",
        "ks",
    }
    | {"device"}
)
"""Fields of the library's dataclasses that are options of the commands, or made from them."""

_LAYOUT_NAMES = {"vector": "vector_name", "text": "text_key", "source": "source_key"}


def settings_of(command: str) -> dict[str, tuple[str, Setting]]:
    """Return the settings of a command by the name that ``--set`` takes, each with its group."""
    return {
        setting.name: (group, setting)
        for group in COMMANDS.get(command, ())
        for setting in GROUPS[group].read().values()
    }


def read_settings(
    command: str, assignments: Sequence[str], *, configured: Mapping[str, object], selectors: Sequence[str] = ()
) -> Values:
    """Return the settings from ``--set``, the environment and the files, in this order of precedence.

    Args:
        command: the command's name.
        assignments: the values of ``--set``.
        configured: settings from the files, by name.
        selectors: the selectors chosen; settings of another one are an error in ``--set`` and ignored elsewhere.

    Raises:
        ValueError: an assignment is not ``NAME=VALUE``, its name is unknown, or a value is of the wrong type.
    """
    values: Values = {group: {} for group in COMMANDS[command]}
    if not (assignments or configured or any(name.startswith("SIFT_RAG_") for name in os.environ)):
        return values
    known = settings_of(command)
    own = frozenset(setting for selector in selectors for setting in selector_settings(selector))
    chosen: dict[str, object] = {name: value for name, value in configured.items() if name in known}
    chosen |= _from_environment(known)
    chosen = {name: value for name, value in chosen.items() if known[name][0] != "selector" or name in own}
    for assignment in assignments:
        name, value = _assigned(assignment, known)
        if known[name][0] == "selector" and name not in own:
            who = " or ".join(map(repr, selectors))
            raise ValueError(f"--set {name}: the selector {who} has no such setting; it has {_listed(own)}.")
        chosen[name] = value
    for name, value in chosen.items():
        group, setting = known[name]
        values[group][setting.field] = tuple(value) if isinstance(value, list) else value
    return values


def server_options(values: Values) -> ServerOptions | None:
    """Return how a server keeps a new collection; None if nothing is set."""
    from sift_rag.stores.qdrant.options import ServerOptions

    return ServerOptions(**values["server"]) if values["server"] else None


def unknown_name(name: str, known: Collection[str]) -> str:
    """Return the second half of a message on an unknown name: the nearest known one, or all of them."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known names are {_listed(known)}."


def selector_settings(name: str) -> Mapping[str, Setting]:
    """Return the settings of one selector."""
    from sift_rag.selection.settings import selector_settings as read

    return {
        one.name: Setting(one.name, one.name, kind, one.default, one.description)
        for one in read(name).values()
        if (kind := _kind(one.name, one.type)) is not None
    }


def selector_names(setting: str) -> list[str]:
    """Return the selectors that have a setting; none if all have it."""
    found = [name for name in defaults.SELECTORS if setting in selector_settings(name)]
    return [] if len(found) == len(defaults.SELECTORS) else found


def _from_environment(known: Mapping[str, tuple[str, Setting]]) -> dict[str, object]:
    found = {}
    for name, (_, setting) in known.items():
        variable = "SIFT_RAG_" + name.upper().replace(".", "_")
        if os.environ.get(variable):
            found[name] = _parsed(variable, os.environ[variable], setting.kind)
    return found


def _assigned(assignment: str, known: Mapping[str, tuple[str, Setting]]) -> tuple[str, object]:
    name, equals, text = assignment.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not name:
        raise ValueError(
            f"--set {assignment!r} is not NAME=VALUE, as in noise_variance=1. `sift-rag settings` lists the names."
        )
    if name not in known:
        option = "-k" if name == "k" else f"--{name.replace('_', '-')}"
        if name in OPTIONS - {"known_texts", "arms", "ks"}:
            raise ValueError(f"--set {name}: this setting has an option of its own; use {option}.")
        raise ValueError(f"--set {name}: there is no such setting; {_hint(name, known)}")
    return name, _parsed(f"--set {name}", text, known[name][1].kind)


def _parsed(context: str, text: str, kind: Kind) -> object:
    try:
        return kind.parse(text if kind is TEXT else text.strip())  # a prefix may end in a blank
    except (ValueError, KeyError):
        raise ValueError(f"{context} must be {kind.words}, but is {text!r}.") from None


def _hint(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else "`sift-rag settings` lists them."


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"


# The groups


def _of_class(owner: type[Any], *, prefix: str = "", names: Mapping[str, str] | None = None) -> dict[str, Setting]:
    """Return the fields of a dataclass that text can set."""
    from sift_rag.selection.settings import descriptions

    described = descriptions(owner)
    found = {}
    for field in fields(owner):
        kind = _kind(field.name, _annotation(owner, field))
        if kind is not None and field.name not in OPTIONS:
            name = prefix + (names or {}).get(field.name, field.name)
            found[name] = Setting(name, field.name, kind, _default_of(field), described.get(field.name, ""))
    return found


def _annotation(owner: type[Any], field: Field[Any]) -> Any:
    """Return a field's type; None for one that only a type checker imports, which text cannot express anyway."""
    alone = type(owner.__name__, (), {"__annotations__": {field.name: field.type}})
    with suppress(NameError):
        return get_type_hints(alone, vars(sys.modules[owner.__module__]))[field.name]
    return None


def _kind(name: str, annotation: Any) -> Kind | None:
    return one_of(CHOICES[name]) if name in CHOICES else kind_of(annotation)


def _default_of(field: Field[Any]) -> object:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


@cache
def _search() -> Mapping[str, Setting]:
    from sift_rag.retrieval.options import SearchOptions

    return _of_class(SearchOptions)


@cache
def _selector() -> Mapping[str, Setting]:
    return {name: setting for selector in defaults.SELECTORS for name, setting in selector_settings(selector).items()}


@cache
def _layout() -> Mapping[str, Setting]:
    from sift_rag.stores.qdrant.layout import Layout

    found = _of_class(Layout, names=_LAYOUT_NAMES)
    return {name: setting for name, setting in found.items() if name != "dimension"}  # the embedder's, not a choice


@cache
def _runtime() -> Mapping[str, Setting]:
    from sift_rag.embedders.runtimes import Wanted

    return {name: setting for name, setting in _of_class(Wanted).items() if name == "runtime"}


@cache
def _embedding() -> Mapping[str, Setting]:
    from sift_rag.embedders.endpoint import EmbedderEndpoint

    found = _of_class(EmbedderEndpoint, prefix="embedding.")
    return {name: setting for name, setting in found.items() if setting.field not in {"url", "name", "api_key"}}


@cache
def _answer() -> Mapping[str, Setting]:
    from sift_rag.answering.settings import AnswerSettings

    return _of_class(AnswerSettings)


@cache
def _finetuning() -> Mapping[str, Setting]:
    from sift_rag.finetuning import FineTuning

    description = "A model with its own fine-tuning settings; --model and the other settings take precedence."
    preset = Setting("finetuning.preset", "preset", one_of(CHOICES["preset"]), None, description)
    return {preset.name: preset, **_of_class(FineTuning, prefix="finetuning.")}


@cache
def _model() -> Mapping[str, Setting]:
    from sift_rag.models.options import ModelOptions

    return _of_class(ModelOptions, prefix="model.")


@cache
def _comparison() -> Mapping[str, Setting]:
    from sift_rag.evaluation import Comparison

    return {name: setting for name, setting in _of_class(Comparison).items() if name != "window"}  # --window


@cache
def _server() -> Mapping[str, Setting]:
    from sift_rag.stores.qdrant.options import ServerOptions

    return _of_class(ServerOptions)


@cache
def _ray() -> Mapping[str, Setting]:
    from sift_rag.clusters import RayCluster

    found = _of_class(RayCluster, prefix="ray.")
    return {name: setting for name, setting in found.items() if setting.field != "address"}  # --ray


GROUPS: Mapping[str, Group] = {
    "search": Group("Search", "", _search),
    "selector": Group("Selector", "", _selector),
    "layout": Group("Collections made by another tool, on a server", "", _layout),
    "runtime": Group("Embedder on this machine", "", _runtime),
    "embedding": Group("Embedder at an endpoint (--embedder-url)", "embedding.", _embedding),
    "answer": Group("Answer", "", _answer),
    "finetuning": Group("Fine-tuning", "finetuning.", _finetuning),
    "model": Group("Language model in this process", "model.", _model),
    "comparison": Group("Comparison", "", _comparison),
    "server": Group("New collections on a server", "", _server),
    "ray": Group("Ray cluster (--ray)", "ray.", _ray),
}
