"""Text in a language that the embedder does not know is noticed once; anything else is not."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest

from sift_rag.corpus.ingest import ingest
from sift_rag.corpus.languages import LanguageCheck, language_of
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, Passage, Span
from tests.doubles import HashingEmbedder

ENGLISH = "The owl hunts mice at night, while the bees of the village sleep in their wooden houses until the morning."
GERMAN = "Die Eule jagt nachts nach Mäusen, während die Bienen des Dorfes bis zum Morgen in ihren Häusern schlafen."
CHINESE = "猫头鹰在夜里捕捉老鼠，而村里的蜜蜂在木屋里一直睡到早晨。每个人都知道，猫头鹰白天不出来，晚上才开始工作。"
CODE = "```python\nfor number in range(10):\n    print(number, end=separator)\n```"


class English(HashingEmbedder):
    languages = ("en",)


def _noticed(folder: Path, texts: list[str], embedder: HashingEmbedder) -> list[str]:
    for number, text in enumerate(texts):
        (folder / f"{number}.md").write_text(text, encoding="utf-8")
    store = MemoryStore(CollectionInfo("notes", embedder.name, embedder.dimension, 1))
    report = ingest([folder], store, embedder)
    notices = [notice for notice in report.notices if not notice.source]
    assert all(notice.remedy is not None and "multilingual" in notice.remedy.values["embedder"] for notice in notices)
    return [notice.reason for notice in notices]


@pytest.mark.parametrize(("text", "name"), [(GERMAN, "German"), (CHINESE, "Chinese")])
def test_a_language_that_the_embedder_does_not_know_is_noticed_once(tmp_path: Path, text: str, name: str) -> None:
    [notice] = _noticed(tmp_path, [ENGLISH, text, text], English())
    assert f"mostly {name}" in notice


@pytest.mark.parametrize(
    "texts", [[ENGLISH], [CODE], ["x" * 800], ["| 1 | 2 |\n|---|---|\n| 3 | 4 |"], [ENGLISH] * 9 + [GERMAN]]
)
def test_english_code_and_tables_are_not(tmp_path: Path, texts: list[str]) -> None:
    assert _noticed(tmp_path, texts, English()) == []


def test_an_embedder_that_does_not_name_its_languages_is_not_judged(tmp_path: Path) -> None:
    assert _noticed(tmp_path, [GERMAN], HashingEmbedder()) == []


def test_the_sample_is_even_over_many_documents(tmp_path: Path) -> None:
    [notice] = _noticed(tmp_path, [ENGLISH] * 500 + [GERMAN] * 500, English())
    share = int(notice.partition("%")[0])
    assert 40 <= share <= 60


def test_the_sample_is_bounded() -> None:
    check = LanguageCheck(English())
    for number in range(1_000):
        passage = Passage(str(number), ENGLISH, "notes/a.md", Span(0, len(ENGLISH)))
        assert list(check.passing([passage], "markdown")) == [passage]
        assert len(check._sample) <= 200
    assert len(check._sample) >= 100


FRENCH = "La chouette chasse les souris pendant la nuit, tandis que les abeilles du village dorment dans leurs maisons."
JAPANESE = "フクロウは夜にネズミを狩り、村のミツバチは朝まで木の家で眠っています。昼間は誰もフクロウを見かけません。"


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ([ENGLISH], "en"),
        ([GERMAN], "de"),
        ([FRENCH], "fr"),
        ([CHINESE], "zh"),
        ([JAPANESE], "ja"),
        ([CODE, "| 1 | 2 |", GERMAN], "de"),
        (["1 " * 999 + GERMAN * 20], "de"),
        ([GERMAN] * 20 + [ENGLISH] * 99, "de"),
        ([CODE], ""),
        (["Eule"], ""),
        ([], ""),
        (["1 2 3 " * 400, ""], ""),
    ],
)
def test_the_language_of_a_document_is_that_of_the_prose_with_which_it_begins(texts: list[str], code: str) -> None:
    assert language_of(texts, "markdown") == code


def test_a_program_has_no_language_and_only_the_beginning_is_read() -> None:
    assert language_of([ENGLISH], "python") == ""
    endless = (f"{number}: 1 2 3" for number in count())
    assert language_of(endless, "plain") == ""


def test_records_name_the_language_and_keep_it_while_the_text_stays(tmp_path: Path) -> None:
    for name, text in {"en.md": ENGLISH, "de.md": GERMAN, "rows.csv": f"text\n{GERMAN}\n", "x.py": "x = 1\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    store = MemoryStore(CollectionInfo("notes", "hashing", 64, 1))

    def languages() -> dict[str, str]:
        ingest([tmp_path], store, HashingEmbedder())
        return {Path(record.source).name: record.language for record in store.documents()}

    assert languages() == {"en.md": "en", "de.md": "de", "rows.csv": "de", "x.py": ""}
    os.utime(tmp_path / "de.md")
    (tmp_path / "en.md").rename(tmp_path / "english.md")
    (tmp_path / "rows.csv").write_text(f"text\n{FRENCH}\n", encoding="utf-8")
    assert languages() == {"english.md": "en", "de.md": "de", "rows.csv": "fr", "x.py": ""}
