"""Make PDFs for the tests: lines at given places, pictures of text, form fields, outlines."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

WIDTH, HEIGHT = 612, 792

_FONTS = ("Helvetica", "Helvetica-Bold", "Courier")


class At(NamedTuple):
    """A line of text: its baseline begins at ``(x, y)``, in points from the lower left corner."""

    x: float
    y: float
    text: str
    size: float = 10
    font: str = "Helvetica"


class Picture(NamedTuple):
    """A picture of grey pixels over the whole page."""

    width: int
    height: int
    grey: bytes


class Field(NamedTuple):
    """A text field of a form that is filled in."""

    name: str
    value: str
    flags: int = 0


Drawn: TypeAlias = At | Picture | Field


def lines(text: str, *, x: float = 72, y: float = 720, leading: float = 12, size: float = 10) -> list[At]:
    """Return the lines of a text, one below the other."""
    return [At(x, y - number * leading, line, size) for number, line in enumerate(text.split("\n"))]


@dataclass(slots=True)
class _Objects:
    bodies: list[bytes]

    def add(self, body: str | bytes) -> int:
        self.bodies.append(body.encode("latin-1") if isinstance(body, str) else body)
        return len(self.bodies)

    def stream(self, entries: str, content: bytes) -> int:
        head = f"<< {entries} /Length {len(content)} >>\nstream\n".encode("latin-1")
        return self.add(head + content + b"\nendstream")


def pdf(
    pages: Sequence[Sequence[Drawn]],
    *,
    title: str = "",
    outline: Sequence[tuple[str, int]] = (),
    rotate: int = 0,
    extra: str = "",
) -> bytes:
    """Return a PDF.

    Args:
        pages: what is drawn on each page, in this order.
        title: of the metadata.
        outline: title and page, from 1, of each bookmark.
        rotate: degrees by which every page is turned for its reader.
        extra: entries of the trailer.
    """
    objects = _Objects([b"", b""])
    fonts = " ".join(
        f"/{name} {objects.add(f'<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>')} 0 R"
        for name in _FONTS
    )
    fields: list[int] = []
    kids = [_page(objects, page, fonts, fields, rotate) for page in pages]
    objects.bodies[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{_references(kids)}] >>".encode()
    form = f"/AcroForm << /Fields [{_references(fields)}] >>" if fields else ""
    bookmarks = f"/Outlines {_outline(objects, outline, kids)} 0 R" if outline else ""
    objects.bodies[0] = f"<< /Type /Catalog /Pages 2 0 R {form} {bookmarks} >>".encode()
    info = objects.add(f"<< /Title ({title}) >>")
    return _written(objects.bodies, f"/Root 1 0 R /Info {info} 0 R {extra}")


def _references(numbers: Sequence[int]) -> str:
    return " ".join(f"{number} 0 R" for number in numbers)


def _page(objects: _Objects, page: Sequence[Drawn], fonts: str, fields: list[int], rotate: int) -> int:
    content: list[str] = []
    images: list[int] = []
    widgets: list[int] = []
    for drawn in page:
        match drawn:
            case At(x, y, text, size, font):
                escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
                content.append(f"BT /{font} {size} Tf {x} {y} Td ({escaped}) Tj ET")
            case Picture(width, height, grey):
                entries = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /BitsPerComponent 8"
                entries += " /ColorSpace /DeviceGray /Filter /FlateDecode"
                images.append(objects.stream(entries, zlib.compress(grey)))
                content.append(f"q {WIDTH} 0 0 {HEIGHT} 0 0 cm /I{images[-1]} Do Q")
            case Field(name, value, flags):
                box = f"[72 {600 - 20 * len(widgets)} 300 {615 - 20 * len(widgets)}]"
                entries = f"/T ({name}) /V ({value}) /Ff {flags} /Rect {box} /DA (/Helvetica 10 Tf)"
                widgets.append(objects.add(f"<< /Type /Annot /Subtype /Widget /FT /Tx {entries} >>"))
    fields += widgets
    stream = objects.stream("", "\n".join(content).encode("cp1252"))
    xobjects = " ".join(f"/I{number} {number} 0 R" for number in images)
    resources = f"/Resources << /Font << {fonts} >> /XObject << {xobjects} >> >>"
    box = f"/MediaBox [0 0 {WIDTH} {HEIGHT}] /Rotate {rotate} /Annots [{_references(widgets)}]"
    return objects.add(f"<< /Type /Page /Parent 2 0 R {box} {resources} /Contents {stream} 0 R >>")


def _outline(objects: _Objects, outline: Sequence[tuple[str, int]], kids: Sequence[int]) -> int:
    root = len(objects.bodies) + 1
    first, last = root + 1, root + len(outline)
    objects.add(f"<< /Type /Outlines /First {first} 0 R /Last {last} 0 R /Count {len(outline)} >>")
    for number, (title, page) in enumerate(outline, start=first):
        following = f"/Next {number + 1} 0 R" if number < last else ""
        objects.add(f"<< /Title ({title}) /Parent {root} 0 R {following} /Dest [{kids[page - 1]} 0 R /Fit] >>")
    return root


def _written(bodies: Sequence[bytes], trailer: str) -> bytes:
    out, offsets = b"%PDF-1.6\n", []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(bodies) + 1
    table = f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    return out + f"{table}trailer << /Size {size} {trailer} >>\nstartxref\n{len(out)}\n%%EOF".encode("latin-1")
