"""The options of a selection, which ``search``, ``ask`` and ``chat`` share, and the retrieval that they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

from sift_rag.errors import NoEvidence
from sift_rag_cli import options
from sift_rag_cli.inputs import read_filter, read_given
from sift_rag_cli.stores import layout_of, qdrant_api_key

if TYPE_CHECKING:
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.selection import SelectorSettings, Stopping
    from sift_rag.types import Filter, Retrieval


@dataclass(frozen=True)
class SelectionOptions:
    """What these options say. A command takes one as a parameter: see ``with_selection_options``."""

    k: options.K = options.DEFAULT_K
    selector: options.Selector = "sift"
    kernel: options.Kernel = "rbf"
    lengthscale: options.Lengthscale = options.DEFAULT_LENGTHSCALE
    noise_variance: options.NoiseVariance = options.DEFAULT_NOISE_VARIANCE
    centring: options.Centring = options.DEFAULT_CENTRING
    candidates: options.Candidates = options.DEFAULT_CANDIDATES
    given: options.Given = None
    filter: options.Filter = None
    stop_explained: options.StopExplained = None
    stop_variance: options.StopVariance = None
    alpha: options.Alpha = None
    token_budget: options.TokenBudget = None
    max_variance: options.MaxVariance = None
    exhaustive: options.Exhaustive = False
    vector_name: options.VectorName = None
    text_key: options.TextKey = None
    source_key: options.SourceKey = None

    def settings(self) -> SelectorSettings:
        """The method and its surrogate."""
        from sift_rag.selection import SelectorSettings

        return SelectorSettings(self.selector, self.kernel, self.lengthscale, self.noise_variance, self.centring)

    def stopping(self) -> Stopping:
        """The rules that end a selection before k."""
        from sift_rag.selection import Stopping

        return Stopping(
            self.stop_variance, self.stop_explained, self.alpha, self.token_budget, fill=self.token_budget is not None
        )

    def where(self) -> Filter | None:
        """Which passages may be chosen; None for all."""
        return read_filter(self.filter or ())

    @contextmanager
    def retriever(
        self, store: str | None, collection: str, embedder: str | None, *, keep_copies: bool = False
    ) -> Iterator[Retriever]:
        """A retriever that chooses so; its store is closed at the end."""
        from sift_rag.opening import open_retriever

        settings, _, _ = self.settings(), self.stopping(), self.where()  # what is wrong is told before anything loads
        opened = open_retriever(
            store,
            collection,
            embedder,
            selector=settings,
            candidate_limit=self.candidates,
            keep_copies=keep_copies,
            api_key=qdrant_api_key(),
            layout=layout_of(self.vector_name, self.text_key, self.source_key),
        )
        try:
            yield opened
        finally:
            opened.store.close()

    def retrieve(self, retriever: Retriever, questions: Sequence[str], *, shown: Sequence[str] = ()) -> Retrieval:
        """What these options retrieve; ``shown`` are ids of passages that the reader has already.

        Raises:
            NoEvidence: nothing is there, or more doubt would be left than ``--max-variance`` allows.
        """
        known, texts = read_given(self.given or (), retriever.embedder)
        retrieval = retriever.retrieve(
            questions,
            self.k,
            given=(*known, *shown),
            given_texts=texts,
            stopping=self.stopping(),
            exhaustive=self.exhaustive,
            where=self.where(),
        )
        left = retrieval.irreducible_variance / retrieval.targets
        if self.max_variance is not None and left > self.max_variance:
            raise NoEvidence(
                f"Collection {retriever.store.info.name!r} cannot tell: all {retrieval.candidates} candidates together "
                f"would leave a variance of {left:.3g}, and --max-variance allows {self.max_variance:g}."
            )
        return retrieval


def with_selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of ``SelectionOptions`` in place of its parameter ``selecting``, as typer sees it."""
    taken = get_type_hints(SelectionOptions, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name != "selecting":
            parameters.append(parameter)
            continue
        parameters += [
            parameter.replace(name=field.name, annotation=taken[field.name], default=field.default)
            for field in fields(SelectionOptions)
        ]

    @wraps(command)
    def with_options(**arguments: Any) -> None:
        chosen = {field.name: arguments.pop(field.name) for field in fields(SelectionOptions)}
        command(selecting=SelectionOptions(**chosen), **arguments)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_options
