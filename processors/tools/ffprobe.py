"""Schema of ffprobe's JSON, as far as it is used: validated, because ffprobe has read an untrusted file."""

from typing import Annotated

import msgspec

from processors.errors import OutputInvalid
from schemas.base import Json

#: Any count or index.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class _Side(msgspec.Struct, frozen=True):
    """Side data of a track."""

    rotation: float = 0.0
    displaymatrix: _Text = ""


class _Track(msgspec.Struct, frozen=True):
    """One track; times and rates are text."""

    index: _Count
    codec_type: _Text = ""
    codec_name: _Text = ""
    width: _Count = 0
    height: _Count = 0
    channels: _Count = 0
    sample_rate: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,9}$")] = "0"
    avg_frame_rate: _Text = ""
    r_frame_rate: _Text = ""
    sample_aspect_ratio: _Text = ""
    pix_fmt: _Text = ""
    field_order: _Text = ""
    color_space: _Text = ""
    color_primaries: _Text = ""
    color_transfer: _Text = ""
    color_range: _Text = ""
    start_time: _Text = ""
    duration: _Text = ""
    disposition: dict[str, int] = {}
    #: Names and values come from the file.
    tags: dict[str, str] = {}
    side_data_list: list[_Side] = []


class _Format(msgspec.Struct, frozen=True):
    """The file as a whole."""

    start_time: _Text = ""
    duration: _Text = ""
    bit_rate: _Text = ""
    nb_streams: _Count = 0


class _Chapter(msgspec.Struct, frozen=True):
    """A chapter; times are text."""

    start_time: _Text = ""
    end_time: _Text = ""
    tags: dict[str, str] = {}


class _Output(msgspec.Struct, frozen=True):
    streams: list[_Track] = []
    chapters: list[_Chapter] = []
    format: _Format = _Format()


def checked_output(output: Json) -> Json:
    """The output with `streams`, `chapters` and `format`. Raises OutputInvalid if it does not fit the schema."""
    try:
        msgspec.convert(output, _Output)
    except msgspec.ValidationError as error:
        raise OutputInvalid("ffprobe's description of the file has an unknown form.", detail=str(error)) from error
    return {"streams": [], "chapters": [], "format": {}, **output}
