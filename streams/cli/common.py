"""Shared parts of the commands: common options, confirmation, and the connection to the service."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, TypeVar

import click

from streams.cli.groups import OK, Command
from streams.settings import Settings, load

if TYPE_CHECKING:
    from streams.client import Client

T = TypeVar("T")
Decorator = Callable[[Callable[..., Any]], click.Command]


class Output(NamedTuple):
    """Result of a command, for machines and for people."""

    #: Printed with --json: one value a line.
    values: Sequence[Any]
    #: Printed otherwise.
    lines: Sequence[str]
    exit_code: int = OK


class Preview(NamedTuple):
    """What a bulk command would act on."""

    #: E.g. "12 jobs"; empty when there is nothing.
    things: str
    #: Printed by --dry-run.
    output: Output


class Bulk(NamedTuple):
    """A bulk command in two parts: what it would do, and doing it."""

    #: Imperative, e.g. "Remove"; followed by `Preview.things` it is the question to confirm.
    verb: str
    preview: Callable[["Client"], Coroutine[Any, Any, Preview]]
    act: Callable[["Client"], Coroutine[Any, Any, Output]]


class Duration(click.ParamType):
    """Seconds, or a number with s, m, h or d."""

    name = "duration"
    _UNITS_S: ClassVar = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds, 0 or more."""
        number, unit = (value[:-1], value[-1]) if value[-1:] in self._UNITS_S else (value, "s")
        try:
            seconds = float(number) * self._UNITS_S[unit]
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is not a duration: write 90s, 15m, 12h or 30d", param, ctx)
        return seconds


JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print JSON, one value per line.")
_URL = click.Option(
    ["--url"],
    metavar="URL",
    help="URL of the service. Default: KINOLOG_WEB__HOST and PORT, else the running `kinolog up`.",
)
_TOKEN = click.Option(["--token"], help="Access token. Default: KINOLOG_AUTH__TOKEN, else that of `kinolog up`.")
_YES = click.Option(["--yes", "-y"], is_flag=True, help="Do not ask for confirmation.")
_DRY_RUN = click.Option(["--dry-run"], is_flag=True, help="Show what would be done, and change nothing.")
_SERVICE_OPTIONS = (_URL, _TOKEN, JSON)


def client_command(group: click.Group, name: str, *, examples: Sequence[str] = ()) -> Decorator:
    """Make an async function a command with --url, --token and --json.

    It is called with a connected client and its own options, and returns an Output.
    """

    def decorate(work: Callable[..., Coroutine[Any, Any, Output]]) -> click.Command:
        def run(*, url: str | None, token: str | None, as_json: bool, **options: Any) -> NoReturn:
            finish(with_client(url, token, lambda client: work(client, **options)), as_json=as_json)

        return _add(group, name, work, run, *_SERVICE_OPTIONS, examples=examples)

    return decorate


def streaming_command(group: click.Group, name: str, *, examples: Sequence[str] = ()) -> Decorator:
    """Like `client_command`, for a function that prints as it goes: it takes `as_json`, and returns the exit code."""

    def decorate(work: Callable[..., Coroutine[Any, Any, int]]) -> click.Command:
        def run(*, url: str | None, token: str | None, **options: Any) -> NoReturn:
            end(with_client(url, token, lambda client: work(client, **options)))

        return _add(group, name, work, run, *_SERVICE_OPTIONS, examples=examples)

    return decorate


def bulk_command(group: click.Group, name: str, *, examples: Sequence[str] = ()) -> Decorator:
    """Make a function that returns a Bulk a command that asks before it acts, or takes --yes; with --dry-run."""

    def decorate(plan: Callable[..., Bulk]) -> click.Command:
        def run(*, url: str | None, token: str | None, as_json: bool, yes: bool, dry_run: bool, **options: Any) -> None:
            bulk = plan(**options)
            if not yes or dry_run:
                require_terminal(dry_run=dry_run)
                preview = with_client(url, token, bulk.preview)
                if dry_run or not preview.things:
                    finish(preview.output, as_json=as_json)
                click.confirm(f"{bulk.verb} {preview.things}?", abort=True, err=True)
            finish(with_client(url, token, bulk.act), as_json=as_json)

        return _add(group, name, plan, run, _YES, _DRY_RUN, *_SERVICE_OPTIONS, examples=examples)

    return decorate


def require_terminal(*, dry_run: bool) -> None:
    """Refuse to ask for confirmation without a terminal. Raises UsageError."""
    if not dry_run and not sys.stdin.isatty():
        raise click.UsageError("this needs confirmation and there is no terminal: pass --yes, or --dry-run")


def local_command(group: click.Group, name: str, *, examples: Sequence[str] = ()) -> Decorator:
    """Make a function a command with --json that needs no client."""

    def decorate(run: Callable[..., None]) -> click.Command:
        return _add(group, name, run, run, JSON, examples=examples)

    return decorate


def _add(
    group: click.Group,
    name: str,
    described: Callable[..., Any],
    run: Callable[..., None],
    *options: click.Parameter,
    examples: Sequence[str],
) -> click.Command:
    """Add a command with the help text and the click parameters of `described`, and `options` after them."""
    own = reversed(getattr(described, "__click_params__", []))
    command = Command(name, callback=run, params=[*own, *options], help=described.__doc__, examples=examples)
    group.add_command(command)
    return command


def with_client(url: str | None, token: str | None, work: Callable[["Client"], Awaitable[T]]) -> T:
    """The result of `work` with a client of the service. Raises ClientError."""
    settings = load()
    return asyncio.run(_connected(url or service_url(settings, os.environ), token or service_token(settings), work))


async def _connected(url: str, token: str | None, work: Callable[["Client"], Awaitable[T]]) -> T:
    from streams.client import Client

    async with Client(url, token) as client:
        return await work(client)


class NotRunning(Exception):
    """No `kinolog up` runs over this data dir, and no other service is named."""

    exit_code = 3

    def __init__(self, settings: Settings) -> None:
        super().__init__(f"not running with the data directory {settings.data_path}: start it with `kinolog up`")


def service_url(settings: Settings, environ: Mapping[str, str]) -> str:
    """URL of the service: as set, else that of the `up` over this data dir, else the default. Raises NotRunning."""
    from streams.supervisor.run_dir import kept_url, web_url

    is_set = settings.web.port != 0 and any(environ.get(name) for name in ("KINOLOG_WEB__HOST", "KINOLOG_WEB__PORT"))
    kept = None if is_set else kept_url(settings)
    if kept is None and settings.web.port == 0:
        raise NotRunning(settings)
    return kept or web_url(settings)


def service_token(settings: Settings) -> str | None:
    """The fixed token, else that of the `up` over this data dir."""
    from streams.supervisor.run_dir import kept_token

    return settings.auth.token or kept_token(settings)


def finish(output: Output, *, as_json: bool) -> NoReturn:
    """Print the output and end the command with its exit code."""
    from streams.cli.rendering import print_json, print_line

    if as_json:
        for value in output.values:
            print_json(value)
    else:
        for line in output.lines:
            print_line(line)
    end(output.exit_code)


def end(code: int) -> NoReturn:
    """End the command with this exit code."""
    raise click.exceptions.Exit(code)
