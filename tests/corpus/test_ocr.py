"""Scans are read by OCR where it is installed: the real engine, on pages that are drawn and rendered here."""

from __future__ import annotations

import logging

import pytest

from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.pdf import read_pdf
from sift_rag.errors import SkippedDocument
from tests.corpus.pdf_pages import At, Drawn, Picture, lines, pdf

pytest.importorskip("rapidocr", reason="the engine that reads scans: pip install 'sift-rag[ocr]'")

pytestmark = pytest.mark.slow


def _scan_of(page: list[Drawn]) -> Picture:
    import pypdfium2

    with pypdfium2.PdfDocument(pdf([page])) as document:
        bitmap = document[0].render(scale=2, grayscale=True).to_numpy()
    height, width = bitmap.shape[:2]
    return Picture(width, height, bitmap.tobytes())


def test_a_scan_is_read_in_the_order_of_its_lines(capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    scan = _scan_of([*lines("Contract number 8812\nsigned in Bergen in 2019", size=14, leading=40)])
    found = read_pdf(pdf([[*lines("The contract is on the next page.")], [scan]]))

    assert [section.page for section in found.sections] == [1, 2]
    assert list(found.sections)[1].text.split("\n\n") == ["Contract number 8812", "signed in Bergen in 2019"]
    assert (found.notices, found.pages_without_text) == (("page 2 was read by OCR",), 0)
    assert capfd.readouterr() == ("", "")


def test_a_table_on_a_scan_is_a_table() -> None:
    rows = [("Place", "Plants"), ("North pier", "412"), ("Old quarry", "388"), ("Seal rock", "127")]
    cells = [At(72 + 200 * x, 700 - 30 * y, cell, 14) for y, row in enumerate(rows) for x, cell in enumerate(row)]
    [section] = read_pdf(pdf([[_scan_of([*cells])]])).sections

    assert "| Old quarry | 388 |" in section.text


def test_small_letters_on_a_large_sheet_are_found() -> None:
    scan = _scan_of([At(72, 500, "Contract number 8812, signed in Bergen.", 7)])
    [section] = read_pdf(pdf([[scan]])).sections

    assert "8812" in section.text


def test_an_empty_sheet_has_no_text() -> None:
    with pytest.raises(SkippedDocument, match=r"it holds no text .*OCR found none either"):
        read_pdf(pdf([[Picture(8, 8, b"\xff" * 64)]]))


def test_ocr_can_be_turned_off() -> None:
    scan = _scan_of([*lines("Contract number 8812", size=14)])

    with pytest.raises(SkippedDocument, match="OCR is off"):
        read_pdf(pdf([[scan]]), IngestOptions(ocr="off"))


def test_scans_are_counted_where_ocr_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(SkippedDocument, match=r"pip install 'sift-rag\[ocr\]'"):
        read_pdf(pdf([[Picture(8, 8, b"\xff" * 64)]]))
