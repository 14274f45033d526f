"""Subscriptions of live clients: `all`, `executors`, `job:ID`, `asset:ID`, `queue:STEP`, `owner:NAME`, and who may see
what.
"""

from typing import NamedTuple
from urllib.parse import unquote

from schemas.steps import step_kinds
from web.http.problems import Problem
from web.readmodel.audience import Audience
from web.readmodel.list_query import Condition

_MAX_TOPICS = 100


class Subscription(NamedTuple):
    """Topics, e.g. "all" or "job:job_1", and the owner that all results must belong to."""

    topics: frozenset[str]
    #: None: any owner.
    owner: str | None

    def named(self, kind: str) -> list[str]:
        """Names of the topics of this kind, e.g. job ids for "job"."""
        return sorted(topic.partition(":")[2] for topic in self.topics if topic.startswith(f"{kind}:"))

    def with_asset(self, requested: str, asset_id: str) -> "Subscription":
        """The subscription with an asset's own id in place of the requested one."""
        return self._replace(topics=self.topics - {f"asset:{requested}"} | {f"asset:{asset_id}"})

    def allows(self, owner: str | None) -> bool:
        """Whether the subscriber may see jobs of `owner`."""
        return self.owner is None or owner == self.owner

    def covers(self, audience: Audience) -> bool:
        """Whether jobs with this audience belong to the subscription."""
        return self.allows(audience.owner) and not self.topics.isdisjoint(audience.topics())

    def groups(self) -> Condition | None:
        """SQL condition on the groups of subscribed jobs; None for a subscription to jobs and assets by id only."""
        parts: list[Condition] = [("1", ())] if "all" in self.topics else []
        parts += [("instr(states, ?) > 0", (f" {step}=",)) for step in self.named("queue")]
        parts += [("owner = ?", (owner,)) for owner in self.named("owner")]
        if not parts:
            return None
        scope: Condition = ("1", ()) if self.owner is None else ("owner = ?", (self.owner,))
        either = " OR ".join(text for text, _ in parts)
        return f"({either}) AND {scope[0]}", (*(arg for _, some in parts for arg in some), *scope[1])


def parse(text: str, owner: str | None) -> Subscription:
    """Parse `?subscribe=` on behalf of `owner` (None: an admin); empty means all.

    Raises Problem: 400; 403 for another owner's name.
    """
    topics = frozenset(unquote(part.strip()) for part in text.split(",") if part.strip()) or frozenset({"all"})
    if len(topics) > _MAX_TOPICS:
        raise Problem(400, "invalid-subscription", f"at most {_MAX_TOPICS} subscriptions per connection")
    for topic in topics:
        _require_known(topic)
    subscription = Subscription(topics, owner)
    if not all(subscription.allows(name) for name in subscription.named("owner")):
        raise Problem(403, "forbidden", "only an admin may subscribe to other owners")
    return subscription


def _require_known(topic: str) -> None:
    kind, _, name = topic.partition(":")
    if topic in ("all", "executors") or (
        name and (kind in ("job", "asset", "owner") or (kind == "queue" and name in step_kinds()))
    ):
        return
    known = "all, executors, job:ID, asset:ID, queue:STEP or owner:NAME"
    raise Problem(400, "invalid-subscription", f"unknown subscription {topic[:80]!r}: use {known}")
