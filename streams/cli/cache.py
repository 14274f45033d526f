"""`kinolog cache …`: remote media that is kept."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import click

from streams.cli.common import Bulk, Output, Preview, bulk_command, client_command
from streams.cli.groups import FAILED, OK
from streams.cli.jobs import MAX_LIMIT, done, preview, would
from streams.cli.rendering import age, columns, counted, next_page, size, terminal_width

if TYPE_CHECKING:
    from streams.client import Client

#: Most URLs or ids in a request. Source: web/api/cache/routes.py, MAX_ITEMS; a test compares them.
MAX_ITEMS = 1_000
#: Source: schemas/jobs.py, CACHE_PIPELINE; a test compares them.
PIPELINE = "cache"
_STATUSES = ("CACHED", "PENDING", "DOWNLOADING", "FAILED")
_HEADS = ("ID", "STATUS", "SIZE", "AGE", "URL", "REASON")


@click.group()
def cache() -> None:
    """Download remote media once, and find it again."""


@client_command(cache, "add", examples=("kinolog cache add https://example.org/a.mp4 https://example.org/b.mp4",))
@click.argument("urls", nargs=-1, required=True, metavar="URL…")
async def add(client: "Client", urls: Sequence[str]) -> Output:
    """Download each URL, and print its id at once. Exit code 1 when one is refused."""
    items = [item for some in _batches(urls) for item in await client.add_cache_assets(some)]
    failed = any("error" in item for item in items)
    return Output(items, [added(item) for item in items], FAILED if failed else OK)


@client_command(cache, "get", examples=("kinolog cache get ASSET",))
@click.argument("asset_ids", nargs=-1, required=True, metavar="ID…")
async def get(client: "Client", asset_ids: Sequence[str]) -> Output:
    """Print a URL of each ID: signed if cached, else the original."""
    items = [item for some in _batches(asset_ids) for item in await client.resolve_cache_assets(some)]
    return Output(items, [resolved(item, client.url) for item in items])


@client_command(cache, "list", examples=("kinolog cache list", "kinolog cache list --status FAILED"))
@click.option("--status", help=f"Only in these states: {', '.join(_STATUSES)}; comma-separated.")
@click.option("--q", metavar="TEXT", help="Only with this text in names, ids or passthrough.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=20, show_default=True, help="Maximum number of files."
)
@click.option("--cursor", help="Continue after a page: its next_cursor.")
async def list_cached(client: "Client", **query: str | int | None) -> Output:
    """List cached media, newest first."""
    page = await client.cache_assets(**query)
    lines = cache_table(page["data"], width=terminal_width()) or ["Nothing is cached."]
    return Output([page], [*lines, *next_page(page, "kinolog cache list")])


@client_command(cache, "stats", examples=("kinolog cache stats", "kinolog cache stats --owner anna"))
@click.option("--owner", help="Only of this owner (needs an admin's token).")
async def stats(client: "Client", owner: str | None) -> Output:
    """Show how much is cached, and how often it was used."""
    found = await client.cache_stats(owner=owner)
    return Output([found], stats_lines(found))


@bulk_command(cache, "retry-failed", examples=("kinolog cache retry-failed --yes",))
def retry_failed() -> Bulk:
    """Retry every failed download."""

    async def act(client: "Client") -> Output:
        return done(await client.retry_failed_downloads(), "retried", "download")

    matching = {"status": "failed", "pipeline": PIPELINE}
    return Bulk("Retry", lambda client: preview(client, "retried", matching, "download"), act)


@bulk_command(cache, "cleanup", examples=("kinolog cache cleanup --older-than-days 30 --dry-run",))
@click.option(
    "--older-than-days",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Only what has not changed for so long.",
)
def cleanup(older_than_days: float) -> Bulk:
    """Delete cached media by age."""

    async def act(client: "Client") -> Output:
        return done(await client.clean_up_cache(older_than_days=older_than_days), "deleted", "cached file")

    return Bulk("Delete", lambda client: _old_files(client, older_than_days), act)


async def _old_files(client: "Client", older_than_days: float) -> Preview:
    count, cursor, before = 0, None, (datetime.now(UTC) - timedelta(days=older_than_days)).isoformat()
    while True:
        page = await client.cache_assets(status="CACHED,FAILED", updated_before=before, limit=MAX_LIMIT, cursor=cursor)
        count, cursor = count + len(page["data"]), page["next_cursor"]
        if cursor is None:
            return would(count, "cached file", "deleted")


def _batches(words: Sequence[str]) -> Iterator[Sequence[str]]:
    return (words[start : start + MAX_ITEMS] for start in range(0, len(words), MAX_ITEMS))


def added(item: Mapping[str, Any]) -> str:
    """A requested URL: its id and status, or why it was refused."""
    if "id" not in item:
        return f"refused: {item['error']['detail']}  {item['url']}"
    return f"{item['id']}  {item['status']:<11}  {item['url']}"


def resolved(item: Mapping[str, Any], service_url: str) -> str:
    """An id with its status and an absolute URL."""
    status = f"{item['status']} ({item['reason']})" if "reason" in item else item["status"]
    return f"{item['id']}  {status:<11}  {urljoin(f'{service_url}/', item['url']) if item['url'] else '-'}"


def cache_table(items: Sequence[Mapping[str, Any]], width: int | None = None) -> list[str]:
    """A line per cached file."""
    rows = [
        (
            item["id"],
            item["status"],
            size(item["size_bytes"]) if "size_bytes" in item else "",
            age(item["created_at"]),
            item["original"] or "-",
            item.get("reason", ""),
        )
        for item in items
    ]
    return columns(_HEADS, rows, width, cut="URL")


def stats_lines(found: Mapping[str, Any]) -> list[str]:
    """Files by status, downloads, and hits."""
    lines = [f"{status.lower():<12} {found['assets'].get(status, 0)}" for status in _STATUSES]
    lines[0] += f", {size(found['bytes'])}"
    downloads = ", ".join(f"{count} {status}" for status, count in sorted(found["jobs"].items())) or "none"
    requests = found["hits"] + found["misses"]
    hits = f"{found['hit_ratio'] * 100:.1f} % of {counted(requests, 'request')}" if requests else "no requests yet"
    return [*lines, f"{'downloads':<12} {downloads}", f"{'hits':<12} {hits}"]
