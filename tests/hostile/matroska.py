"""Matroska made by hand, right or wrong. Source: RFC 8794 (EBML), RFC 9559 (Matroska)."""


def vint(value: int) -> bytes:
    """A length, or a track's number, in as few bytes as it takes."""
    length = next(count for count in range(1, 9) if value < (1 << 7 * count) - 1)
    return (value | 1 << 7 * length).to_bytes(length, "big")


def element(kind: bytes, content: bytes) -> bytes:
    """One element."""
    return kind + vint(len(content)) + content


def endless(kind: bytes) -> bytes:
    """The head of an element that says that its length is not known."""
    return kind + b"\x01\xff\xff\xff\xff\xff\xff\xff"


def track(number: int, codec: bytes, more: bytes, kind: int = 1) -> bytes:
    """An entry of the tracks; `kind` 1: video, 2: sound, 17: subtitles."""
    named = element(b"\xd7", number.to_bytes(2, "big")) + element(b"\x73\xc5", number.to_bytes(2, "big"))
    return element(b"\xae", named + element(b"\x83", bytes([kind])) + element(b"\x86", codec) + more)


def file_of(content: bytes) -> bytes:
    """A file around what stands in its segment."""
    about = element(b"\x15\x49\xa9\x66", element(b"\x2a\xd7\xb1", b"\x0f\x42\x40"))
    head = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"matroska"))
    return head + element(b"\x18\x53\x80\x67", about + content)
