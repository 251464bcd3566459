import inspect

import pytest

from sift_rag import errors
from sift_rag_cli.app import exit_code

MISSING_EXTRA = errors.MissingExtra("openai", "openai")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SiftRagError(), 1),
        (errors.ConfigurationError(), 2),
        (MISSING_EXTRA, 1),
        (errors.UnreadableDocument(), 1),
        (errors.SkippedDocument(), 1),
        (errors.NothingToIngest(), 1),
        (errors.ClusterUnavailable(), 4),
        (errors.NoEvidence(), 3),
        (errors.NothingToLearn(), 3),
        (errors.StoreError(), 1),
        (errors.CollectionNotFound(), 5),
        (errors.DocumentNotFound(), 5),
        (errors.StoreConflict(), 6),
        (errors.StoreInUse(), 4),
        (errors.StoreUnreachable(), 4),
        (errors.StoreDamaged(), 1),
        (errors.StoreFull(), 1),
        (errors.ModelError(), 1),
        (errors.ModelUnavailable(), 4),
        (errors.ModelUnsuitable(), 1),
        (errors.ModelInUse(), 4),
        (errors.TrainingFailed(), 1),
        (errors.AdapterNotSaved(), 1),
        (ValueError(), 2),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, ""), 1),
        (PermissionError(), 1),
        (TypeError(), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_the_table_above_names_every_error_of_the_library() -> None:
    (mark,) = (mark for mark in test_each_error_has_its_exit_code.pytestmark if mark.name == "parametrize")
    named = {type(error) for error, _ in mark.args[1]}
    defined = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert defined <= named
