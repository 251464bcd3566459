"""Read e-mail: messages and mailboxes, with their attachments."""

from __future__ import annotations

import email
import email.policy
import mimetypes
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.message import EmailMessage, MIMEPart
from pathlib import PurePosixPath
from typing import TypeAlias

from sift_rag.corpus.archives import reason
from sift_rag.corpus.decoding import one_line, universal_newlines, without_surrogates
from sift_rag.corpus.formats import UNSUPPORTED, Syntax
from sift_rag.corpus.html_page import to_markdown
from sift_rag.corpus.sections import Extracted, Section, placed
from sift_rag.errors import MissingExtra, SkippedDocument, UnreadableDocument
from sift_rag.types import JsonValue

Extract: TypeAlias = Callable[[bytes, str], Extracted]
"""Reader of an attachment, by the suffix of its name."""

_DEEPEST = 3
"""Messages within messages that are read."""
_MOST_ATTACHMENTS = 500
"""Attachments of a file that are read."""
_NAME_LENGTH = 100
_NAMED = 3
"""Receivers that are named before the text, if they are many."""
_MESSAGE = "message/rfc822"
# fmt: off
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)
# fmt: on
_SIGNATURES = frozenset(("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"))
_NOT_ATTACHED = UNSUPPORTED | {".eml", ".mbox"}
"""Suffixes of attachments that are not read; messages are attached as what they are, not as files."""
_FROM_LINE = re.compile(rb"(?:\AFrom |(?<=\n)\r?\nFrom [^\n]*\d\d:\d\d)[^\n]*\n")
"""Line that begins a message. The time in it tells it from a sentence that begins with this word."""
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


def read_message(data: bytes, extract: Extract) -> Extracted:
    """Return a message: its body, and each attachment as its own format is read, under the attachment's name.

    The subject is the title; sender, receivers and date stand before every passage; with the subject, they are metadata
    of every section. Of a body in several forms the plain text is read, or else the HTML.

    Args:
        data: the message.
        extract: reads an attachment.

    Raises:
        MissingExtra: the body is HTML, and what reads it is not installed.
        UnreadableDocument: the file is no message.
    """
    reading = _Reading(extract)
    message = _parsed(data)
    if not message.keys():
        raise UnreadableDocument("broken message: it has no header")
    sections = list(reading.sections(message, (), depth=1))
    return reading.extracted(sections, title=_header(message, "subject"))


def read_mailbox(data: bytes, extract: Extract) -> Extracted:
    """Return the messages of a mailbox in mbox format, each under its subject; otherwise as ``read_message``.

    Raises:
        MissingExtra: a body is HTML, and what reads it is not installed.
        UnreadableDocument: the file is no mailbox.
    """
    reading = _Reading(extract)
    sections: list[Section] = []
    starts = list(_FROM_LINE.finditer(data))
    if not starts:
        raise UnreadableDocument("broken mailbox: no line begins a message")
    for number, start in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else len(data)
        try:
            message = _parsed(_QUOTED_FROM.sub(rb"\1", data[start.end() : end]))
        except UnreadableDocument:
            reading.broken += 1
            continue
        subject = _header(message, "subject") or "(no subject)"
        sections += reading.sections(message, (subject,), depth=1)
    if reading.broken == len(starts):
        raise UnreadableDocument("broken mailbox: no message can be read")
    return reading.extracted(sections)


def _parsed(data: bytes) -> EmailMessage:
    try:
        return email.message_from_bytes(data, EmailMessage, policy=email.policy.default)
    except (ValueError, RecursionError, LookupError) as error:
        raise UnreadableDocument(f"broken message: {reason(error)}") from error


