"""Source URLs: what may be a secret is not in commands, facts and views."""

import pytest

from processors.models.backends import parse_chain
from processors.public_url import public_url
from schemas.commands import SubmitJob
from schemas.facts import JobSubmitted
from schemas.jobs import Input
from tables.effects import deletion_effects
from tables.reducer import advance
from tables.source_urls import secret_url, with_public_url
from tests.unit.web.rows import NOW

SIGNED = "https://media.example/a/b.mp4?X-Amz-Signature=secret"


def command(url: str) -> SubmitJob:
    steps = ()
    return SubmitJob(job_id="j", asset_id="a", pipeline="p", steps=steps, input=Input(url=url), submitted_at=NOW)


@pytest.mark.parametrize(
    "url, public",
    [
        (SIGNED, "https://media.example/a/b.mp4"),
        ("https://anna:secret@media.example/a", "https://media.example/a"),
        ("https://media.example:8443/a%20b?q#f", "https://media.example:8443/a%20b"),
        ("https://media.example/a", "https://media.example/a"),
    ],
)
def test_the_public_part_has_neither_userinfo_nor_query(url: str, public: str) -> None:
    assert public_url(url) == public


def test_only_what_has_a_secret_is_kept_apart_and_only_once() -> None:
    assert secret_url(command("https://media.example/a")) is None
    assert secret_url(command(SIGNED)) == SIGNED
    assert secret_url(with_public_url(command(SIGNED), 7)) is None


def test_facts_have_the_public_part_and_a_deletion_ends_the_secret_one() -> None:
    job, effects = advance(None, with_public_url(command(SIGNED), 7), NOW)
    submitted = [effect for effect in effects if isinstance(effect, JobSubmitted)]
    assert [fact.input for fact in submitted] == [Input(url="https://media.example/a/b.mp4")]
    from schemas.commands import DeleteJob

    deleted, effects = advance(job, DeleteJob(job_id="j", asset_id="a", artifacts=False), NOW)
    assert [effect.source_url for effect in effects[1:]] == [True]  # type: ignore[attr-defined]
    assert deletion_effects(deleted) == effects  # type: ignore[arg-type]


def test_the_name_of_a_backend_has_no_credentials_and_no_two_have_the_same() -> None:
    urls = ["https://u:secret@one.example/v1?key=secret", "https://one.example/v1", "https://two.example#model=m&dim=4"]
    chain = parse_chain(urls)
    assert [backend.name for backend in chain] == ["https://one.example/v1", "https://one.example/v1 (2)", urls[2]]
    assert [backend.url for backend in chain] == urls
