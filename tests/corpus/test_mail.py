"""Messages and mailboxes are read as a person sees them, with their attachments."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.extraction import extract
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.sections import Extracted
from sift_rag.errors import UnreadableDocument


def _message(text: str, subject: str = "Über den Schlüssel") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Anna Å <anna@example.org>"
    message["To"] = "ben@example.org"
    message["Date"] = "Mon, 03 Jun 2024 10:00:00 +0200"
    message.set_content(text, cte="base64")
    return message


def _read(message: EmailMessage | bytes, suffix: str = ".eml") -> Extracted:
    data = message if isinstance(message, bytes) else message.as_bytes()
    return extract(data, suffix, IngestOptions())


def _texts(found: Extracted) -> list[tuple[tuple[str, ...], str]]:
    return [(section.headings, section.text.strip()) for section in found.sections]


def test_a_message_gives_its_subject_its_plain_text_and_who_wrote_it() -> None:
    message = _message("Die Schlüssel liegen beim Pförtner.\n")
    message.add_alternative("<p>Die Schlüssel liegen beim <b>Pförtner</b>.</p>", subtype="html")
    found = _read(message)

    [section] = found.sections
    assert found.title == "Über den Schlüssel"
    assert section.text.strip() == "Die Schlüssel liegen beim Pförtner."
    assert section.metadata == {
        "from": "Anna Å <anna@example.org>",
        "to": "ben@example.org",
        "subject": "Über den Schlüssel",
        "date": "2024-06-03T10:00:00+02:00",
    }
    assert found.notices == ()


def test_a_body_that_is_html_alone_becomes_markdown() -> None:
    message = _message("")
    message.set_content(
        '<table><tr><td>Dear all,</td></tr><tr><td>the <b>pool</b> is closed.<br>Yours<img src="data:image/png;base64,'
        'AAAA"></td></tr></table>',
        subtype="html",
    )

    assert _texts(_read(message)) == [((), "Dear all,\n\nthe **pool** is closed.\nYours")]


def test_attachments_are_read_by_their_own_format_under_their_name() -> None:
    message = _message("See below.")
    message.add_attachment(b"item;price\nNut;3\n", maintype="text", subtype="csv", filename="Preise für Juni.csv")
    message.add_attachment(b"# Owls\n\nThey hunt.", maintype="text", subtype="markdown", filename="../../etc/a.md")
    message.add_attachment(b"PK\x03\x04", maintype="application", subtype="zip", filename="photos.zip")
    found = _read(message)

    assert _texts(found) == [
        ((), "See below."),
        (("Preise für Juni.csv",), "item: Nut\nprice: 3"),
        (("a.md",), "# Owls\n\nThey hunt."),
    ]
    assert found.notices == ("attachments not read: photos.zip",)
    _, row, _ = found.sections
    assert (row.metadata["price"], row.metadata["from"]) == ("3", "Anna Å <anna@example.org>")


def test_what_the_reader_of_an_attachment_says_is_told_with_its_name() -> None:
    message = _message("See below.")
    message.add_attachment(b"1,2.5\n2,3.5\n", maintype="text", subtype="csv", filename="log.csv")

    assert _read(message).notices == ("log.csv: no header row: columns are numbered",)


def test_an_image_within_the_html_and_a_signature_are_no_attachments_to_speak_of() -> None:
    message = _message("See below.")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png", cid="<logo>")
    message.add_attachment(b"...", maintype="application", subtype="pkcs7-signature", filename="smime.p7s")

    assert _read(message).notices == ()


def test_a_message_within_a_message_has_its_own_sender() -> None:
    inner = EmailMessage()
    inner["Subject"] = "Inner"
    inner["From"] = "cleo@example.org"
    inner.set_content("From within.")
    message = _message("Forwarded.")
    message.add_attachment(inner)
    found = _read(message)

    assert _texts(found) == [((), "Forwarded."), (("Inner",), "From within.")]
    assert [section.metadata.get("from") for section in found.sections] == [
        "Anna Å <anna@example.org>",
        "cleo@example.org",
    ]
    assert "to" not in list(found.sections)[1].metadata


@pytest.mark.slow
def test_messages_nested_deeply_and_attachments_by_the_thousand_are_read_within_bounds() -> None:
    nested = _message("Level 0.")
    for level in range(1, 12):
        outer = _message(f"Level {level}.")
        outer.add_attachment(nested)
        nested = outer
    found = _read(nested)
    assert [text for _, text in _texts(found)] == ["Level 11.", "Level 10.", "Level 9.", "Level 8."]
    assert found.notices[0].startswith("attachments not read: ")

    part = b"--x\r\nContent-Disposition: attachment; filename=a%d.txt\r\n\r\nText.\r\n"
    many = b"Subject: s\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    found = _read(many + b"".join(part % number for number in range(1000)) + b"--x--\r\n")
    assert len(list(found.sections)) == 500
    assert found.notices == ("attachments not read: a500.txt, a501.txt, a502.txt, a503.txt, a504.txt and 495 more",)


@pytest.mark.parametrize(
    ("header", "body", "text"),
    [
        (b"Content-Type: text/plain; charset=latin-1", b"Caf\xe9", "Café"),
        (b"Content-Type: text/plain; charset=unheard-of", b"Caf\xc3\xa9", "Café"),
        (b"Content-Type: text/plain", b"Caf\xe9", "Café"),
        (b"Content-Type: text/plain; format=flowed", b"One \r\nparagraph.\r\nTwo.", "One paragraph.\nTwo."),
        (b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable", b"Caf=C3=A9 =\r\nau", "Café au"),
    ],
)
def test_a_body_is_decoded_as_its_header_says_if_that_fits(header: bytes, body: bytes, text: str) -> None:
    assert _texts(_read(b"Subject: s\r\n" + header + b"\r\n\r\n" + body)) == [((), text)]


def test_a_mailbox_gives_each_message_under_its_subject() -> None:
    one, two = _message("The first.\n>From here on it rains.", "One"), _message("The second.", "Two")
    one.set_content("The first.\n>From here on it rains.")
    box = b"".join(b"From a@b Mon Jun  3 10:00:00 2024\n" + mail.as_bytes() + b"\n\n" for mail in (one, two))
    found = _read(box, ".mbox")

    assert _texts(found) == [(("One",), "The first.\nFrom here on it rains."), (("Two",), "The second.")]
    assert [section.start for section in found.sections] == [0, len(next(iter(found.sections)).text) + 2]


@pytest.mark.parametrize(("data", "suffix"), [(b"no header at all", ".eml"), (b"Subject: s\n\nNo mailbox", ".mbox")])
def test_what_is_no_mail_fails(data: bytes, suffix: str) -> None:
    with pytest.raises(UnreadableDocument, match="broken m"):
        _read(data, suffix)


pieces = st.sampled_from(
    [
        b"Subject: =?utf-8?b?w5xi?=\r\n", b"Subject: =?x?q?=ff?=\r\n", b"From: <<@>\r\n", b"To: a@b, ,;:\r\n",
        b"Date: yesterday\r\n", b"Date: Mon, 99 Jun 2024 10:00:00 +9999\r\n", b"\r\n", b"--x\r\n", b"--x--\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n", b"Content-Type: multipart/alternative; boundary=x\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: text/html; charset=\xff\r\n", b"Content-Type: ;;\r\n",
        b"Content-Disposition: attachment; filename*=utf-8''%ff%00.txt\r\n", b"Content-Transfer-Encoding: base64\r\n",
        b"From \r\n", b"\xff\xfe", b"text ", b"<p>words</p>\r\n", b"=\r\n", b"\0",
    ]
)  # fmt: skip


@pytest.mark.slow
@given(st.lists(pieces, max_size=25), st.sampled_from([".eml", ".mbox"]))
def test_any_mail_is_read_or_unreadable(data: list[bytes], suffix: str) -> None:
    try:
        found = _read(b"".join(data), suffix)
    except UnreadableDocument:
        return
    for section in found.sections:
        assert section.text.strip()
        assert "\0" not in section.text


def test_every_passage_says_who_wrote_to_whom_and_when() -> None:
    message = _message("The key is under the mat.")
    message.add_attachment("The pool opens at seven.", filename="pool.txt")
    assert [section.lead for section in _read(message).sections] == [
        "From: Anna Å <anna@example.org>\nTo: ben@example.org\nDate: 3 June 2024, 10:00"
    ] * 2


def test_a_message_within_says_who_wrote_it() -> None:
    outer = _message("See below.")
    inner = _message("The key is under the mat.")
    inner.replace_header("From", "cleo@example.org")
    outer.add_attachment(inner)
    assert [section.lead.split("\n")[0] for section in _read(outer).sections] == [
        "From: Anna Å <anna@example.org>",
        "From: cleo@example.org",
    ]


def test_of_many_receivers_the_first_are_named() -> None:
    message = _message("Hello")
    message.replace_header("To", ", ".join(f"Person {number} <p{number}@example.org>" for number in range(9)))
    [section] = _read(message).sections
    assert section.lead.split("\n")[1] == "To: Person 0, Person 1, Person 2 and others"


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 99 Foo 2024"])
def test_a_date_that_is_none_is_written_as_it_stands(date: str) -> None:
    message = _message("Hello").as_bytes().replace(b"Mon, 03 Jun 2024 10:00:00 +0200", date.encode())
    [section] = _read(message).sections
    assert section.lead.split("\n")[2:] == ([f"Date: {date}"] if date else [])


def test_a_plain_text_that_only_points_to_the_html_gives_way_to_it() -> None:
    message = _message("See the HTML version.\n")
    message.add_alternative(
        f"<style>p {{}}</style><p>The pool is closed from Monday on. {'It opens again in May. ' * 5}</p>",
        subtype="html",
    )

    [(_, text)] = _texts(_read(message))
    assert text.startswith("The pool is closed from Monday on.")
