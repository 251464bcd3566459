"""The options that only this server has, under ``sift`` in a rerank request."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from sift_rag import defaults
from sift_rag.protocols import Selector
from sift_rag.retrieval.options import SearchOptions
from sift_rag_server.validation import Body, Positive, check_work


class SiftExtension(Body):
    """Options of this server only. Unlike other fields of a rerank request, unknown ones are errors."""

    model_config = ConfigDict(extra="forbid")

    k: Positive | None = Field(
        None,
        description="Number of documents to select; the others follow by the gain that they would still have.",
    )
    selector: str | None = Field(
        None, description="Selection method.", json_schema_extra={"enum": [*defaults.SELECTORS, None]}
    )
    settings: dict[str, bool | int | float | str] = Field(
        {}, description="Settings of the selector, such as noise_variance or relevance."
    )
    known_texts: list[str] = Field([], description="Texts that the reader already knows.")
    weights: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = Field(
        None, description="Weight of each question.", min_length=1
    )

    relevance: list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] | None = Field(
        None,
        description="Relevance score of each document by another model, in order. The scores replace the similarity "
        "with the question.",
        min_length=1,
    )

    def make_selector(self) -> Selector | None:
        """Return the selector; None for the reranker's default.

        Raises:
            ValueError: an unknown selector or setting.
        """
        options = SearchOptions(selector=self.selector or defaults.SELECTOR, settings=self.settings)
        check_work(options.make_selector())
        return options.reranking_selector()
