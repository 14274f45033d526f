"""Help texts: complete, and with examples that can be run."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from streams.cli.common import JSON
from streams.cli.groups import Command
from streams.cli.main import SECTIONS, cli

#: They run until they are stopped; their log is JSON by KINOLOG_LOG_FORMAT.
PROCESSES = {"control", "executor", "web"}


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands())
EXAMPLES = [example for command in ALL.values() if isinstance(command, Command) for example in command.examples]


def parse(line: str) -> None:
    """Fails unless the line is a command with arguments that it takes."""
    command_line = line.partition(" > ")[0]
    words = [word for word in shlex.split(command_line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    assert words.pop(0).rpartition("/")[2] == "kinolog"
    command: click.Command = cli
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    if "--file" in words:
        words[words.index("--file") + 1] = __file__
    command.make_context(command.name, words)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_help_can_be_run(example: str) -> None:
    parse(example)


@pytest.mark.parametrize("path", list(ALL), ids=" ".join)
def test_every_command_has_examples_and_json(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert isinstance(command, Command) and command.examples, path
    if path[0] not in PROCESSES:
        assert JSON.opts == next(one.opts for one in command.params if one.name == "as_json")


@pytest.mark.parametrize("path", list(ALL), ids=" ".join)
def test_every_summary_is_whole_and_every_option_is_explained(path: tuple[str, ...]) -> None:
    command = ALL[path]
    width = 80 - max(len(name) for name in cli.commands) - 6
    assert not command.get_short_help_str(width).endswith("..."), command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help and parameter.help[0].isupper() and parameter.help.endswith("."), parameter.name


def test_every_command_is_in_one_section_of_the_help() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(cli.commands)
