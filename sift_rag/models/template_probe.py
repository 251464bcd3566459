"""Try a model's chat template in a child process with limits on time and memory.

A template is a program that comes with a model, and transformers runs it in this process for every prompt: one that
loops would hang it, and one that multiplies texts would take all memory.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress

from sift_rag.errors import ModelUnsuitable

SECONDS = 5
"""Processor time that a template may take for a short chat."""
BYTES = 2**30
"""Memory of the child process."""
_WALL_SECONDS = 60
_FAILED = 3
_MORE_TURNS = 30
"""Turns of the longest chat that is tried, beyond the first: what doubles with each must show."""
_ENDS = {"bos_token": "<s>", "eos_token": "</s>"}
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""A tag of transformers' own, which prints nothing."""
_CHAT = (
    {"role": "system", "content": "Answer the question from the passages. " * 4},
    {"role": "user", "content": "Passages:\n\n[1] a.md:1\n> Text.\n\nQuestion: What is it?\n" * 4},
    {"role": "assistant", "content": "It is text [1]."},
    {"role": "user", "content": "Question: And then?"},
)


def require_bounded_template(template: str, name: str) -> None:
    """Return if the template can be rendered for a short chat within the limits, or refuses that chat.

    Args:
        template: source of the template; "" if there is none.
        name: the model's, for the error.

    Raises:
        ModelUnsuitable: it exceeds a limit.
    """
    if not template:
        return
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [sys.executable, "-m", "sift_rag.models.template_probe"],
            input=json.dumps(template),
            capture_output=True,
            text=True,
            timeout=_WALL_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return
    raise ModelUnsuitable(
        f"The chat template of {name!r} takes more than {SECONDS} s or {BYTES >> 30} GB for a short chat: choose "
        "another model."
    )


def _main() -> int:
    template = json.loads(sys.stdin.read())
    with suppress(ImportError):  # not on Windows: there the time of the parent is the only limit
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: form}
    try:
        compiled = environment.from_string(_GENERATION.sub("", template))
        for chat in (_CHAT, _CHAT[1:], _CHAT + _CHAT[-2:] * _MORE_TURNS):
            with suppress(TemplateError):
                compiled.render(
                    messages=list(chat),
                    tools=None,
                    documents=None,
                    add_generation_prompt=True,
                    enable_thinking=False,
                    **_ENDS,
                )
    except (MemoryError, OverflowError):
        return _FAILED
    except Exception:  # noqa: BLE001 - what else it raises, it raises at once, and is reported with the first prompt
        return 0
    return 0


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


if __name__ == "__main__":
    sys.exit(_main())
