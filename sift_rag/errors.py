"""Every error that sift-rag raises for failures outside the program.

    SiftRagError
    ├── ConfigurationError        a setting that cannot be used as given
    ├── MissingExtra              an optional package is not installed; the message holds the pip line
    ├── UnreadableDocument        a file that cannot become text
    │   └── SkippedDocument       ... because it is none of ours: binary, empty, too large
    ├── ClusterUnavailable        no Ray cluster there, or not one that can do the work
    ├── NothingToIngest           a path is missing, or nothing under it could go in
    ├── NoEvidence                the collection holds nothing that could answer
    │   └── NothingToLearn        ... or none of its passages has anything to train on
    ├── StoreError
    │   ├── CollectionNotFound
    │   ├── DocumentNotFound
    │   ├── StoreConflict         another embedder, a newer schema, a source name that is taken
    │   ├── StoreInUse            another process holds the embedded store
    │   ├── StoreUnreachable      no answer from where the store should be
    │   ├── StoreDamaged          what is on disk contradicts the manifest
    │   └── StoreFull             too little free space to go on safely
    └── ModelError
        ├── ModelUnavailable      the weights or the endpoint cannot be reached
        ├── ModelUnsuitable       they can, but they are not what is needed
        ├── ModelInUse            its weights are being changed, or read, for something else
        ├── TrainingFailed        the loss left the numbers, or memory ran out
        └── AdapterNotSaved       the folder cannot take it

An argument out of range is a plain ``ValueError`` at the function that uses it. A message states the fact and what was
expected. What to do depends on the entry point (a flag, an argument, a field of a request), so an error carries
a ``Remedy`` that each entry point says in its own words. Foreign exceptions become one of these in the one module that
talks to that library.
"""

from __future__ import annotations


class Remedy:
    """Remedy for an error: a key, and the values that an entry point needs to word it.

    The command line's wording is in ``sift_rag_cli/remedies.py``.
    """

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.values = values

    def __repr__(self) -> str:
        values = "".join(f", {name}={value!r}" for name, value in self.values.items())
        return f"Remedy({self.key!r}{values})"


class SiftRagError(Exception):
    """The base class: catch it to catch every error that sift-rag raises on purpose."""

    def __init__(self, message: str = "", *, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigurationError(SiftRagError):
    """A setting that cannot be used as given."""


class MissingExtra(SiftRagError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"This needs the package '{package}', which is not installed: pip install 'sift-rag[{extra}]'")
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        """Let it be pickled, with the arguments that it was made from."""
        return type(self), (self.package, self.extra)


class UnreadableDocument(SiftRagError):
    """A file that cannot become text; the message is the reason, fit for a report."""


class SkippedDocument(UnreadableDocument):
    """A file that sift-rag does not ingest by design: binary, empty, too large. Not a failure."""


class ClusterUnavailable(SiftRagError):
    """There is no cluster at the address, it runs other versions, or its workers die."""


class NothingToIngest(SiftRagError):
    """A path is missing, or nothing under the given paths could be ingested."""


class NoEvidence(SiftRagError):
    """The collection holds nothing that could answer."""


class NothingToLearn(NoEvidence):
    """There is nothing to fine-tune on: no passage, or none with a token to predict."""


class StoreError(SiftRagError):
    """A store could not do what was asked."""


class CollectionNotFound(StoreError):
    """No collection of that name."""


class DocumentNotFound(StoreError):
    """No document of that source in the collection."""


class StoreConflict(StoreError):
    """The collection was written with another embedder, a newer schema or another root."""


class StoreInUse(StoreError):
    """Another process holds the embedded store."""


class StoreUnreachable(StoreError):
    """The store's server does not answer."""


class StoreDamaged(StoreError):
    """Files on disk that contradict the manifest."""


class StoreFull(StoreError):
    """Too little free space to go on safely."""


class ModelError(SiftRagError):
    """A model (an embedder or a language model) could not do what was asked."""


class ModelUnavailable(ModelError):
    """The weights or the endpoint cannot be reached."""


class ModelUnsuitable(ModelError):
    """The model was reached, but is not what is needed."""


class ModelInUse(ModelError):
    """The weights are being changed for one prompt, or read for another."""


class TrainingFailed(ModelError):
    """Fine-tuning ended without a usable model: the loss is not finite, or memory ran out. The weights are restored."""


class AdapterNotSaved(ModelError):
    """The folder cannot take an adapter: it is read-only or not empty, or its disk is full. No partial files remain."""


def first_line(error: Exception) -> str:
    """Return the first line of what an error of another library says, or its type's name if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
