"""Load a saved LoRA adapter into a running vLLM server, which then serves it under a name of its own.

The server must serve the model that was fine-tuned, with LoRA enabled and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True``,
and read the adapter's folder under the same path.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.endpoints import message_in
from sift_rag.errors import ModelUnavailable
from sift_rag.extras import require
from sift_rag.hosts import is_http_address

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0
READ_SECONDS = 120.0
_REFUSED = frozenset({401, 403})
"""Statuses of a server that wants an API key."""


def check_adapter_server(url: str) -> None:
    """Raise the errors of ``push_adapter`` that need no server: so nothing is learnt and saved in vain.

    Raises:
        MissingExtra: ``httpx`` is not installed.
        ValueError: ``url`` is not an http address.
    """
    if not is_http_address(url):
        raise ValueError(f"push_adapter is {url!r}: expected an address like http://localhost:8000/v1.")
    require("httpx", "openai")


def push_adapter(folder: Path, url: str) -> str:
    """Load an adapter, in place of an earlier one of its name; return that name, the folder's.

    Args:
        folder: the adapter, in PEFT's format.
        url: address of the server, up to and including ``/v1``.

    Raises:
        MissingExtra: ``httpx`` is not installed.
        ModelUnavailable: the server cannot be reached, or does not load the adapter. It stays in its folder.
        ValueError: ``url`` is not an http address.
    """
    check_adapter_server(url)
    import httpx

    path = folder.absolute()
    wanted = {"lora_name": path.name, "lora_path": str(path), "load_inplace": True}
    saved = f"The adapter is saved in {str(path)!r}, but the server {url}"
    try:
        reply = httpx.post(
            f"{url.rstrip('/')}/load_lora_adapter",
            json=wanted,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )
    except httpx.ReadTimeout as error:
        raise ModelUnavailable(
            f"{saved} did not answer within {READ_SECONDS:g} s: check there whether it has loaded the adapter."
        ) from error
    except httpx.HTTPError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelUnavailable(
            f"{saved} cannot be reached ({reason}): check the address, and that it is running."
        ) from error
    if reply.status_code in _REFUSED:
        raise ModelUnavailable(
            f"{saved} wants an API key ({reply.status_code}), and none is sent to it: load the folder into it yourself."
        )
    if not reply.is_success:
        raise ModelUnavailable(
            f"{saved} does not load it ({reply.status_code}: {_words_of(reply)}): it must serve the same model with "
            "LoRA, run with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, and read that folder."
        )
    if _is_page(reply):
        raise ModelUnavailable(f"{saved} sent {_words_of(reply)}: check that it is the address of a vLLM server.")
    return path.name


def _is_page(reply: httpx.Response) -> bool:
    return "html" in str(reply.headers.get("content-type", "")).lower()


def _words_of(reply: httpx.Response) -> str:
    """Return the words of a server for an error, in one line."""
    if _is_page(reply):
        return "a page of HTML"
    told = message_in(reply)
    return " ".join((reply.text if told is None else told).split())[:300]
