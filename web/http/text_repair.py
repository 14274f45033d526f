"""Repairs texts in the encodings of old clients. Pure."""


def repair_name(name: str) -> str:
    """Repair a file name that was decoded with `surrogateescape` from bytes that are not UTF-8: as windows-1252.

    The name is only displayed: a lost letter is no reason to reject a file. Source: WHATWG Encoding, windows-1252.
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


def unescape_name(name: str) -> str:
    """Undo the escaping of a form's file name by browsers and curl. Source: WHATWG HTML, section 4.10.21.8."""
    for escape, sign in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        name = name.replace(escape, sign)
    return name
