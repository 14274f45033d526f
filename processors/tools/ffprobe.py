"""What ffprobe answers, as far as it is used: checked before it is believed, for it has read a stranger's file."""

from typing import Annotated

import msgspec

from processors.errors import ToolMisbehaved
from schemas.base import Json

#: Whatever ffprobe counts.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class _Side(msgspec.Struct, frozen=True):
    """What stands beside a track's packets."""

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
    #: By names that the file gives, with anything in them.
    tags: dict[str, str] = {}
    side_data_list: list[_Side] = []


class _Format(msgspec.Struct, frozen=True):
    """The file as a whole."""

    start_time: _Text = ""
    duration: _Text = ""
    bit_rate: _Text = ""
    nb_streams: _Count = 0


class _Answer(msgspec.Struct, frozen=True):
    streams: list[_Track] = []
    format: _Format = _Format()


def checked_answer(answer: Json) -> Json:
    """The same, with a list of tracks and a format. Raises ToolMisbehaved for what ffprobe never says."""
    try:
        msgspec.convert(answer, _Answer)
    except msgspec.ValidationError as error:
        raise ToolMisbehaved("ffprobe describes the file as it never does by itself.", detail=str(error)) from error
    return {"streams": [], "format": {}, **answer}
