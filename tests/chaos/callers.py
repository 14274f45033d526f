"""The callers of a chaos run: the operator, two owners with an editor and a viewer each, and an owner who abuses."""

from typing import NamedTuple

OPERATOR = "chaos"
OWNERS = ("bert", "cora")
#: Its tokens are those of tests/abuse.
ABUSER = "anna"


class Caller(NamedTuple):
    """A token, and whose it is; the operator's has no owner."""

    token: str
    owner: str | None
    role: str


EDITORS = tuple(Caller(f"{owner}-edits", owner, "editor") for owner in OWNERS)
VIEWERS = tuple(Caller(f"{owner}-views", owner, "viewer") for owner in OWNERS)
ADMIN = Caller(OPERATOR, None, "admin")
#: Those who submit, each as often as it is here.
SUBMITTERS = (ADMIN, ADMIN, *EDITORS)
#: As in KINOLOG_AUTH__TOKENS.
TOKENS = [
    *(caller._asdict() for caller in (*EDITORS, *VIEWERS)),
    Caller(f"{ABUSER}-edits", ABUSER, "editor")._asdict(),
    Caller(f"{ABUSER}-views", ABUSER, "viewer")._asdict(),
]


def marker(owner: str | None) -> str:
    """The text that each submission of an owner carries; nobody else may ever see it."""
    return f"planted-by-{owner or 'operator'}"
