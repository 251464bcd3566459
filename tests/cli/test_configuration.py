from pathlib import Path

import pytest

from sift_rag.errors import ConfigurationError
from sift_rag_cli.app import COMMANDS
from sift_rag_cli.configuration import FILE_NAME, load_configuration
from tests.cli.conftest import Run


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    path.write_text(text, encoding="utf-8")
    return path


def user_folder(here: Path) -> Path:
    return here.parent / "configuration" / "sift-rag"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "colection = 'news'",
            "unknown key 'colection'; did you mean 'collection'?",
        ),
        ("[serch]\nk = 3", "unknown key 'serch'; did you mean '[search]'?"),
        (
            "zzz = 3",
            "known names are [ask], [embedding], [finetuning], [ingest], [search], [serve], base_url, collection,",
        ),
        ("[search]\nlenghtscale = 1", "unknown key 'lenghtscale' in [search]; did you mean 'lengthscale'?"),
        ("[finetuning]\nrank = 'x'", "'rank' in [finetuning] must be a whole number"),
        ("[search]\nmodel = 'x'", r"unknown key 'model' in [search]"),
        ("[search]\nk = '3'", r"'k' in [search] must be a whole number, but is '3'"),
        ("[search]\nk = true", r"'k' in [search] must be a whole number, but is True"),
        ("[search]\nlengthscale = 'wide'", r"'lengthscale' in [search] must be a number"),
        ("[search]\nselector = 'best'", "must be one of sift, nearest, mmr, dpp, facility-location"),
        ("[ask]\ndecompose = 'yes'", r"'decompose' in [ask] must be true or false"),
        ("[ingest]\ninclude = '*.md'", r"'include' in [ingest] must be a list of texts"),
        ("store = 3", "'store' must be text, but is 3"),
        ("search = 3", "'search' must be a table"),
        ("store = ", "is not valid TOML"),
    ],
)
def test_a_wrong_setting_is_a_usage_error_that_names_file_and_key(
    run: Run, elsewhere: Path, text: str, complaint: str
) -> None:
    path = write(elsewhere, text)
    result = run("list")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert str(path) in result.stderr
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_utf8_is_a_usage_error(run: Run, elsewhere: Path) -> None:
    (elsewhere / FILE_NAME).write_bytes(b"store = '\xff'")
    result = run("list")
    assert (result.exit_code, "not valid TOML" in result.stderr) == (2, True)


def test_without_files_nothing_is_set(elsewhere: Path) -> None:
    configuration = load_configuration(COMMANDS)
    assert not any(configuration.tables.values())


def test_the_nearer_file_wins_key_by_key(elsewhere: Path) -> None:
    write(user_folder(elsewhere), "collection = 'far'\nembedder = 'far'\n[search]\nk = 7\ncandidate_limit = 70\n")
    write(elsewhere, "collection = 'near'\n[search]\nk = 3\n")
    configuration = load_configuration(COMMANDS)
    assert configuration.tables[""] == {"collection": "near", "embedder": "far"}
    assert configuration.tables["search"] == {"k": 3, "candidate_limit": 70}
    assert configuration.near == {"collection"}


def test_a_relative_store_is_relative_to_its_file_and_a_url_is_left_alone(elsewhere: Path) -> None:
    far = write(user_folder(elsewhere), "store = 'index'\n")
    assert load_configuration(COMMANDS).tables[""]["store"] == str(far.parent / "index")
    write(elsewhere, "store = 'https://example.org'\n")
    assert load_configuration(COMMANDS).tables[""]["store"] == "https://example.org"


def test_ask_reads_the_search_table_and_its_own_wins(elsewhere: Path) -> None:
    write(elsewhere, "[search]\nk = 3\nkernel = 'linear'\n[ask]\nk = 9\n")
    configuration = load_configuration(COMMANDS)
    assert configuration.values("search") == {"k": 3, "kernel": "linear"}
    assert configuration.values("ask") == configuration.values("chat") == {"k": 9, "kernel": "linear"}
    assert configuration.values("list") == {}


def test_ask_and_compare_read_the_table_of_fine_tuning(elsewhere: Path) -> None:
    write(elsewhere, "[finetuning]\nrank = 4\n")
    configuration = load_configuration(COMMANDS)
    assert configuration.values("ask") == configuration.values("compare") == {"finetuning.rank": 4}
    assert configuration.values("search") == {}


@pytest.mark.parametrize(
    ("near", "environment", "flags", "collection"),
    [
        ("", {}, (), "documents"),
        ("collection = 'near'", {}, (), "near"),
        ("collection = 'near'", {"SIFT_RAG_COLLECTION": "environment"}, (), "environment"),
        ("collection = 'near'", {"SIFT_RAG_COLLECTION": "environment"}, ("--collection", "flag"), "flag"),
    ],
)
def test_a_flag_wins_over_the_environment_and_the_environment_over_a_file(
    run: Run, elsewhere: Path, near: str, environment: dict[str, str], flags: tuple[str, ...], collection: str
) -> None:
    write(elsewhere, near)
    result = run("list", *flags, env=environment)
    assert result.exit_code == 5
    assert collection in result.stderr


def test_a_broken_file_is_reported_by_its_own_reader(tmp_path: Path, elsewhere: Path) -> None:
    (elsewhere / FILE_NAME).mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_configuration(COMMANDS)
