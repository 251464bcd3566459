"""The embedder that the options name: on this machine, or at an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sift_rag_cli.api_keys import embedder_key

if TYPE_CHECKING:
    import typer

    from sift_rag.embedders.endpoint import EmbedderEndpoint
    from sift_rag_cli.settings import Values


def embedder_of(
    context: typer.Context, values: Values, name: str | None, url: str | None
) -> str | EmbedderEndpoint | None:
    """Return what ``--embedder``, ``--embedder-url`` and the settings name; None for the collection's own.

    Raises:
        ValueError: the address is not one, or a setting is out of range.
    """
    if url is None:
        return name
    from sift_rag.embedders.endpoint import EmbedderEndpoint

    return EmbedderEndpoint(url, name, embedder_key(context, url), **values["embedding"])
