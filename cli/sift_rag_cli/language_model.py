"""The language model that the options name, and the key that its endpoint gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sift_rag_cli.configuration import chosen_by_working_directory
from sift_rag_cli.output import one_line, say

if TYPE_CHECKING:
    import typer

    from sift_rag.protocols import LanguageModel

KEY_VARIABLES = ("SIFT_RAG_API_KEY", "OPENAI_API_KEY")
HOW_TO_GET_AN_ANSWER = (
    "For an answer, name a language model: --model NAME|PATH, or --base-url URL --model NAME for an endpoint."
)


def open_named_model(context: typer.Context, model: str | None, base_url: str | None) -> LanguageModel:
    """The model.

    Raises:
        ConfigurationError: no model is named, or an endpoint without a model.
        ModelUnavailable: it cannot be reached.
    """
    from sift_rag.opening import open_model

    return open_model(model, base_url=base_url, api_key=_key_for(context, base_url) if base_url is not None else None)


def _key_for(context: typer.Context, base_url: str) -> str | None:
    key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
    if key is not None and chosen_by_working_directory(context, "base_url"):
        say(
            f"The endpoint {one_line(base_url)} was chosen by sift-rag.toml in this directory, so your API key is not "
            "sent to it. To send it, name the endpoint with --base-url or SIFT_RAG_BASE_URL."
        )
        return None
    return key
