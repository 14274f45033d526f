"""`kinolog cache …` and `kinolog gc`: foreign media that is kept, and what nobody points at."""

from typing import TYPE_CHECKING

import click

from streams.cli.common import JOB_FAILED, OK, json_option, reaches_service, with_client

if TYPE_CHECKING:
    from streams.client import Client


@click.group()
def cache() -> None:
    """Foreign media that is kept here."""


@cache.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL…")
@json_option
@reaches_service
def add(urls: tuple[str, ...], as_json: bool, url: str | None, token: str | None) -> None:
    """Have each URL downloaded, and print its id at once. Ends with 1 when one of them cannot be asked for."""
    from streams.cli.cache_rendering import added
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        items = (await client.cache("POST", body={"urls": list(urls)}))["data"]
        for item in items:
            print_json(item) if as_json else click.echo(added(item))
        return JOB_FAILED if any("error" in item for item in items) else OK

    with_client(url, token, work)


@cache.command()
@click.argument("asset_ids", nargs=-1, required=True, metavar="ID…")
@json_option
@reaches_service
def get(asset_ids: tuple[str, ...], as_json: bool, url: str | None, token: str | None) -> None:
    """Where each ID is to be had: a signed address when it is cached, the original otherwise."""
    from streams.cli.cache_rendering import whereabouts
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        for found in (await client.cache("POST", "/resolve", {"ids": list(asset_ids)}))["data"]:
            print_json(found) if as_json else click.echo(whereabouts(found, client.url))
        return OK

    with_client(url, token, work)


@cache.command()
@json_option
@reaches_service
def stats(as_json: bool, url: str | None, token: str | None) -> None:
    """How much is cached, and how often it was of use."""
    from streams.cli.cache_rendering import stats_lines
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        found = (await client.cache("GET", "/stats"))["data"]
        print_json(found) if as_json else click.echo("\n".join(stats_lines(found)))
        return OK

    with_client(url, token, work)


@cache.command("retry-failed")
@json_option
@reaches_service
def retry_failed(as_json: bool, url: str | None, token: str | None) -> None:
    """Try every failed download again."""
    from streams.cli.cache_rendering import counted
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        found = (await client.cache("POST", "/retry-failed"))["data"]
        print_json(found) if as_json else click.echo(f"tried again: {counted(found['count'], 'download')}")
        return OK

    with_client(url, token, work)


@cache.command()
@click.option("--older-than-days", type=click.FloatRange(0), default=30.0, show_default=True, help="Since it changed.")
@json_option
@reaches_service
def cleanup(older_than_days: float, as_json: bool, url: str | None, token: str | None) -> None:
    """Delete cached media of that age; executors remove the files."""
    from streams.cli.cache_rendering import counted
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        found = (await client.cache("POST", "/cleanup", {"older_than_days": older_than_days}))["data"]
        print_json(found) if as_json else click.echo(f"deleted: {counted(found['count'], 'cached file')}")
        return OK

    with_client(url, token, work)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--older-than-days", type=click.FloatRange(0), default=1.0, show_default=True, help="Leave what is newer."
)
@json_option
@reaches_service
def gc(dry_run: bool, older_than_days: float, as_json: bool, url: str | None, token: str | None) -> None:
    """Remove files that no row points at: what killed executors and broken uploads left. Takes an admin's token."""
    from streams.cli.cache_rendering import garbage_lines
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        found = await client.collect_garbage(dry_run=dry_run, older_than_days=older_than_days)
        print_json(found) if as_json else click.echo("\n".join(garbage_lines(found)))
        return OK

    with_client(url, token, work)
