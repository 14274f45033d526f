"""Limits of the command line are those of the service, and durations are read as written."""

from typing import Any, get_args

import click
import pytest

from schemas.jobs import CACHE_PIPELINE
from streams.cli import cache, jobs, tokens
from streams.cli.common import Duration
from streams.cli.main import cli
from web.api import search
from web.api.cache import routes
from web.api.tokens import NewToken
from web.readmodel.list_query import MAX_LIMIT


def maximum(*path: str) -> Any:
    """The largest --limit of a command."""
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    (limit,) = [one for one in command.params if one.name == "limit"]
    assert isinstance(limit.type, click.IntRange)
    return limit.type.max


def test_limits_are_those_of_the_service() -> None:
    assert maximum("jobs", "list") == maximum("cache", "list") == jobs.MAX_LIMIT == MAX_LIMIT
    assert maximum("search") == search._MAX_LIMIT
    assert cache.MAX_ITEMS == routes.MAX_ITEMS and cache.PIPELINE == CACHE_PIPELINE
    assert get_args(get_args(NewToken.__annotations__["requests_per_s"])[0])[1].le == tokens.MAX_RATE


@pytest.mark.parametrize(
    "text, seconds", [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("0", 0)]
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "-5m", "inf", "nan", "", "h"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.BadParameter, match="30d"):
        Duration().convert(text, None, None)
