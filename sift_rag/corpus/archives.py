"""Check zip archives before a library unpacks them."""

from __future__ import annotations

import io
import zipfile

from sift_rag.corpus.decoding import one_line
from sift_rag.errors import UnreadableDocument

_MAX_UNPACKED = 512 << 20
_MAX_RATIO = 200
"""Office files shrink to a tenth, rarely to a fiftieth; a bomb to a thousandth."""
_RATIO_COUNTS_FROM = 32 << 20

_ENCRYPTED_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""First bytes of an OLE container, which is what a password-protected office file is instead of a zip."""


def check_archive(data: bytes) -> None:
    """Refuse archives that are broken, encrypted or would unpack to too much.

    The sizes that an archive declares can be trusted as upper bounds: unpacking stops there.

    Raises:
        UnreadableDocument: it is one of these; the message says which.
    """
    if data.startswith(_ENCRYPTED_OFFICE):
        raise UnreadableDocument("password-protected, or an old binary office file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise UnreadableDocument(f"broken archive: {reason(error)}") from error
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableDocument("password-protected")
    unpacked = sum(member.file_size for member in members)
    if unpacked > _MAX_UNPACKED or (unpacked > _RATIO_COUNTS_FROM and unpacked > _MAX_RATIO * len(data)):
        raise UnreadableDocument(f"would unpack to {unpacked >> 20} MB from {len(data) / (1 << 20):.1f} MB")


def reason(error: BaseException) -> str:
    """Return what went wrong in one short line."""
    message = one_line(str(error))
    return f"{type(error).__name__}: {message[:120]}" if message else type(error).__name__
