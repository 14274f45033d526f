"""Texts in the encodings of old clients. Pure."""


def repaired(name: str) -> str:
    """A file name decoded with `surrogateescape` from bytes that were not UTF-8: read as browsers read Latin-1.

    A name is for people: a letter that is lost is no reason to refuse a file. Source: WHATWG Encoding, windows-1252.
    """
    if is_text(name):
        return name
    try:
        return name.encode(errors="surrogateescape").decode("cp1252", errors="replace")
    except UnicodeEncodeError:  # surrogates that no byte was escaped to: UTF-7 can encode them
        return name.encode(errors="replace").decode()


def is_text(text: str) -> bool:
    """Whether a text can be encoded as UTF-8: it has no surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unescaped(name: str) -> str:
    """A file name of a form as it was before a browser or curl escaped it. Source: WHATWG HTML, section 4.10.21.8."""
    for escape, sign in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        name = name.replace(escape, sign)
    return name
