"""A store is named by a folder or a URL, and its scheme says what opens it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sift_rag import open_database, register_database
from sift_rag.errors import ConfigurationError
from sift_rag.protocols import Database
from sift_rag.stores import registry
from sift_rag.stores.embedded.database import FolderDatabase
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.memory import MemoryStore
from sift_rag.stores.qdrant.layout import Layout
from sift_rag.stores.qdrant.options import ServerOptions
from sift_rag.types import CollectionInfo

INFO = CollectionInfo("news", "an embedder", 4, SCHEMA_VERSION)


def test_a_path_is_a_folder_and_equal_folders_are_one_location(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert isinstance(open_database(tmp_path), FolderDatabase)
    assert open_database(str(tmp_path)).location == open_database(tmp_path / "other" / "..").location
    assert open_database(tmp_path / "nowhere").collections() == []


def test_a_servers_location_does_not_tell_its_key() -> None:
    database = open_database("https://qdrant.example.org?timeout=7", api_key="secret")
    assert database.location == "https://qdrant.example.org:6333"
    assert "secret" not in repr(database)


def test_a_scheme_that_nobody_opens_is_told_with_the_known_ones() -> None:
    known = "expected a folder or one of grpc://, grpcs://, http://, https://"
    with pytest.raises(ConfigurationError, match=known) as told:
        open_database("ftp://user:password@localhost:6333")
    assert "password" not in str(told.value)


def test_a_folder_has_no_use_for_a_servers_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder") as told:
        open_database(tmp_path, server=ServerOptions(shard_number=2))
    assert told.value.remedy is not None
    assert told.value.remedy.key == "server-options-for-a-folder"
    assert open_database(tmp_path, api_key="unused", layout=Layout()).collections() == []


@pytest.fixture
def schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove after the test what it registers."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))


class OneCollection:
    """A ``Database`` as far as these tests need one."""

    def __init__(self, url: str, **settings: object) -> None:
        self.location, self.settings = url, settings

    def open_index(self, name: str) -> MemoryStore:
        return MemoryStore(INFO)


@pytest.mark.usefixtures("schemes")
def test_a_database_of_ones_own_is_opened_by_its_scheme() -> None:
    register_database("mine", OneCollection)  # type: ignore[arg-type]
    database: Database = open_database("mine://somewhere", api_key="a key")
    assert isinstance(database, OneCollection)
    assert database.location == "mine://somewhere"
    assert database.settings == {"api_key": "a key", "server": None, "layout": None}
    assert database.open_index("news").info == INFO


@pytest.mark.usefixtures("schemes")
@pytest.mark.parametrize("scheme", ["", "Mine", "mi ne", "mine://", "é"])
def test_what_is_no_scheme_is_not_registered(scheme: str) -> None:
    with pytest.raises(ValueError, match="URL scheme"):
        register_database(scheme, OneCollection)  # type: ignore[arg-type]


@pytest.mark.slow
def test_listing_a_folder_loads_no_engine_no_client_and_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from sift_rag.stores.registry import open_database; open_database(sys.argv[1]).collections();"
        "print([name for name in ('qdrant_client', 'qdrant_edge', 'torch') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == "[]\n"


def test_the_environment_holds_no_key_for_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIFT_RAG_QDRANT_API_KEY", "QDRANT_API_KEY"):
        monkeypatch.setenv(name, "a key of the environment")
    assert open_database("http://localhost:6333")._address.api_key is None  # type: ignore[attr-defined]
