"""How much a file is compressed: size, frame rate and bit rates. Pure."""

from dataclasses import dataclass, replace
from fractions import Fraction

from processors.errors import NothingToShow
from processors.media.ladder import Size, fitted
from processors.media.profiles import Rung
from processors.media.whole_tracks import capped_rate, grid_phase_s
from schemas.compress import CompressParams
from schemas.probe import ProbeOutputs

#: Cap of the picture: bits for each pixel of up to 30 frames a second; those above count half, they differ less.
#: 2.8 Mbit/s for 720p30, the cap of the ladder's rung.
_BITS_PER_PIXEL, _FULL_FPS = 0.1, 30.0
#: What is left of a size for the tracks: the index takes 1 to 2 % of small files.
_TRACK_SHARE = 0.97
#: Of the source's size, where no other is asked for.
_SMALLER = 0.95
#: Below these a picture cannot be recognised, and sound not understood.
_LEAST_VIDEO_BPS, _LEAST_AUDIO_BPS = 48_000, 32_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be encoded, decided before anything runs."""

    #: None without a picture.
    size: Size | None
    rate: Fraction
    #: How far the grid of frames lies behind the start of the media.
    phase_s: Fraction
    #: Cap of the picture's bit rate, and the sound's bit rate.
    video_bps: int
    audio_bps: int
    duration_s: float
    is_filled: bool = False

    def smaller(self, share: float) -> "Plan":
        """The same at a share of the bit rates."""
        video, audio = round(self.video_bps * share), round(self.audio_bps * share)
        fixed_audio = self.audio_bps if self.size else max(audio, _LEAST_AUDIO_BPS)
        return replace(self, video_bps=max(video, _LEAST_VIDEO_BPS), audio_bps=fixed_audio)


def plan(media: ProbeOutputs, params: CompressParams, *, is_filled: bool = False) -> Plan:
    """The size, rates and bit rates. Raises NothingToShow when there is no track."""
    video = media.video
    if not video and not media.audio:
        raise NothingToShow("The file holds neither video nor sound that can be played.")
    rate = capped_rate(Fraction(video.frame_rate), params.max_fps) if video else Fraction(0)
    box = Rung(height_px=params.height_px, max_bps=0)
    size = fitted(video.width_px, video.height_px, box) if video else None
    total_bps = limit_bytes(media, params) * 8 * _TRACK_SHARE / max(media.duration_s, 0.1)
    audio_bps = _audio_bps(params.audio_bps, total_bps, alone=size is None) if media.audio else 0
    caps = (_cap_bps(size, float(rate)), total_bps - audio_bps) if size else (0,)
    return Plan(
        size=size,
        rate=rate,
        phase_s=grid_phase_s(video, rate) if video else Fraction(0),
        video_bps=max(round(min(caps)), _LEAST_VIDEO_BPS) if size else 0,
        audio_bps=audio_bps,
        duration_s=media.duration_s,
        is_filled=is_filled,
    )


def limit_bytes(media: ProbeOutputs, params: CompressParams) -> int:
    """Size that the file should not exceed."""
    smaller = round(media.size_bytes * _SMALLER)
    return smaller if params.max_bytes is None else min(params.max_bytes, smaller)


def _cap_bps(size: Size, fps: float) -> float:
    weighted = min(fps, _FULL_FPS) + max(fps - _FULL_FPS, 0) / 2
    return _BITS_PER_PIXEL * size.width_px * size.height_px * weighted


def _audio_bps(requested: int, total_bps: float, *, alone: bool) -> int:
    """Beside a picture sound takes a quarter at most."""
    return max(min(requested, round(total_bps if alone else total_bps / 4)), _LEAST_AUDIO_BPS)
