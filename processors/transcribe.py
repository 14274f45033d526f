"""The step `transcribe`: speech as captions and as data."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from processors.contract import Work, outputs_of, params_of
from processors.errors import LanguageNotSupported, Skipped
from processors.models.backends import first_success
from processors.models.speech import Speech, SpeechBackend, Transcription
from processors.transcripts.cues import ReadingSpeed, cues
from processors.transcripts.subtitle_files import plain_text, subrip, webvtt
from schemas.audio import AudioOutputs
from schemas.transcribe import Caption, TranscribeOutputs, TranscribeParams, Transcript, TranscriptSegment

VTT, SRT, TRANSCRIPT, TEXT = "captions.vtt", "captions.srt", "transcript.json", "transcript.txt"
NO_SPEECH, UNSUPPORTED = "no-speech", "language-not-supported"
_UNSUPPORTED_HINT = "Configure a multilingual model for the step transcribe."
#: Share of progress of the transcription itself.
_TRANSCRIBED_SHARE = 0.98


@dataclass(frozen=True)
class Transcriber:
    """SpeechBackend speech with the first backend of its chain that succeeds."""

    #: By name, in fallback order.
    chain: Mapping[str, SpeechBackend]
    #: Raised if there is no backend.
    missing: Skipped | None = None

    @property
    def is_able(self) -> bool:
        """False while no backend can work, as where the only one needs a GPU that is away."""
        return self.missing is not None or any(backend.is_able for backend in self.chain.values())

    async def process(self, work: Work) -> TranscribeOutputs:
        """Write captions and transcript. Raises BackendError; Skipped without speech or without a model."""
        params, audio = params_of(work, TranscribeParams), outputs_of(work, "audio", AudioOutputs)
        if self.missing is not None:
            raise self.missing
        if not any(backend.needs_cpus for backend in self.chain.values()):
            work.release_cpus()  # endpoints and GPUs compute
        speech = Speech(await work.fetch(audio.speech), audio.duration_s, params.language, audio.language)
        tries = {name: _BackendRun(backend, speech, work).run for name, backend in self.chain.items()}
        try:
            backend, result = await first_success(tries, asleep_left=work.asleep_left)
        except LanguageNotSupported as error:
            raise Skipped(UNSUPPORTED, hint=_UNSUPPORTED_HINT) from error
        if not result.segments:
            raise Skipped(NO_SPEECH)
        transcript = Transcript(
            language=result.language,
            language_confidence=result.language_confidence,
            duration_ms=round(audio.duration_s * 1000),
            model=replace(result.model, backend=backend),
            segments=result.segments,
        )
        speed = ReadingSpeed(params.chars_per_s, params.wide_chars_per_s)
        await asyncio.to_thread(write, work.output, transcript, speed)
        work.report(1.0, {})
        return _outputs(work, transcript, speed)


@dataclass(frozen=True)
class _BackendRun:
    """One backend transcribing, with live captions."""

    backend: SpeechBackend
    speech: Speech
    work: Work

    async def run(self) -> Transcription:
        return await self.backend.transcribe(self.speech, self._on_segment)

    def _on_segment(self, segment: TranscriptSegment | None, language: str | None, done: float) -> None:
        self.work.report(done * _TRANSCRIBED_SHARE, {})
        if segment is not None:
            self.work.on_caption(
                Caption(
                    id=segment.id,
                    start_ms=segment.start_ms,
                    end_ms=segment.end_ms,
                    text=segment.text,
                    language=language,
                )
            )


def write(folder: Path, transcript: Transcript, speed: ReadingSpeed) -> None:
    """Write the step's files. Blocking."""
    captions = cues(transcript.segments, speed)
    (folder / VTT).write_text(webvtt(captions))
    (folder / SRT).write_text(subrip(captions))
    (folder / TEXT).write_text(plain_text(transcript.segments))
    (folder / TRANSCRIPT).write_bytes(msgspec.json.format(msgspec.json.encode(transcript), indent=1))


def _outputs(work: Work, transcript: Transcript, speed: ReadingSpeed) -> TranscribeOutputs:
    return TranscribeOutputs(
        vtt=work.key(VTT),
        srt=work.key(SRT),
        transcript=work.key(TRANSCRIPT),
        text=work.key(TEXT),
        language=transcript.language,
        language_confidence=transcript.language_confidence,
        segments=len(transcript.segments),
        model=transcript.model,
        chars_per_s=speed.chars_per_s,
        wide_chars_per_s=speed.wide_chars_per_s,
    )
