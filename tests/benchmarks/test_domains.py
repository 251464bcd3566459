from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from benchmarks.common.domains import (
    CAPACITY,
    CHOOSING,
    LEAST,
    PROMPTS,
    REPORTING,
    TRAIN_PROMPTS,
    Domain,
    open_domains,
    open_sources,
)
from tests.doubles import word_tokenizer

COLLECTIONS = ("mathematics", "documentation", "latex", "wikipedia", "cranfield", "hotpotqa")
"""The domains made below; the others are installed packages."""

LICENCE = "Permission is hereby granted, free of charge, to any person obtaining a copy, to deal in it without limit."


def sentences(subject: str) -> str:
    return f"The {subject} stands in a town by a river. Whoever asks for the {subject} is told of it at some length."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred documents a collection, each with the same licence as a paragraph of its own."""
    root = tmp_path_factory.mktemp("data")

    def write(name: str, text: str) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")

    for part, numbers in {"train": range(300), "interpolate": range(280, 420)}.items():  # 20 are in both
        records = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in numbers]
        write(f"deepmind_math/{part}.jsonl", "\n".join(map(json.dumps, records)) + "\n")
    for version, number in product((9, 10, 11), range(100)):
        page = f"# Page {number}\n\n{sentences(f'page {number}')}\n\n# Licence\n\n{LICENCE}\n"
        changed = f"\n# News\n\n{sentences(f'change {version} of page {number}')}\n"
        write(f"docs_haystack/version-2.{version}/part/page-{number}.mdx", page + changed)
    write(
        "stacks_latex/towers.tex",
        "\\input{preamble}\n"
        + "".join(f"\\section{{Tower {n}}}\n{sentences(f'tower {n}')}\n\n{LICENCE}\n\n" for n in range(100)),
    )
    write(
        "wikitext2/test.txt",
        "".join(f" = Tower {n} = \n \n {sentences(f'tower {n}')} \n = = Site = = \n {LICENCE} \n" for n in range(100)),
    )
    write(
        "cranfield/cran.all.1400.xml",
        "".join(
            f"<doc><docno>{n}</docno><title>wing {n}</title><text>{sentences(f'wing {n}')}</text></doc>"
            for n in range(100)
        ),
    )
    context = [[f"Bridge {n}", [sentences(f"bridge {n}")]] for n in range(100)]
    asked = {"question": "Which?", "answer": "That.", "context": context, "supporting_facts": []}
    write("hotpotqa/dev.jsonl", json.dumps(asked) + "\n")
    return root


def opened(folder: Path, passages: int = 1000) -> dict[str, Domain]:
    return open_domains(folder, names=COLLECTIONS, passages=passages, tokenizer=word_tokenizer())


def plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def test_no_prompt_stands_in_the_memory_and_no_passage_in_a_prompt(folder: Path) -> None:
    for domain in opened(folder).values():
        asked = [*domain.prompts, *domain.train_prompts]
        assert asked
        assert len(set(asked)) == len(asked)
        assert not any(plain(p) in plain(m) or plain(m) in plain(p) for p, m in product(asked, domain.memory))


def write_pairs(path: Path, *pairs: tuple[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"question": question, "answer": answer}) for question, answer in pairs]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_what_stands_in_another_text_but_for_case_and_white_space_is_left_out_and_so_are_repeated_prompts(
    tmp_path: Path,
) -> None:
    contains_a_prompt, is_in_a_prompt = ("Say:  WHAT is 1 + 1?", "2"), ("What is 5 + 5?", "10")
    kept = ("What is 7 + 7?", "14")
    is_in_the_memory, contains_a_passage = ("What is 1 + 1?", "2"), ("Say: what is\n5 + 5?", "10")
    write_pairs(tmp_path / "deepmind_math" / "train.jsonl", contains_a_prompt, is_in_a_prompt, kept)
    write_pairs(tmp_path / "deepmind_math" / "interpolate.jsonl", is_in_the_memory, *[contains_a_passage] * 3)
    mathematics = opened(tmp_path)["mathematics"]
    assert mathematics.prompts == ("Say: what is\n5 + 5?\n10",)
    assert sorted(mathematics.memory) == ["Say:  WHAT is 1 + 1?\n2", "What is 7 + 7?\n14"]


def test_every_collection_gives_a_memory_and_both_kinds_of_prompts_as_far_as_it_reaches(folder: Path) -> None:
    domains = opened(folder)
    assert tuple(domains) == COLLECTIONS
    assert all(len(domain.memory) > 50 and domain.prompts for domain in domains.values())
    mathematics = domains["mathematics"]
    assert (len(mathematics.prompts), len(mathematics.train_prompts)) == (PROMPTS, TRAIN_PROMPTS)
    assert "What is 7 + 1?\n8" in mathematics.memory


def test_a_domain_without_its_data_is_left_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "wikitext2").symlink_to(folder / "wikitext2")
    assert tuple(opened(tmp_path)) == ("wikipedia",)


def test_a_domain_that_there_is_not_is_an_error_that_says_which_there_are(folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"'maths': there are mathematics, python"):
        open_domains(folder, names=["maths"], tokenizer=word_tokenizer())


def test_of_a_page_set_aside_no_version_is_in_the_memory_and_the_prompts_are_of_the_newest(folder: Path) -> None:
    source = open_sources(folder, ["documentation"])["documentation"]
    assert {text.name for text in source.prompts}.isdisjoint(text.name for text in source.memory)
    assert len(source.memory) == 2 * len({text.name for text in source.memory})
    assert all("change 11 of" in text.text for text in source.prompts)
    assert not any("change 11 of" in text.text for text in source.memory)


def test_prompts_do_not_depend_on_the_size_of_the_memory_and_a_smaller_memory_has_that_size(folder: Path) -> None:
    large, small = opened(folder), opened(folder, passages=20)
    for name, domain in small.items():
        assert (domain.prompts, domain.train_prompts) == (large[name].prompts, large[name].train_prompts)
        assert len(domain.memory) == 20


def test_what_is_set_aside_stays_so_when_documents_are_added(folder: Path, tmp_path: Path) -> None:
    chapter = (folder / "stacks_latex" / "towers.tex").read_text(encoding="utf-8")
    (tmp_path / "stacks_latex").mkdir()
    for name in ("bridges.tex", "towers.tex"):
        (tmp_path / "stacks_latex" / name).write_text(chapter, encoding="utf-8")
    before = open_sources(folder, ["latex"])["latex"].prompts
    after = open_sources(tmp_path, ["latex"])["latex"].prompts
    assert [text for text in after if text.name.startswith("towers")] == before


def test_the_front_matter_that_every_latex_chapter_shares_is_in_no_document(folder: Path) -> None:
    source = open_sources(folder, ["latex"])["latex"]
    assert all(text.text.startswith("\\section{") for text in (*source.memory, *source.prompts))


@pytest.mark.slow
def test_the_packages_whose_code_is_evaluated_are_installed_and_cut_neither_too_large_nor_too_small(
    tmp_path: Path,
) -> None:
    domains = open_domains(tmp_path, names=["python", "pptx"], passages=200, tokenizer=word_tokenizer())
    assert tuple(domains) == ("python", "pptx")
    for domain in domains.values():
        assert (len(domain.memory), len(domain.prompts)) == (200, PROMPTS)
        sizes = [len(word_tokenizer().encode(text).ids) for text in (*domain.memory, *domain.prompts)]
        assert max(sizes) <= CAPACITY
        assert min(map(len, (*domain.memory, *domain.prompts))) >= LEAST


def test_settings_are_chosen_on_other_domains_than_figures_are_told_of() -> None:
    assert set(REPORTING).isdisjoint(CHOOSING)
    assert len(REPORTING) >= 5
