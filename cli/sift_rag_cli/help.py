"""Help pages: options in groups, examples at the end, and a hint for options that have a new name."""

from __future__ import annotations

import inspect
import re
import shlex
from textwrap import fill
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from sift_rag_cli.removed_options import replacement_of

if TYPE_CHECKING:
    import typer

_WIDEST_NAME = 24
"""Maximum width of an option's names; the help for a longer one begins on the next line."""
_FEW = 7
"""Maximum number of options that are listed without groups."""
_MOST_USED = "Most used"
_FIRST = {
    "search": {"k", "filters", "explain", "store", "collection"},
    "ask": {"k", "filters", "model", "base_url", "explain", "store", "collection"},
    "chat": {"k", "filters", "model", "base_url", "store", "collection"},
}
"""Parameters that the help of a command begins with."""
_OTHERS = "Options"
_VALUE_IS_OPTIONAL = "--ray"
"""Option that may stand without its value."""
ARGUMENTS = "sift_rag_cli.arguments"
"""Key in a context's ``meta``: the arguments of the command as they were typed."""


def command_line(context: typer.Context) -> str:
    """Return the command as it was typed, without the credentials in a URL."""
    typed = shlex.join(["sift-rag", str(context.info_name), *context.meta.get(ARGUMENTS, ())])
    return re.sub(r"(?<=://)[^/@\s']+@", "", typed)


class _Help:
    """A help page whose docstring may end in a section ``Examples:``, which is printed last, verbatim.

    Options are grouped by their ``rich_help_panel``; rich itself is not loaded.
    """

    def __init__(self, *, help: str | None = None, **settings: Any) -> None:  # noqa: A002
        description, _, examples = inspect.cleandoc(help or "").partition("\n\nExamples:\n")
        super().__init__(help=description, **settings)  # type: ignore[call-arg]
        self._examples = inspect.cleandoc(examples)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words that follow the command's name in the usage line."""
        arguments = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, TyperArgument)]  # type: ignore[attr-defined]
        rest = ["COMMAND", "[...]"] if isinstance(self, TyperGroup) else [str(one.metavar) for one in arguments]
        return ["[OPTIONS]", *rest]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the description."""
        del ctx
        for paragraph in str(self.help).split("\n\n"):  # type: ignore[attr-defined]
            formatter.write(f"\n{_wrapped(' '.join(paragraph.split()), formatter, '  ')}\n")

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, unwrapped."""
        del ctx
        if self._examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}".rstrip() + "\n" for line in self._examples.splitlines()))


class Command(_Help, TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; for a removed option, say what to write instead."""
        typed = list(args)
        ctx.meta[ARGUMENTS] = typed
        try:
            return super().parse_args(ctx, self._with_empty_value(ctx, args))
        except Exception as error:
            option = getattr(error, "option_name", None)
            words = replacement_of(str(self.name), option, typed) if option else None
            if words is not None:
                error.message = words  # type: ignore[attr-defined]
                error.possibilities = None  # type: ignore[attr-defined]
            raise

    def _with_empty_value(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments with an empty value for the option that may stand alone, last or before another one."""
        if not any(_VALUE_IS_OPTIONAL in one.opts for one in self.get_params(ctx)):
            return args
        with_next = zip(args, [*args[1:], "-"], strict=False)  # of no arguments, none has a next one
        return [f"{arg}=" if arg == _VALUE_IS_OPTIONAL and after.startswith("-") else arg for arg, after in with_next]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        _write_options(self.get_params(ctx), ctx, formatter)


class Group(_Help, TyperGroup):
    """A command with subcommands."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the subcommands, then the options."""
        self.format_commands(ctx, formatter)
        _write_options(self.get_params(ctx), ctx, formatter)


def _write_options(parameters: list[Any], ctx: typer.Context, formatter: Any) -> None:
    """Write arguments, the options used most, then the others by group; all in the same columns.

    Groups stand in the order in which they first appear.
    """
    options = [one for one in parameters if isinstance(one, TyperOption) and not one.hidden]
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in parameters:
        if isinstance(one, TyperArgument) and one.help:
            groups.setdefault("Arguments", []).append((str(one.metavar), one.help))
    groups[_MOST_USED] = []
    for option in options:
        title = _OTHERS if len(options) <= _FEW else option.rich_help_panel or _OTHERS
        if option.name in _FIRST.get(str(ctx.info_name), ()):
            title = _MOST_USED
        groups.setdefault(title, []).append(_row(option, ctx))
    groups[_OTHERS] = groups.pop(_OTHERS, [])  # last
    groups = {title: rows for title, rows in groups.items() if rows}
    names = [name for rows in groups.values() for name, _ in rows]
    width = max((len(name) for name in names if len(name) <= _WIDEST_NAME), default=_WIDEST_NAME)
    for title, rows in groups.items():
        with formatter.section(title):
            for name, text in rows:
                indent = " " * (width + 4)
                below = "\n" + indent if len(name) > width else ""
                formatter.write(f"  {name.ljust(width)}  {below}{_wrapped(text, formatter, indent).lstrip()}\n")


def _wrapped(text: str, formatter: Any, indent: str) -> str:
    """Wrap a paragraph to the width of the page, without breaking option names at their hyphens."""
    return fill(text, formatter.width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _row(option: TyperOption, context: typer.Context) -> tuple[str, str]:
    """Return an option's names and its help, with the default if there is one to show."""
    names = ", ".join([*sorted(option.opts, key=len), *option.secondary_opts])
    if option.is_flag:
        return names, option.help or ""
    default = option.get_default(context, call=False)
    if isinstance(default, float):
        default = f"{default:g}"
    told = f"  [default: {default}]" if option.show_default and default not in (None, "", [], ()) else ""
    return f"{names} {option.metavar or 'VALUE'}", f"{option.help or ''}{told}"
