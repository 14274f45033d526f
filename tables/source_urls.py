"""Source URLs of jobs: commands, rows and facts have the public part; the full one is on `media.source-urls`. Pure."""

from msgspec.structs import replace

from processors.public_url import public_url
from schemas.commands import SubmitJob
from schemas.jobs import Input


def secret_url(command: SubmitJob) -> str | None:
    """The URL that must be kept apart; None where it has neither userinfo nor query, or is apart already."""
    url = command.input.url
    return url if url is not None and command.input.url_offset is None and public_url(url) != url else None


def with_public_url(command: SubmitJob, offset: int) -> SubmitJob:
    """The command with the public part of its URL; the full one is at `offset` of its asset's partition."""
    return replace(command, input=Input(url=public_url(command.input.url or ""), url_offset=offset))


def published(source: Input) -> Input:
    """The input for clients and facts, without where its full URL is."""
    return source if source.url_offset is None else replace(source, url_offset=None)
