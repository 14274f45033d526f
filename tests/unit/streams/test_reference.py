"""The generated reference says what the program does."""

from pathlib import Path

import pytest

from schemas.jobs import Step
from schemas.registry import message_types
from streams import reference

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("path", reference.render())
def test_the_committed_reference_is_up_to_date(path: str) -> None:
    assert (CHECKOUT / path).read_text() == reference.render()[path], f"{path} is stale: run `make docs`"


def test_every_setting_says_what_it_means() -> None:
    rows = [line for line in reference.settings_page().splitlines() if line.startswith("| `KINOLOG_")]
    silent = [row for row in rows if row.endswith("|  |")]
    assert len(rows) > 30
    assert [row.split("`")[1] for row in silent] == []


def test_every_message_has_a_schema_with_its_comments() -> None:
    schema = reference.json_schema()
    assert schema["properties"].keys() == message_types().keys()
    assert schema["$defs"]["RetryPolicy"]["properties"]["delay_s"]["description"] == "Seconds before the first retry."


def test_a_comment_of_several_lines_is_one_sentence() -> None:
    assert reference.field_comments(Step)["run"] == "The job's run in which this step was last requested, from 1."
