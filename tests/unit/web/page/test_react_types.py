"""The types of the React package are those of the routes that its hooks read."""

import re

import msgspec
import pytest

from web.api.ui import STATIC
from web.compat.job_status import State
from web.compat.media_admin import Media
from web.compat.studio_views import Record
from web.compat.video_processing_views import Item, StepDetail

_TYPES = (STATIC / "react" / "index.d.ts").read_text()
_OF_ROUTES = {"Media": Media, "VideoItem": Item, "VideoStep": StepDetail, "JobStatus": State, "StudioJob": Record}


@pytest.mark.parametrize("name, view", _OF_ROUTES.items(), ids=_OF_ROUTES)
def test_a_hooks_data_has_the_fields_of_its_route(name: str, view: type[msgspec.Struct]) -> None:
    body = re.search(rf"export interface {name} \{{\n(.*?)\n\}}", _TYPES, re.DOTALL)
    assert body is not None
    fields = set(re.findall(r"^  (\w+):", body[1], re.MULTILINE))
    assert fields == {field.encode_name for field in msgspec.structs.fields(view)}


def test_every_export_has_a_type() -> None:
    exported = re.findall(
        r"^export (?:function|const) (\w+)", (STATIC / "react" / "index.js").read_text(), re.MULTILINE
    )
    assert set(exported) == set(re.findall(r"^export function (\w+)", _TYPES, re.MULTILINE))
