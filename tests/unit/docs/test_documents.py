"""What the documents name exists: files, headings, packages, commands, settings, messages, codes, figures."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from schemas.registry import message_types
from streams.cli.main import cli
from tests.bench.figures import HEADLINES, MARKS
from tests.documents import CHECKOUT, blocks

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "docs").glob("*.md")),
]
GENERATED = {"docs/messages.md", "docs/settings.md", "docs/inputs.md"}
WRITTEN = [document for document in DOCUMENTS if document not in GENERATED]
ROOMS = ("agents", "processors", "schemas", "streams", "tables", "web")
SOURCES = [path for room in ROOMS for path in (CHECKOUT / room).rglob("*.py")]
_PATH = re.compile(r"`((?:\.?[\w-]+/)+(?:[\w.-]+\.\w+)?)`")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_STEP_FILES = re.compile(r"\w+/waveform\.\w+|deploy/pipelines/sound\.yaml|.*/test_waveform\.py")


def text_of(document: str) -> str:
    return (CHECKOUT / document).read_text()


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    for target, anchor in _LINK.findall(text_of(document)):
        path = (CHECKOUT / document).parent / target if target else CHECKOUT / document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("document", WRITTEN)
def test_every_file_that_a_document_names_exists(document: str) -> None:
    named = {name for name in _PATH.findall(text_of(document)) if name.split("/")[0] in tracked_folders()}
    missing = {name for name in named if not (CHECKOUT / name).exists() and not _STEP_FILES.fullmatch(name)}
    assert missing == set()


def tracked_folders() -> set[str]:
    return {path.name for path in CHECKOUT.iterdir() if path.is_dir() and path.name not in (".venv", "kinolog-data")}


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_of_the_readme_names_every_package(room: str) -> None:
    [row] = [line for line in text_of("README.md").splitlines() if line.startswith(f"| `{room}/` |")]
    packages = {path.parent.name for path in (CHECKOUT / room).glob("*/__init__.py")}
    assert set(re.findall(r"`(\w+)`", row.split("|")[3])) - {"static"} == packages


def test_the_readme_stays_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


def test_the_figures_of_the_readme_are_those_of_the_table() -> None:
    rows = [line.split(" | ") for line in text_of("docs/figures.md").splitlines() if line.startswith("| ")]
    measured = {row[0].removeprefix("| "): row[2] for row in rows}
    lines = [f"- {sentence.format(measured[what])}" for what, sentence in HEADLINES.items()]
    assert "\n".join(lines) == text_of("README.md").partition(MARKS[0])[2].partition(MARKS[1])[0].strip()


def commands(document: str) -> Iterator[list[str]]:
    """Of shell blocks and of the prose."""
    for block in blocks(document):
        for line in block.text.splitlines() if block.language == "sh" else ():
            yield shlex.split(line, comments=True)
    for text in re.findall(r"`((?:kinolog|make) [^`]*)`", text_of(document)):
        yield shlex.split(text.replace("[", "").replace("]", ""))


def require_kinolog(words: list[str]) -> None:
    """Fails unless the command line has this command with these options."""
    command: click.Command = cli
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options, words


@pytest.mark.parametrize("document", WRITTEN)
def test_every_command_in_a_document_can_be_run(document: str) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(document):
        if words and Path(words[0]).name == "kinolog":
            require_kinolog(words[1:])
        if words and words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, words


@pytest.mark.parametrize("document", WRITTEN)
def test_every_setting_in_a_document_exists(document: str) -> None:
    known = set(re.findall(r"`(KINOLOG_\w+)`", text_of("docs/settings.md")))
    named = set(re.findall(r"KINOLOG_[A-Z0-9_]*[A-Z0-9]\b(?!\*|__)", text_of(document)))
    assert named <= known


@pytest.mark.parametrize("document", WRITTEN)
def test_every_message_in_a_document_exists(document: str) -> None:
    named = set(re.findall(r"`(media\.[a-z.-]+\.v\d+)`", text_of(document)))
    assert named <= set(message_types())


@pytest.mark.parametrize(
    "document, heading", [("docs/use.md", "When it goes wrong"), ("docs/producers.md", "Wrong events")]
)
def test_every_code_that_a_user_may_meet_is_one_that_the_program_has(document: str, heading: str) -> None:
    section = text_of(document).partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    codes = {code for cell in cells for code in re.findall(r"`([a-z-]+)`", cell)}
    assert len(codes) > 10
    sources = "".join(path.read_text() for path in SOURCES)
    assert {code for code in codes if f'"{code}"' not in sources} == set()


def test_every_error_message_that_operators_look_up_is_one_that_the_program_prints() -> None:
    table = text_of("docs/operate.md").partition("| message | what to do |")[2].partition("\n\n")[0]
    messages = [text for row in table.splitlines()[2:] for text in re.findall(r"`([^`]+)`", row.split("|")[1])]
    # What the program puts in: "…", a number, or the version of Java.
    fixed = [re.split(r"…|\b17\b|\bN\b|:", message.replace("KINOLOG_", "…")) for message in messages]
    longest = {max(parts, key=len).strip() for parts in fixed}
    assert len(longest) >= 5
    sources = "".join(path.read_text() for path in SOURCES)
    assert {text for text in longest if text not in sources} == set()


def test_the_hooks_of_pre_commit_run_what_make_lint_runs() -> None:
    [repository] = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    commands = [hook["entry"].split()[:2] for hook in repository["hooks"]]
    linted = (CHECKOUT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    for tool, argument in commands:
        assert (CHECKOUT / tool).exists()
        assert f"$(BIN)/{Path(tool).name} {argument}" in linted
