"""Subscriptions of live clients: `all`, `job:ID`, `asset:ID`, `queue:STEP`, `owner:NAME`, and who may see what."""

from typing import NamedTuple
from urllib.parse import unquote

from schemas.steps import step_kinds
from web.http.problems import Problem
from web.readmodel.audience import Audience
from web.readmodel.list_query import Part

_MAX_TOPICS = 100


class Subscription(NamedTuple):
    """Topics, e.g. "all" or "job:job_1", and the owner that everything must belong to."""

    topics: frozenset[str]
    #: None: everybody's.
    owner: str | None

    def named(self, kind: str) -> list[str]:
        """What stands behind `kind:` in the topics."""
        return sorted(topic.partition(":")[2] for topic in self.topics if topic.startswith(f"{kind}:"))

    def allows(self, owner: str | None) -> bool:
        """Whether something of `owner` may be shown."""
        return self.owner is None or owner == self.owner

    def covers(self, audience: Audience) -> bool:
        """Whether jobs with this audience belong to the subscription."""
        return self.allows(audience.owner) and not self.topics.isdisjoint(audience.topics())

    def groups(self) -> Part | None:
        """The groups of jobs that are asked for, as an SQL condition; None where only jobs and assets are."""
        parts: list[Part] = [("1", ())] if "all" in self.topics else []
        parts += [("instr(states, ?) > 0", (f" {step}=",)) for step in self.named("queue")]
        parts += [("owner = ?", (owner,)) for owner in self.named("owner")]
        if not parts:
            return None
        scope: Part = ("1", ()) if self.owner is None else ("owner = ?", (self.owner,))
        either = " OR ".join(text for text, _ in parts)
        return f"({either}) AND {scope[0]}", (*(arg for _, some in parts for arg in some), *scope[1])


def parse(text: str, owner: str | None) -> Subscription:
    """The subscription that `?subscribe=` asks for, on behalf of `owner` (None: an admin); empty means all.

    Raises Problem: 400; 403 for somebody else's name.
    """
    topics = frozenset(unquote(part.strip()) for part in text.split(",") if part.strip()) or frozenset({"all"})
    if len(topics) > _MAX_TOPICS:
        raise Problem(400, "invalid-subscription", f"at most {_MAX_TOPICS} subscriptions a connection")
    for topic in topics:
        _require_known(topic)
    found = Subscription(topics, owner)
    if not all(found.allows(name) for name in found.named("owner")):
        raise Problem(403, "forbidden", "only an admin may follow other owners")
    return found


def _require_known(topic: str) -> None:
    kind, _, name = topic.partition(":")
    if topic == "all" or (name and (kind in ("job", "asset", "owner") or (kind == "queue" and name in step_kinds()))):
        return
    known = "all, job:ID, asset:ID, queue:STEP or owner:NAME"
    raise Problem(400, "invalid-subscription", f"{topic[:80]!r} is not {known}")
