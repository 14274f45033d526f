"""Texts of subscriptions are understood or refused."""

import pytest

from tests.unit.web.rows import a_job
from web.http.problems import Problem
from web.readmodel.audience import audience_of
from web.readmodel.subscriptions import Subscription, parse


def test_only_an_admin_follows_other_owners() -> None:
    assert parse("owner:anna", "anna").topics == {"owner:anna"}
    assert parse("owner:anna,owner:bert", None).named("owner") == ["anna", "bert"]
    with pytest.raises(Problem, match="other owners") as refused:
        parse("job:job_1,owner:bert", "anna")
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "text", ["everything", "job:", "queue:dishes", "owner:", "job", ",".join(f"job:{n}" for n in range(101))]
)
def test_an_unknown_subscription_is_refused(text: str) -> None:
    with pytest.raises(Problem, match=r"unknown subscription|at most"):
        parse(text, None)


def test_an_empty_text_subscribes_to_everything() -> None:
    assert parse("", "anna") == Subscription(frozenset({"all"}), "anna")


def test_a_subscription_covers_its_owners_jobs_only() -> None:
    subscription = parse("job:job_000001", "anna")
    assert subscription.covers(audience_of(a_job(1, owner="anna")))
    assert not subscription.covers(audience_of(a_job(1, owner="bert")))
    assert not subscription.covers(audience_of(a_job(2, owner="anna")))
