"""Decode the bytes of text files, and normalise text."""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass
from itertools import islice

from sift_rag.errors import SkippedDocument, UnreadableDocument

_BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_SNIFFED = 8192
"""Number of leading bytes that decide whether a file is text; git looks for a NUL in as many."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = bytes(range(7)) + bytes(range(14, 27)) + bytes(range(28, 32))
"""Control characters that no text file holds; tabs, line and page breaks, bells and escape sequences do occur."""

_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

_MAX_BAD_SHARE = 0.01
_FEW_BAD = 3
"""So many bytes that do not fit cost no file, however short it is; of a long one, so large a share."""

_GUESSED_FROM = 1 << 16
"""Number of bytes that an encoding is recognised by."""

_HIGH_RUN = re.compile(rb"[\x80-\xff]{3,}")
_LINES_BEYOND_ASCII = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")
_MIN_SHARE_OF_RUNS = 0.25
"""Share of the bytes beyond ASCII that stand three or more in a row: near 0 in Latin script, near 1 in others."""

_OTHER_SCRIPTS = (
    "cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "mac_cyrillic", "cp1253", "cp1255", "cp1256", "cp932",
    "euc_jp", "gb18030", "big5", "cp949", "tis_620",
)  # fmt: skip
"""Encodings of other scripts than Latin that files are found in."""

_CENTRAL_EUROPEAN = frozenset({"Croatian", "Czech", "Hungarian", "Polish", "Romanian", "Slovak", "Slovene"})
_PUNCTUATION = frozenset("€‚„…†‡‰‹‘’“”•–—™›\xa0¡¢£¤¥§©«¬\xad®°±²³´µ¶·¹º»¼½¾¿×÷")
_WORDS_OF_ONE_LETTER = frozenset("ÀÁÅÈÉÍÓÖÚàáåèéíóöú")
_BEYOND_ASCII = re.compile("[^\x00-\x7f]")
_META_CHARSET = re.compile(
    rb"""<(?:meta[^>]{0,200}charset|\?xml[^>]{0,200}encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Decoded:
    r"""The text of a file's bytes, with every line end as ``\n``."""

    text: str
    notice: str = ""
    """A clause to tell the reader if bytes were replaced or the encoding was guessed, or ""."""

    @property
    def notices(self) -> tuple[str, ...]:
        """The notice, if there is one."""
        return (self.notice,) if self.notice else ()


def decode(data: bytes, encoding: str | None = None) -> Decoded:
    """Decode a text file: Unicode by its byte order mark, UTF-8, ``encoding``, or one that is recognised.

    A few bytes that do not fit become U+FFFD, with a notice; so does every guess come with one.

    Args:
        data: the file's bytes.
        encoding: name of the encoding of text that is not UTF-8; None: recognised by the bytes.

    Raises:
        SkippedDocument: the bytes are not text.
        UnreadableDocument: too many bytes do not fit the encoding, or none is recognised.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode_as(data, name)
    if encoding and _is_wide(encoding) and b"\0" in data[:_SNIFFED]:
        return _decode_as(data, encoding)
    if b"\0" in data[:_SNIFFED]:
        return _unmarked_utf16(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if _looks_binary(data[:_SNIFFED]):
            raise SkippedDocument("binary") from error
        return _decode_as(data, encoding) if encoding else _guessed(data, error)
    if encoding and data.isascii() and not _is_wide(encoding):  # every byte of ISO-2022-JP, for one, is ASCII
        return _decode_as(data, encoding)
    same = encoding is None or data.isascii() or _is_utf8(encoding)
    return Decoded(universal_newlines(text), "" if same else f"read as UTF-8, which it is, not as {encoding}")


def decode_html(data: bytes, encoding: str | None = None) -> Decoded:
    """Decode HTML from the encoding that it declares, if that fits; else as ``decode`` does, and raises."""
    declared = _META_CHARSET.search(data[:2048])
    marked = any(data.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS)
    if declared and encoding is None and not marked:
        try:
            name = declared[1].decode("ascii")
            if not _is_wide(name):  # then the declaration itself could not have been found
                return Decoded(universal_newlines(data.decode(name)))
        except (LookupError, UnicodeError):
            pass  # declared wrongly: the bytes decide
    return decode(data, encoding)


def check_encoding(name: str) -> None:
    """Return if Python can decode text from this encoding.

    Raises:
        ValueError: it cannot.
    """
    try:
        "a".encode(name).decode(name)  # also refuses what is no encoding of text, such as base64
    except (LookupError, ValueError) as error:
        raise ValueError(f"{name!r} is not an encoding: expected a name such as cp1252 or shift_jis.") from error


def universal_newlines(text: str) -> str:
    r"""Replace ``\r\n`` and ``\r`` by ``\n``."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def without_surrogates(text: str) -> str:
    """Replace lone surrogates, which cannot be stored, by U+FFFD. They come from JSON escapes and damaged PDFs."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Replace every run of white space by one space: fit for a title."""
    return " ".join(text.split())


def valid_name(name: str) -> str:
    r"""Return a file name as valid Unicode: undecodable bytes are written as ``\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _guessed(data: bytes, error: UnicodeDecodeError) -> Decoded:
    """Decode bytes that are not UTF-8, and whose encoding nobody has named."""
    bad = _misfits(data, "utf-8")
    if bad is not None and sum(1 for _ in islice(_UTF8_SEQUENCE.finditer(data), len(bad))) == len(bad):
        return _with_replacements(data, "utf-8", bad)  # as much is UTF-8 as is not
    name = _recognised(data)
    if name is not None:
        return _as_guess(_decode_as(data, name), name)
    if bad is not None:
        return _with_replacements(data, "utf-8", bad)
    message = f"not UTF-8 (byte {error.start:,} is 0x{data[error.start]:02x}), and no other encoding is recognised"
    raise UnreadableDocument(message) from error


def _as_guess(decoded: Decoded, encoding: str) -> Decoded:
    guess = f"read as {encoding}, by a guess: name the encoding if this is wrong"
    return Decoded(decoded.text, "; ".join((guess, *decoded.notices)))


def _decode_as(data: bytes, encoding: str) -> Decoded:
    """Decode, with U+FFFD for a few bytes that do not fit."""
    try:
        return Decoded(universal_newlines(without_surrogates(data.decode(encoding))))
    except UnicodeDecodeError as error:
        bad = _misfits(data, encoding)
        if bad is not None:
            return _with_replacements(data, encoding, bad)
        position = error.start + _mark_length(encoding)
        message = f"invalid {_shown(encoding)} at byte {position:,} (0x{data[position]:02x}) and many more"
        raise UnreadableDocument(message) from error
    except UnicodeError as error:  # a few codecs raise no more than this
        raise UnreadableDocument(f"invalid {_shown(encoding)}: {one_line(str(error))}") from error


def _with_replacements(data: bytes, encoding: str, bad: list[int]) -> Decoded:
    text = universal_newlines(data.decode(encoding, "replace"))
    count = "1 byte is" if len(bad) == 1 else f"{len(bad):,} bytes are"
    place = f"byte {bad[0]:,}" if len(bad) == 1 else f"the first is byte {bad[0]:,}"
    return Decoded(text, f"{count} not {_shown(encoding)} ({place}): shown as U+FFFD")


def _misfits(data: bytes, encoding: str) -> list[int] | None:
    """Return the places, from 0, at which a few bytes do not fit the encoding; None if they are not few."""
    places: list[int] = []
    limit = max(_FEW_BAD, int(_MAX_BAD_SHARE * len(data)))

    def note(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError) or len(places) == limit:
            raise error
        places.append(error.start + _mark_length(encoding))
        return "\ufffd", error.end

    codecs.register_error("sift_rag.note", note)
    try:
        data.decode(encoding, "sift_rag.note")
    except UnicodeError:
        return None
    return places


def _mark_length(encoding: str) -> int:
    """Return the number of bytes that Python does not count when it says where a byte does not fit."""
    return len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0


def _unmarked_utf16(data: bytes) -> Decoded:
    """Decode text in which every second byte is NUL.

    Raises:
        SkippedDocument: the NULs are elsewhere: the bytes are not text.
    """
    sample = data[:_SNIFFED]
    pairs = len(sample) // 2
    first, second = sample[::2].count(0), sample[1::2].count(0)
    for zeros, others, encoding in ((second, first, "utf-16-le"), (first, second, "utf-16-be")):
        if pairs and zeros > 0.7 * pairs and not others:
            return _as_guess(_decode_as(data, encoding), encoding)
    raise SkippedDocument("binary")


def _recognised(data: bytes) -> str | None:
    """Return the encoding that the bytes seem to be in, or None."""
    sample = b"".join(_LINES_BEYOND_ASCII.findall(data[: 16 * _GUESSED_FROM]))[:_GUESSED_FROM] or data[:_GUESSED_FROM]
    high = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    if high > _FEW_BAD and sum(map(len, _HIGH_RUN.findall(sample))) >= _MIN_SHARE_OF_RUNS * high:
        from charset_normalizer import from_bytes

        best = from_bytes(sample, cp_isolation=list(_OTHER_SCRIPTS)).best()
        if best is not None:
            return _usual_name(best.encoding)
    return _latin(sample)


def _latin(sample: bytes) -> str | None:
    """Return the encoding of text in Latin script: cp1250 for central European languages, else cp1252; or None."""
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=["cp1252", "cp1250"])
    languages = {match.language for match in matches}
    western, central = (_read_as(sample, name) for name in ("cp1252", "cp1250"))
    fits = _plausible(western)
    if not fits or (languages & _CENTRAL_EUROPEAN and western != central):
        return "cp1250" if _plausible(central) and central != western and matches.best() else "cp1252" if fits else None
    return "cp1252"


def _read_as(sample: bytes, encoding: str) -> str | None:
    try:
        return sample.decode(encoding)
    except UnicodeDecodeError:
        return None


def _plausible(text: str | None) -> bool:
    """Return True if almost every character beyond ASCII is a letter within a word, or punctuation."""
    if text is None:
        return False
    found = odd = 0
    for match in _BEYOND_ASCII.finditer(text):
        found += 1
        around = text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1]
        in_word = match[0].isalpha() and match[0] != "ÿ" and any(map(str.isalpha, around))
        odd += not (in_word or match[0] in _PUNCTUATION or match[0] in _WORDS_OF_ONE_LETTER)
    return odd <= max(0.1 * found, found >= 3)


def _usual_name(encoding: str) -> str:
    """Return the name that people know an encoding by."""
    return {"cp932": "shift_jis", "koi8_r": "koi8-r", "koi8_u": "koi8-u"}.get(encoding, encoding)


def _shown(encoding: str) -> str:
    return "UTF-8" if _is_utf8(encoding) else encoding.upper()


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}


def _is_wide(encoding: str) -> bool:
    """Return True for UTF-16 and UTF-32, in which ASCII characters hold NULs."""
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def _looks_binary(sample: bytes) -> bool:
    """Return True if over 2 % are control characters (11 % of random bytes are)."""
    return len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) / 50
