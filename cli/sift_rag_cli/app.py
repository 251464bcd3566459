"""The ``sift-rag`` command: its subcommands, and the exit codes of errors and interruptions."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from sift_rag import errors
from sift_rag.wrong_values import what_is_wrong
from sift_rag_cli.commands import (
    ask,
    calibrate,
    chat,
    collections,
    compare,
    delete,
    doctor,
    duplicates,
    evaluate,
    ingest,
    mcp,
    migrate,
    optimize,
    search,
    serve,
    settings,
    show,
    status,
    ui,
)
from sift_rag_cli.commands import list as list_command
from sift_rag_cli.configuration import load_configuration
from sift_rag_cli.help import Command, Group
from sift_rag_cli.output import is_terminal, one_line, say, write
from sift_rag_cli.remedies import message_of

EXIT_CODES: Mapping[type[BaseException], int] = {
    Exception: 1,
    UnicodeError: 1,  # a ValueError, but never an argument's fault
    ValueError: 2,
    errors.ConfigurationError: 2,
    errors.NoEvidence: 3,
    errors.StoreUnreachable: 4,
    errors.StoreInUse: 4,
    errors.ModelUnavailable: 4,
    errors.ModelInUse: 4,
    errors.ClusterUnavailable: 4,
    errors.CollectionNotFound: 5,
    errors.DocumentNotFound: 5,
    errors.StoreConflict: 6,
    KeyboardInterrupt: 130,
    BrokenPipeError: 141,  # what a shell reports for a writer whose reader went away
}
"""Exit codes. An error has the code of its nearest ancestor in this table; the parser's usage errors are 2 as well."""


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


class _Main(Group):
    """The command with its subcommands; an error becomes one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as error:
            found = getattr(error.__cause__, "errors", None)
            if callable(found):  # Typer lets Pydantic check values, and passes its words on
                error.message = what_is_wrong(found()) + _origin(error)
            raise
        except BrokenPipeError as error:
            _close_stdout()
            raise typer.Exit(exit_code(error)) from error
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            say(_message(error))
            raise typer.Exit(exit_code(error)) from error
        return result


def _origin(error: Any) -> str:
    """Return where a wrong value stands, if that is neither the command line nor the environment."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    if context is None or parameter is None:
        return ""
    source = context.get_parameter_source(parameter.name)
    return ", in sift-rag.toml" if source is not None and source.name == "DEFAULT_MAP" else ""


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "\nInterrupted." if is_terminal(sys.stderr) else "Interrupted."  # after the ^C that the terminal shows
    if isinstance(error, errors.SiftRagError | ValueError | OSError):
        return one_line(f"Error: {message_of(error)}")
    return one_line(
        f"Error: {type(error).__name__}: {error}. This is a bug in sift-rag; `sift-rag --debug ...` shows where."
    )


class _Messages(logging.Handler):
    """The library's warnings, and what an embedder does once for all later runs, each on one line of stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        say(one_line(record.getMessage()))


def _show_messages() -> None:
    logger = logging.getLogger("sift_rag")
    if not any(isinstance(handler, _Messages) for handler in logger.handlers):
        logger.addHandler(_Messages(logging.INFO))
        logging.getLogger("sift_rag.embedders").setLevel(logging.INFO)


def _close_stdout() -> None:
    """Discard what the interpreter flushes at exit."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        write(f"sift-rag {version('sift-rag')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Main,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def read_configuration(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="SIFT_RAG_DEBUG", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Answer questions from your own documents, with passages chosen jointly.

    An option can also be set in the environment (SIFT_RAG_BASE_URL for --base-url) or in sift-rag.toml, in the working
    directory or in your configuration folder. The command line wins, then the environment, then the nearer file.

    Examples:
        sift-rag ingest docs/
        sift-rag search "How do I book a flight, and who pays?"
        sift-rag ask "How do I book a flight, and who pays?" -m Qwen/Qwen3-0.6B
        sift-rag COMMAND --help
    """
    del debug, version  # _Main reads the one, a callback handles the other
    _show_messages()
    configuration = load_configuration(COMMANDS)
    context.obj = configuration
    context.default_map = {command: configuration.values(command) for command in COMMANDS}


COMMANDS: Mapping[str, Callable[..., None]] = {
    "ingest": ingest.ingest,
    "search": search.search,
    "ask": ask.ask,
    "chat": chat.chat,
    "evaluate": evaluate.evaluate,
    "calibrate": calibrate.calibrate,
    "compare": compare.compare,
    "ui": ui.ui,
    "serve": serve.serve,
    "mcp": mcp.mcp,
    "status": status.status,
    "list": list_command.list_documents,
    "show": show.show_document,
    "duplicates": duplicates.duplicates,
    "delete": delete.delete,
    "collections": collections.collections,
    "migrate": migrate.migrate,
    "doctor": doctor.doctor,
    "optimize": optimize.optimize,
    "settings": settings.settings,
}
for _name, _function in COMMANDS.items():
    app.command(_name, cls=Command)(_function)


def main() -> None:
    """Run the command line: the console script."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if sys.stdin is not None:  # as in arguments: questions are checked, and paths need not be UTF-8
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    app(prog_name="sift-rag")
