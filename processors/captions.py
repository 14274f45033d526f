"""The step `captions`: a master playlist that has the captions as a rendition, beside the one without."""

import asyncio
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from processors.contract import Work
from processors.errors import InvalidParams, OutputIncomplete
from processors.inputs import params_of, probed
from processors.media.cues import cues, webvtt
from processors.media.hls import Subtitles, Variant, master_playlist, subtitles_playlist, timestamp_map
from schemas.captions import CaptionsOutputs, CaptionsParams
from schemas.transcode import Rendition, TranscodeOutputs
from schemas.transcribe import TranscribeOutputs, Transcript

MASTER, PLAYLIST, VTT = "hls/master.m3u8", "hls/captions.m3u8", "hls/captions.vtt"

Outputs = TypeVar("Outputs", bound=msgspec.Struct)


@dataclass(frozen=True)
class Captioner:
    """Writes text only: nothing is encoded again."""

    async def process(self, work: Work) -> CaptionsOutputs:
        """Playlists and captions. Raises InvalidParams when what it stands on is not there."""
        params_of(work, CaptionsParams)
        ladder, heard = _before(work, "transcode", TranscodeOutputs), _before(work, "transcribe", TranscribeOutputs)
        transcript = await asyncio.to_thread(_transcript, await work.fetch(heard.transcript))
        audio_language = media.language if (media := probed(work).audio) else None
        master = master_with_captions(work.key(MASTER), ladder, audio_language, heard.language)
        await asyncio.to_thread(_write, work.output, master, transcript, ladder)
        work.report(1.0, {})
        return CaptionsOutputs(
            master=work.key(MASTER),
            based_on=ladder.master,
            playlist=work.key(PLAYLIST),
            vtt=work.key(VTT),
            language=heard.language,
        )


def master_with_captions(key: str, ladder: TranscodeOutputs, audio_language: str | None, language: str | None) -> str:
    """The master playlist to stand at `key`: the renditions where they are, relative to it, and the captions."""
    videos = [_variant(key, one) for one in ladder.renditions if one.width_px]
    sounds = [_variant(key, one, audio_language) for one in ladder.renditions if not one.width_px]
    name = f"Captions ({language})" if language and language.isalnum() else "Captions"
    subtitles = Subtitles(name=name, uri=posixpath.basename(PLAYLIST), language=language)
    return master_playlist(videos, sounds[0] if sounds else None, subtitles)


def _variant(key: str, one: Rendition, language: str | None = None) -> Variant:
    return Variant(
        name=one.name,
        uri=posixpath.relpath(one.playlist, posixpath.dirname(key)),
        codecs=one.codecs,
        peak_bps=one.peak_bps,
        average_bps=one.average_bps,
        width_px=one.width_px or 0,
        height_px=one.height_px or 0,
        fps=one.fps or 0.0,
        language=language,
    )


def _write(folder: Path, master: str, transcript: Transcript, ladder: TranscodeOutputs) -> None:
    (folder / MASTER).parent.mkdir(parents=True, exist_ok=True)
    (folder / MASTER).write_text(master)
    (folder / PLAYLIST).write_text(subtitles_playlist(posixpath.basename(VTT), ladder.duration_s))
    (folder / VTT).write_text(webvtt(cues(transcript.segments), timestamp_map(ladder.start_s)))


def _transcript(path: Path) -> Transcript:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Transcript)
    except msgspec.MsgspecError as error:
        raise OutputIncomplete("The transcript cannot be read.", detail=str(error)) from error


def _before(work: Work, step: str, kind: type[Outputs]) -> Outputs:
    try:
        return msgspec.convert(work.inputs[step], kind)
    except (KeyError, msgspec.ValidationError) as error:
        raise InvalidParams(f"The pipeline must run the step `{step}` before this one.", detail=str(error)) from error