@dataclass(slots=True)
class _Reading:
    """The reading of one file: what is still allowed, and what was left out."""

    extract: Extract
    attachments: int = 0
    broken: int = 0
    """Messages of a mailbox that are not read."""
    is_markdown: bool = False
    pages_without_text: int = 0
    unread: dict[str, None] = field(default_factory=dict)
    told: dict[str, None] = field(default_factory=dict)
    """Notices of the readers of attachments."""

    def sections(self, message: EmailMessage, headings: tuple[str, ...], *, depth: int) -> Iterator[Section]:
        """Yield the body, then the attachments."""
        metadata = _metadata(message)
        lead = _lead(message)
        body, others = _parts(message)
        text = self.body(body) if body is not None else ""
        if text.strip():
            yield Section(text, headings=headings, metadata=metadata, lead=lead)
        for number, part in enumerate(others, start=1):
            is_message = part.get_content_type() == _MESSAGE  # it has its own sender
            for section in self.attached(part, number, depth):
                fields = section.metadata if is_message else {**metadata, **section.metadata}
                above = section.lead if is_message else "\n".join(filter(None, (lead, section.lead)))
                path = (*headings, *section.headings)
                yield replace(section, line=None, headings=path, metadata=fields, lead=above)

    def body(self, part: MIMEPart) -> str:
        text = _content(part)
        if part.get_content_type() != "text/html":
            return text
        self.is_markdown = True
        return to_markdown(text, is_page=False).markdown

    def attached(self, part: EmailMessage, number: int, depth: int) -> Iterator[Section]:
        """Yield the sections of an attachment, with its name as their first heading."""
        name = _filename(part) or (
            "" if part.get_content_type() in {"text/plain", "text/html"} else f"attachment {number}"
        )
        if self.attachments == _MOST_ATTACHMENTS or depth > _DEEPEST:
            self.unread[name or f"attachment {number}"] = None
            return
        self.attachments += 1
        if part.get_content_type() == _MESSAGE:
            inner = part.get_payload(0) if part.is_multipart() else None
            if isinstance(inner, EmailMessage):
                yield from self.sections(inner, (_header(inner, "subject") or name,), depth=depth + 1)
            return
        if not name:  # a further part of the text
            yield from (Section(text) for text in [self.body(part)] if text.strip())
            return
        yield from self.file(part, name)

    def file(self, part: EmailMessage, name: str) -> Iterator[Section]:
        suffix = PurePosixPath(name).suffix.lower() or mimetypes.guess_extension(part.get_content_type()) or ""
        try:
            data = part.get_payload(decode=True)
            if not isinstance(data, bytes) or not data.strip():
                return
            if suffix in _NOT_ATTACHED:
                raise SkippedDocument(f"unsupported format ({suffix})")
            found = self.extract(data, suffix)
            sections = list(found.sections)
        except (UnreadableDocument, MissingExtra, ValueError, LookupError):
            self.unread[name] = None
            return
        self.is_markdown |= found.syntax == "markdown"
        self.pages_without_text += found.pages_without_text
        self.told.update((f"{name}: {notice}", None) for notice in found.notices)
        yield from (replace(section, headings=(name, *section.headings)) for section in sections)

    def extracted(self, sections: list[Section], *, title: str = "") -> Extracted:
        syntax: Syntax = "markdown" if self.is_markdown else "plain"
        return Extracted(placed(sections), syntax, title, tuple(self.notices()), self.pages_without_text)

    def notices(self) -> Iterator[str]:
        if self.broken:
            yield f"broken messages not read: {self.broken}"
        if self.unread:
            names = ", ".join(list(self.unread)[:5])
            more = f" and {len(self.unread) - 5} more" if len(self.unread) > 5 else ""
            yield f"attachments not read: {names}{more}"
        yield from list(self.told)[:5]


def _parts(message: EmailMessage) -> tuple[MIMEPart | None, list[EmailMessage]]:
    """Return the part that is the body, and those that are neither the body nor another form of it."""
    try:
        body = message.get_body(("plain", "html"))
        html = message.get_body(("html",))
        if body is not None and html is not None and body is not html and _says_less(body, html):
            body = html
    except (ValueError, KeyError, AttributeError, LookupError):  # a header that the library cannot parse
        body = None
    others = [part for part in _leaves(message) if part is not body and not _is_decoration(part)]
    return body, others


