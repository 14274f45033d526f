"""Transcode recipes as data: read from deploy/profiles/*.yaml once, checked when they are read."""

from pathlib import Path

import msgspec
import yaml


class ProfileError(Exception):
    """A profile file cannot be used; the message names the file and what is wrong."""


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One size of a ladder."""

    #: Short side of a 16:9 box that the picture must fit into.
    height_px: int
    #: Cap of the video's bit rate.
    max_bps: int


class VideoRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How pictures are encoded: H.264 by libx264, constant quality under a cap."""

    preset: str
    #: Quality, 0-51; lower is better and larger.
    crf: float
    #: Decoder buffer, in seconds of the cap.
    buffer_s: float
    #: Frame rates above it are lowered to it.
    max_fps: float


class AudioRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How sound is encoded: stereo AAC-LC."""

    bit_rate_bps: int
    sample_rate_hz: int


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe for an HLS ladder."""

    name: str
    #: Keyframe distance.
    gop_s: float
    segment_s: float
    #: Segment length of media that is shorter than `short_below_s`.
    short_segment_s: float
    short_below_s: float
    video: VideoRecipe
    audio: AudioRecipe
    #: From the largest to the smallest.
    ladder: tuple[Rung, ...]
    #: Added for a source that is too small for most of the ladder.
    small: Rung


def load_profiles(folder: Path) -> dict[str, Profile]:
    """Every profile of `folder` by its name. Raises ProfileError."""
    found = [_load(path) for path in sorted(folder.glob("*.yaml"))]
    if not found:
        raise ProfileError(f"{folder}: holds no profile (*.yaml)")
    return {profile.name: profile for profile in found}


def _load(path: Path) -> Profile:
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()), Profile)
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise ProfileError(f"{path}: {error}") from error
