"""Load a saved LoRA adapter into a running vLLM server, which then serves it under a name of its own.

The server must serve the model that was fine-tuned, with LoRA enabled and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True``,
and read the adapter's folder under the same path.
"""

from __future__ import annotations

from pathlib import Path

from sift_rag.errors import ModelUnavailable
from sift_rag.extras import require
from sift_rag.hosts import is_http_address

CONNECT_SECONDS = 5.0
READ_SECONDS = 120.0


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
    if not is_http_address(url):
        raise ValueError(f"push_adapter is {url!r}: expected an address like http://localhost:8000/v1.")
    require("httpx", "openai")
    import httpx

    path = folder.absolute()
    wanted = {"lora_name": path.name, "lora_path": str(path), "load_inplace": True}
    try:
        reply = httpx.post(
            f"{url.rstrip('/')}/load_lora_adapter",
            json=wanted,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )
    except httpx.HTTPError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelUnavailable(
            f"The adapter is saved in {str(path)!r}, but the server {url} cannot be reached ({reason}): check the "
            "address, and that it is running."
        ) from error
    if not reply.is_success:
        reason = " ".join(reply.text.split())[:300]
        raise ModelUnavailable(
            f"The adapter is saved in {str(path)!r}, but the server {url} does not load it ({reply.status_code}: "
            f"{reason}): it must serve the same model with LoRA, allow adapters to be loaded at run time, and read "
            "that folder."
        )
    return path.name
