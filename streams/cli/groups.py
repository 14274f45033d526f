"""Commands and groups of the command line: help, exit codes, and expected errors as messages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from streams.settings import SettingsError

OK, FAILED, BAD_USAGE = 0, 1, 2
#: What a shell reports after Ctrl-C. Source: bash(1), EXIT STATUS.
INTERRUPTED = 130


class Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the examples, a line each."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")


class Commands(click.Group):
    """The top group: lists its commands by topic, and turns expected errors into a message and an exit code."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """Write the commands of each section with their summaries."""
        width = max(map(len, self.commands))
        limit = formatter.width - width - 6
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{name:<{width}}", self.commands[name].get_short_help_str(limit)) for name in names]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with expected_errors():
            return super().invoke(ctx)


@contextmanager
def expected_errors() -> Iterator[None]:
    """End the command on an expected error with its message and its `exit_code`, without a traceback."""
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


def _fail(error: Exception, code: int) -> NoReturn:
    print_error(error)
    raise click.exceptions.Exit(code)


def print_error(error: object) -> None:
    """Print an error as the command line shows it, on stderr."""
    click.echo(f"kinolog: {error}", err=True)
