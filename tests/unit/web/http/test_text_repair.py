"""File names of clients that do not send UTF-8."""

import pytest

from web.http.text_repair import is_text, repair_name, unescape_name


@pytest.mark.parametrize(
    "raw, name",
    [
        ("Müller.mp4".encode(), "Müller.mp4"),
        ("Müller.mp4".encode("latin-1"), "Müller.mp4"),
        ("“a” €".encode("cp1252"), "“a” €"),
        (b"\x81.mp4", "\ufffd.mp4"),
        (b"a.mp4", "a.mp4"),
    ],
)
def test_a_name_is_read_as_it_was_meant_and_is_always_text(raw: bytes, name: str) -> None:
    assert repair_name(raw.decode(errors="surrogateescape")) == name
    assert is_text(name)


def test_half_a_letter_is_no_text() -> None:
    assert not is_text("\udcfc") and not is_text("\ud83d") and is_text("\U0001f600")


@pytest.mark.parametrize("lone", ["\ud83d", "a\ud83d\udcff"])
def test_half_a_letter_that_is_no_byte_is_replaced(lone: str) -> None:
    assert is_text(repair_name(lone))


def test_what_a_form_escapes_is_unescaped_and_nothing_else() -> None:
    assert unescape_name("a %22b%22%0D%0A 100%25.mp4") == 'a "b"\r\n 100%25.mp4'
