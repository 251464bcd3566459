"""Selectors by name, with flat settings: the spelling that the command line, files, HTTP and adapters share.

The settings of a selector are its own fields and those of its process. Names, types, defaults and descriptions are read
off the values that have them, so a new field is a setting at every entry point.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, TypeAlias

from sift_rag import defaults
from sift_rag.selection import selectors, sift
from sift_rag.selection.features import Features
from sift_rag.selection.kernels import Linear, Rbf, kernel_named
from sift_rag.selection.process import GaussianProcess
from sift_rag.selection.selectors import Baseline
from sift_rag.selection.sift import TRAINING_PROCESS, Sift
from sift_rag.suggestions import suggestion

SettingValue: TypeAlias = "bool | int | float | str"
NamedSelector: TypeAlias = Sift | Baseline


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a selector."""

    name: str
    type: type
    """``bool``, ``int``, ``float`` or ``str``."""
    default: SettingValue
    description: str
    """One sentence or more, as the field documents itself."""


def selector_class(name: str) -> type[NamedSelector]:
    """Return the class of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in defaults.SELECTORS:
        raise ValueError(
            f"Unknown selector {name!r}: expected one of {', '.join(defaults.SELECTORS)}."
            f"{suggestion(name, defaults.SELECTORS)}"
        )
    class_name = defaults.SELECTORS[name]
    found: type[NamedSelector] = getattr(sift, class_name, None) or getattr(selectors, class_name)
    return found


@cache
def selector_settings(name: str) -> Mapping[str, Setting]:
    """Return the settings of the selector of this name, those of its process first.

    Raises:
        ValueError: there is no such selector.
    """
    kernel = Setting("kernel", str, defaults.KERNEL, f"How similarity is measured: {' or '.join(defaults.KERNELS)}.")
    own = [setting for part in (Rbf, GaussianProcess, Features, selector_class(name)) for setting in settings_in(part)]
    return {setting.name: setting for setting in (kernel, *own)}


def selector_from(name: str = defaults.SELECTOR, settings: Mapping[str, object] | None = None) -> NamedSelector:
    """Return the selector of this name with these settings; the others keep their defaults.

    Raises:
        ValueError: no such selector or setting, or a value of another type or out of range.
    """
    known = selector_settings(name)
    values = {key: setting.default for key, setting in known.items()}
    for key, value in (settings or {}).items():
        if key not in known:
            raise ValueError(
                f"The selector {name!r} has no setting {key!r}: expected one of {', '.join(known)}."
                f"{suggestion(key, known)}"
            )
        values[key] = _converted(known[key], value)
    kernel = kernel_named(str(values.pop("kernel")), float(values.pop("lengthscale")))
    features = Features(**{part.name: values[part.name] for part in fields(Features)})  # type: ignore[arg-type]
    process = GaussianProcess(kernel, float(values.pop("noise_variance")), features)
    made = selector_class(name)
    own: dict[str, Any] = {part.name: values[part.name] for part in fields(made) if part.name != "process"}
    return made(process, **own)


def settings_of(selector: object) -> dict[str, SettingValue]:
    """Return the flat settings that make this selector, its name left out; nothing for one that is not ours."""
    if not isinstance(selector, Sift | Baseline):
        return {}
    process = selector.process
    settings: dict[str, SettingValue] = {"noise_variance": process.noise_variance}
    if isinstance(process.kernel, Rbf):
        features = {part.name: getattr(process.features, part.name) for part in fields(Features)}
        settings |= {"kernel": "rbf", "lengthscale": process.kernel.lengthscale, **features}
    else:
        settings["kernel"] = "linear" if isinstance(process.kernel, Linear) else repr(process.kernel)
    return settings | {part.name: getattr(selector, part.name) for part in fields(selector) if part.name != "process"}


def check_selector(selector: object) -> None:
    """Raise ``TypeError`` unless it is a selector, which a name or a class is not."""
    if isinstance(selector, type) or not callable(getattr(selector, "select", None)):
        raise TypeError(f"A selector must be a value such as Sift() or Mmr(relevance=0.7), but got {selector!r}.")


def fine_tuning_selector(name: str = defaults.SELECTOR, process: GaussianProcess = TRAINING_PROCESS) -> NamedSelector:
    """Return the selector of this name to choose training passages with, repeating them if its method does.

    ``repeated-nearest`` is the nearest candidate, k times.
    """
    made = selector_class("nearest" if name == "repeated-nearest" else name)
    options: dict[str, Any] = {"with_repeats": True} if name in {"sift", "hull", "repeated-nearest"} else {}
    return made(process, **options)


def settings_in(owner: type) -> list[Setting]:
    """Return the fields of a frozen value that are settings: those with a plain default."""
    described = descriptions(owner)
    return [
        Setting(part.name, type(default), default, described.get(part.name, ""))
        for part in fields(owner)
        if isinstance(default := _default(part), bool | int | float | str)
    ]


def _default(part: Field[object]) -> object:
    return part.default if part.default is not MISSING else None


def descriptions(owner: type) -> dict[str, str]:
    """Return the text beside each field, read off the source of the class and those it inherits from."""
    found: dict[str, str] = {}
    for ancestor in reversed(owner.__mro__[:-1]):
        with suppress(OSError):  # no source at hand
            for name, text in _DOCUMENTED.findall(inspect.getsource(ancestor)):
                found[name] = " ".join(text.split()).replace("``", "")
    return found


_DOCUMENTED = re.compile(r'^    (\w+): [^\n]*\n    """(.*?)"""', re.MULTILINE | re.DOTALL)


def _converted(setting: Setting, value: object) -> SettingValue:
    """Return the value as the setting's type: text is read, whole numbers serve as fractions."""
    wanted = setting.type
    if isinstance(value, str) and wanted is not str:
        value = _read(value, wanted)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):  # JSON may write a number of any length
            return float(value)
    if isinstance(value, bool | int | float | str) and type(value) is wanted:
        return value
    raise ValueError(f"{setting.name} must be {_IN_WORDS[wanted]}, but got {value!r}.")


def _read(text: str, wanted: type) -> object:
    if wanted is bool:
        return {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}.get(text.lower(), text)
    try:
        return wanted(text)
    except ValueError:
        return text


_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
