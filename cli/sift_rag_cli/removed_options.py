"""Options that have a new name, and what to write instead."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

_SEARCH = {
    "--given": "--known VALUE",
    "--exhaustive": "--exact",
    "--candidates": "--set candidate_limit=VALUE",
    "--kernel": "--set kernel=VALUE",
    "--lengthscale": "--set lengthscale=VALUE",
    "--noise-variance": "--set noise_variance=VALUE",
    "--centring": "--set centring=VALUE",
    "--stop-explained": "--set stop_explained=VALUE",
    "--stop-variance": "--set stop_variance=VALUE",
    "--alpha": "--set alpha=VALUE",
    "--max-variance": "--set max_variance=VALUE",
    "--keep-copies": "--set keep_copies=true",
}
_LAYOUT = {
    "--vector-name": "--set vector_name=VALUE",
    "--text-key": "--set text_key=VALUE",
    "--source-key": "--set source_key=VALUE",
}
_ANSWER = {"--max-new-tokens": "--set max_new_tokens=VALUE", "--min-gain": "--set min_gain=VALUE"}
_FINE_TUNING = {
    "--preset": "--set finetuning.preset=VALUE",
    "--learning-rate": "--set finetuning.learning_rate=VALUE",
    "--rank": "--set finetuning.rank=VALUE",
    "--full": "--set finetuning.method=full",
    "--time-budget": "--set finetuning.seconds=VALUE",
}
_SERVER = {
    "--shard-number": "--set shard_number=VALUE",
    "--replication-factor": "--set replication_factor=VALUE",
    "--write-consistency-factor": "--set write_consistency_factor=VALUE",
    "--on-disk": "--set on_disk=true",
    "--float16": "--set float16=true",
    "--quantize": "--set quantize=true",
}
REPLACEMENTS: Mapping[str, Mapping[str, str]] = {
    "search": {**_SEARCH, **_LAYOUT},
    "ask": {**_SEARCH, **_LAYOUT, **_ANSWER, **_FINE_TUNING},
    "chat": {**_SEARCH, **_LAYOUT, **_ANSWER},
    "compare": {**_LAYOUT, **_FINE_TUNING, "--candidates": "--set candidate_limit=VALUE"},
    "ingest": _SERVER,
    "migrate": _SERVER,
}
"""Each removed option of a command, and its replacement."""


def replacement_of(command: str, option: str, arguments: Sequence[str]) -> str | None:
    """Return what to write in place of a removed option, with the value that was typed; None for any other option."""
    replacement = REPLACEMENTS.get(command, {}).get(option)
    if replacement is None:
        return None
    return f"{option} is now {replacement.replace('VALUE', _typed_value(option, arguments))}"


def _typed_value(option: str, arguments: Sequence[str]) -> str:
    for position, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            return shlex.quote(argument.partition("=")[2])
        if argument == option and position + 1 < len(arguments):
            return shlex.quote(arguments[position + 1])
    return "VALUE"
