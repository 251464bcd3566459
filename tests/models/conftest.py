"""The small trained model of the tests, loaded once, and a stub of an endpoint."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.options import ModelOptions
from tests.models.stub_endpoint import StubEndpoint, stub_endpoint

LANGUAGE_MODEL = Path(__file__).parents[1] / "data" / "stdlib-lm"


@pytest.fixture(scope="session")
def language_model_path() -> Path:
    return LANGUAGE_MODEL


@pytest.fixture(scope="session")
def language_model(language_model_path: Path) -> LocalModel:
    return load_local_model(str(language_model_path), options=ModelOptions(device="cpu"))


@pytest.fixture
def folder(language_model_path: Path, tmp_path: Path) -> Path:
    """A copy of the model's folder, to be spoiled."""
    copy = tmp_path / "model"
    shutil.copytree(language_model_path, copy, ignore=shutil.ignore_patterns("*.py"))
    return copy


@pytest.fixture
def endpoint() -> Iterator[StubEndpoint]:
    with stub_endpoint() as stub:
        yield stub
