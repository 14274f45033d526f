"""The step `captions`: an HLS master playlist with the captions as a rendition; the one without them remains."""

import asyncio
import posixpath
from dataclasses import dataclass
from pathlib import Path

import msgspec

from processors.contract import Work, outputs_of, params_of
from processors.errors import OutputIncomplete
from processors.media.hls import Subtitles, Variant, master_playlist, subtitles_playlist, timestamp_map
from processors.transcripts.cues import Cue, ReadingSpeed, cues
from processors.transcripts.subtitle_files import webvtt
from schemas.captions import CaptionsOutputs, CaptionsParams
from schemas.probe import ProbeOutputs
from schemas.transcode import Rendition, TranscodeOutputs
from schemas.transcribe import TranscribeOutputs, Transcript

MASTER, PLAYLIST, VTT = "hls/master.m3u8", "hls/captions.m3u8", "hls/captions.vtt"


@dataclass(frozen=True)
class Captioner:
    """Adds captions to an HLS presentation. Writes text only: nothing is encoded again."""

    async def process(self, work: Work) -> CaptionsOutputs:
        """Write playlists and captions. Raises InvalidParams when an earlier step did not run."""
        params_of(work, CaptionsParams)
        transcoded = outputs_of(work, "transcode", TranscodeOutputs)
        transcribed = outputs_of(work, "transcribe", TranscribeOutputs)
        audio = outputs_of(work, "probe", ProbeOutputs).audio
        transcript = await asyncio.to_thread(_transcript, await work.fetch(transcribed.transcript))
        audio_language = audio.language if audio else None
        master = master_with_captions(work.key(MASTER), transcoded, audio_language, transcribed.language)
        shown = cues(transcript.segments, ReadingSpeed(transcribed.chars_per_s, transcribed.wide_chars_per_s))
        await asyncio.to_thread(_write, work.output, master, shown, transcoded)
        work.report(1.0, {})
        return CaptionsOutputs(
            master=work.key(MASTER),
            based_on=transcoded.master,
            playlist=work.key(PLAYLIST),
            vtt=work.key(VTT),
            language=transcribed.language,
        )


def master_with_captions(
    key: str, transcoded: TranscodeOutputs, audio_language: str | None, language: str | None
) -> str:
    """The master playlist for `key`: the existing renditions by relative URI, and the captions."""
    videos = [_variant(key, one) for one in transcoded.renditions if one.width_px]
    sounds = [_variant(key, one, audio_language) for one in transcoded.renditions if not one.width_px]
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


def _write(folder: Path, master: str, shown: list[Cue], transcoded: TranscodeOutputs) -> None:
    (folder / MASTER).parent.mkdir(parents=True, exist_ok=True)
    (folder / MASTER).write_text(master)
    (folder / PLAYLIST).write_text(subtitles_playlist(posixpath.basename(VTT), transcoded.duration_s))
    (folder / VTT).write_text(webvtt(shown, timestamp_map(transcoded.start_s)))


def _transcript(path: Path) -> Transcript:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Transcript)
    except msgspec.MsgspecError as error:
        raise OutputIncomplete("The transcript cannot be read.", detail=str(error)) from error
