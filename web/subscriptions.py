"""What a live client asked for: `all`, `job:ID`, `asset:ID`, `queue:STEP`, and of whose things."""

from typing import NamedTuple

from schemas.steps import step_kinds
from web.apply import JobChange
from web.problems import Problem

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

    def wants(self, change: JobChange) -> bool:
        """Whether the change is one of those asked for."""
        return self.allows(change.owner) and not self.topics.isdisjoint(topics_of(change))

    def condition(self) -> tuple[str, list[object]]:
        """The same as an SQL condition on `jobs`."""
        parts: list[str] = ["1"] if "all" in self.topics else []
        args: list[object] = []
        for column, kind in (("id", "job"), ("asset_id", "asset")):
            for name in self.named(kind):
                parts.append(f"{column} = ?")
                args.append(name)
        for step in self.named("queue"):
            parts.append("instr(steps, ?) > 0")
            args.append(f" {step} ")
        where = f"({' OR '.join(parts)})"
        return (where, args) if self.owner is None else (f"{where} AND owner = ?", [*args, self.owner])


def topics_of(change: JobChange) -> set[str]:
    """Every topic under which the change may have been asked for."""
    queues = (f"queue:{step}" for step in change.steps.split())
    return {"all", f"job:{change.job_id}", f"asset:{change.asset_id}", *queues}


def parse(text: str, owner: str | None) -> Subscription:
    """The subscription that `?subscribe=` asks for; empty means all. Raises Problem (400)."""
    topics = frozenset(part.strip() for part in text.split(",") if part.strip()) or frozenset({"all"})
    for topic in topics:
        kind, _, name = topic.partition(":")
        known = topic == "all" or (kind in ("job", "asset") and name) or (kind == "queue" and name in step_kinds())
        if not known:
            raise Problem(400, "invalid-subscription", f"{topic[:80]!r} is not all, job:ID, asset:ID or queue:STEP")
    if len(topics) > _MAX_TOPICS:
        raise Problem(400, "invalid-subscription", f"at most {_MAX_TOPICS} subscriptions a connection")
    return Subscription(topics, owner)