_STUB = 40
"""Words up to which a plain text may only say that the message is in HTML."""
_MARKUP = re.compile(r"(?is)<(style|script|head|title)\b.*?</\1>|<[^<>]*>")


def _says_less(plain: MIMEPart, html: MIMEPart) -> bool:
    """Return True for a plain text that is empty, or short and far shorter than the HTML of which it is a form."""
    words = len(_content(plain).split())
    return words == 0 or (words <= _STUB and 3 * words < len(_MARKUP.sub(" ", _content(html)).split()))


def _is_decoration(part: EmailMessage) -> bool:
    """Return True for an image that the HTML shows, and for a signature."""
    is_image = part.get_content_maintype() == "image" and part.get("content-id") is not None
    return is_image or part.get_content_type() in _SIGNATURES


def _leaves(message: EmailMessage, *, is_alternative: bool = False) -> Iterator[EmailMessage]:
    """Yield the parts that hold no parts, messages whole, without the texts of which one is chosen."""
    kind = message.get_content_type()
    if kind == _MESSAGE or not message.is_multipart():
        is_text = message.get_content_maintype() == "text" and not _filename(message)
        if not (is_alternative and is_text):
            yield message
        return
    for part in message.get_payload():
        if isinstance(part, EmailMessage):
            inner = is_alternative or kind == "multipart/alternative"
            yield from _leaves(part, is_alternative=inner)


def _content(part: MIMEPart) -> str:
    """Return the text of a part, in the character set that it names if that is one."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    text = universal_newlines(without_surrogates(_decoded(data, part.get_content_charset()))).replace("\0", "")
    return _unwrapped(text) if part.get_param("format") == "flowed" else text


def _decoded(data: bytes, charset: str | None) -> str:
    for name in (charset, "utf-8"):
        try:
            return data.decode(name or "utf-8")
        except (LookupError, ValueError):
            continue
    return data.decode("cp1252", "replace")


def _unwrapped(text: str) -> str:
    """Join the lines of a paragraph that is wrapped by the rules of RFC 3676: where a line ends in a space."""
    return re.sub(r"(?<=[^\n ]) \n(?=[^>\n])(?!-- \n)", " ", text)


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = message.get(name)
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):  # the library fails on some broken ones
        value = next((raw for key, raw in message.raw_items() if key.lower() == name), "")
    return one_line(without_surrogates(str(value or "")))


def _metadata(message: EmailMessage) -> Mapping[str, JsonValue]:
    """Return sender, receivers, date (ISO 8601) and subject, as far as the message has them."""
    fields: dict[str, JsonValue] = {}
    for name in ("from", "to", "cc", "subject"):
        if value := _header(message, name)[:1000]:
            fields[name] = value
    if date := _header(message, "date"):
        moment = _moment(date)
        fields["date"] = moment.isoformat() if moment else date
    return fields


def _lead(message: EmailMessage) -> str:
    """Return who wrote to whom and when, as a reader is told: the date in words, in the zone of the sender."""
    lines = [f"{label}: {value}" for label in ("From", "To") if (value := _people(message, label))]
    if date := _header(message, "date"):
        moment = _moment(date)
        written = f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M}" if moment else date
        lines.append(f"Date: {written[:_NAME_LENGTH]}")
    return "\n".join(lines)


def _people(message: EmailMessage, name: str) -> str:
    """Return the names of senders or receivers, with their addresses if there is room."""
    written = _header(message, name)
    if len(written) <= _NAME_LENGTH:
        return written
    names = [one_line(person or address) for person, address in email.utils.getaddresses([written[:1000]])]
    names = [name[:_NAME_LENGTH] for name in names if name]
    return f"{', '.join(names[:_NAMED])}{' and others' if len(names) > _NAMED else ''}"


def _moment(date: str) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _filename(part: EmailMessage) -> str:
    """Return the last component of the name, in one line; "" if it has none."""
    try:
        name = part.get_filename() or ""
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        name = ""
    name = one_line(without_surrogates(str(name))).replace("\\", "/").rpartition("/")[2]
    return name if len(name) <= _NAME_LENGTH else f"{name[:60]}...{name[-30:]}"
