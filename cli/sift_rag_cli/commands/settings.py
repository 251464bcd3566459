"""``sift-rag settings``."""

from typing import Annotated

import typer

from sift_rag_cli import options
from sift_rag_cli.output import one_line, write, write_json, write_wrapped
from sift_rag_cli.settings import COMMANDS, GROUPS, Setting, selector_names


def settings(
    name: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="List only settings with this text in their name.")
    ] = "",
    json: options.Json = False,
) -> None:
    """List the settings that --set can change.

    A setting has the same name everywhere: --set candidate_limit=50, or SIFT_RAG_CANDIDATE_LIMIT=50 in the environment,
    or candidate_limit = 50 in sift-rag.toml. The names of fine-tuning settings begin with "finetuning.":
    SIFT_RAG_FINETUNING_RANK in
    the environment, a table [finetuning] in the file.

    Examples:
        sift-rag settings
        sift-rag settings noise
    """
    found = {
        group: [setting for setting in GROUPS[group].read().values() if name.lower() in setting.name]
        for group in GROUPS
    }
    if json:
        write_json({"settings": [_json(group, one) for group, settings in found.items() for one in settings]})
        return
    for group, settings in found.items():
        if settings:
            commands = ", ".join(command for command, groups in COMMANDS.items() if group in groups)
            write_wrapped(f"{GROUPS[group].title} ({commands})", "  ")
            for setting in settings:
                _write(group, setting)
            write()


def _write(group: str, setting: Setting) -> None:
    default = "not set" if setting.default is None else _text(setting.default)
    write_wrapped(f"  {setting.name}  ({setting.kind.words}; default: {default})", " " * 6)
    only = selector_names(setting.name) if group == "selector" else []
    of = f" Only for --selector {' or '.join(only)}." if only else ""
    write_wrapped(f"      {one_line(setting.description)}{of}", " " * 6)


def _json(group: str, setting: Setting) -> dict[str, object]:
    return {
        "name": setting.name,
        "commands": [command for command, groups in COMMANDS.items() if group in groups],
        "type": setting.kind.words,
        "default": setting.default,
        "description": setting.description,
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
