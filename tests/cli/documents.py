"""A small folder of documents with repetition, copies and files that cannot be ingested."""

from pathlib import Path

TRAVEL = """# Travel

## Booking

Flights are booked through the travel office at least two weeks ahead. The travel office needs the cost centre.

## Expenses

Receipts are handed in within thirty days. Meals are paid up to forty euros a day, and taxis only with a reason.
"""
SICK_LEAVE = """# Sick leave

Call your manager before ten in the morning on the first day. A doctor's note is needed from the third day on.
"""
LAPTOPS = """# Laptops

A broken laptop is handed to the help desk in room 12. A replacement is ready within one working day.
"""
HOSTILE = "# Notes\n\nA [red]red[/red] note about \x1b[31mlaptop\x1b[0m repair \u202egnp.exe\x9b2J in the cellar.\n"


def write_library(folder: Path) -> Path:
    """Write the folder ``library``: five files that are ingested, three that are not."""
    library = folder / "library"
    for name, content in {
        "travel.md": TRAVEL,
        "archive/travel.md": TRAVEL,
        "sick-leave.md": SICK_LEAVE,
        "laptops.md": LAPTOPS,
        "notes\x1b[2J.md": HOSTILE,
        "empty.md": "",
    }.items():
        path = library / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (library / "broken.txt").write_bytes(b"\xff\xfe" + b"\0\xdc" * 20)  # half characters only
    (library / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return library
