"""What the commands have in common: exit codes, plain words for expected errors, and the way to the service."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from streams.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from streams.client import Client

OK, JOB_FAILED, BAD_USAGE = 0, 1, 2
#: What a shell reports after Ctrl-C. Source: bash(1), EXIT STATUS.
INTERRUPTED = 130

Command = TypeVar("Command", bound=Callable[..., Any])
Work = Callable[["Client"], Coroutine[Any, Any, int]]


@contextmanager
def said_plainly() -> Iterator[None]:
    """Ends the command on an expected error: with its sentence and its `exit_code`, without a traceback."""
    try:
        yield
    except SettingsError as error:
        _fail(error, BAD_USAGE)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:
        if not isinstance(code := getattr(error, "exit_code", None), int):
            raise  # a bug: its traceback is what is needed
        _fail(error, code)


class Commands(click.Group):
    """A group whose commands say plainly what went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with said_plainly():
            return super().invoke(ctx)


def _fail(error: Exception, code: int) -> NoReturn:
    click.echo(f"kinolog: {error}", err=True)
    raise click.exceptions.Exit(code)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one value a line.")


def reaches_service(command: Command) -> Command:
    """Add --url and --token."""
    url = click.option("--url", help="Address of the service; else KINOLOG_WEB__HOST/PORT, or where `kinolog up` runs.")
    token = click.option("--token", help="Access token; else KINOLOG_AUTH__TOKEN, or the one that `kinolog up` made.")
    return url(token(command))


def with_client(url: str | None, token: str | None, work: Work) -> None:
    """Run `work` against the service and end with its exit code."""
    settings = load()
    end(asyncio.run(_connected(url or service_url(settings, os.environ), token or service_token(settings), work)))


async def _connected(url: str, token: str | None, work: Work) -> int:
    from streams.client import Client

    async with Client(url, token) as client:
        return await work(client)


def service_url(settings: Settings, environ: Mapping[str, str]) -> str:
    """Where the service is: as set, else where the `up` over this data dir says it is, else the default."""
    from streams.supervisor.run_dir import kept_url, web_url

    is_set = settings.web.port != 0 and any(environ.get(name) for name in ("KINOLOG_WEB__HOST", "KINOLOG_WEB__PORT"))
    return web_url(settings) if is_set else kept_url(settings) or web_url(settings)


def service_token(settings: Settings) -> str | None:
    """The fixed token, else the one that the `up` over this data dir made."""
    from streams.supervisor.run_dir import kept_token

    return settings.auth.token or kept_token(settings)


def end(code: int) -> NoReturn:
    """End the command with this exit code."""
    raise click.exceptions.Exit(code)
