"""A faster-whisper model, as it runs in a model process."""

import hashlib
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processors.models.gpu import GpuUnusable, Survey, compute_types, first_that_computes, load_libraries, require_one
from processors.models.protocol import SendPartial
from processors.models.word_starts import Span, refined
from schemas.base import Json

if TYPE_CHECKING:  # importing it takes a second
    from faster_whisper import WhisperModel

_RATE_HZ = 16_000
#: A segment that is probably no speech, with unsure words, is a hallucination.
_NO_SPEECH, _UNSURE_LOGPROB = 0.6, -1.0
#: Languages of a model that knows only one, in ISO 639-1 and -2.
_ENGLISH = frozenset({"en", "eng"})
#: Below this mean probability of its words, a segment is English by guess: measured 0.58 to 0.96 for English by
#: telephone, in noise and quick; 0.27 to 0.46 for German and French (tiny.en).
_GUESSED = 0.5
#: Share of guessed speech from which on nothing is published; less is left out.
_MOSTLY = 2 / 3
#: How late the starts of words are in running speech: those of tiny.en by 0.1 s, those of the multilingual base model
#: are not late.
_LATE_S = 0.05
#: Speech of another language may follow behind a pause of this length.
_LONG_PAUSE_S = 3.0
#: Silences longer than this are skipped if their text looks hallucinated.
_HALLUCINATION_SILENCE_S = 2.0


class SpeechModel:
    """SpeechBackend speech, segment by segment."""

    def __init__(self, model: "WhisperModel", identity: Json) -> None:
        self._model = model
        self._identity = identity
        self.about: Json = {key: identity[key] for key in ("device", "compute_type")}

    def run(self, request: Json, send_partial: SendPartial) -> Json:
        """Transcribe the WAV file `path`, in `language` if given. Sends `{segment, done}` for each segment.

        `tagged`: the language in the file's tags. An English-only model returns `{"supported": False}` for
        speech in another language, tagged or not.
        """
        only_english = not self._model.model.is_multilingual
        if only_english and not is_english(request.get("language") or request.get("tagged")):
            return {"supported": False}
        sound = samples(Path(request["path"]))
        segments, detected = self._model.transcribe(
            sound,
            language=request.get("language"),
            condition_on_previous_text=False,
            word_timestamps=True,
            hallucination_silence_threshold=_HALLUCINATION_SILENCE_S,
            **(_separately(sound) if only_english else {"vad_filter": True}),
        )
        duration_s = len(sound) / _RATE_HZ
        measured = not only_english and not request.get("language")
        confidence = float(detected.language_probability) if measured else None
        about = {"language": detected.language, "language_confidence": confidence}
        kept: list[Json] = []
        guesses, late_s = Guesses(), _LATE_S if only_english else 0.0
        spoken_s = guessed_s = 0.0
        for segment in segments:
            plain = None
            if not is_hallucination(segment.no_speech_prob, segment.avg_logprob) and segment.text.strip():
                plain = timed(_plain(segment), sound, late_s)
                spoken_s += plain["end_s"] - plain["start_s"]
                if only_english and guesses.contain(plain["words"]):
                    guessed_s += plain["end_s"] - plain["start_s"]
                    plain = None
                else:
                    kept.append(plain)
            send_partial({**about, "segment": plain, "done": min(float(segment.end) / duration_s, 1.0)})
        if guessed_s > _MOSTLY * spoken_s:
            return {"supported": False}
        return {**about, "supported": True, "segments": kept, "model": self._identity}


def is_english(language: str | None) -> bool:
    """Whether speech with this tag may be English: also without one."""
    return language is None or language.lower().partition("-")[0] in _ENGLISH


@dataclass
class Guesses:
    """Finds segments that are probably speech of a language that the model does not know.

    Of words that are repeated the first counts, also across guessed segments: a model is sure of what it has written.
    """

    #: Words of the guessed segments directly before, with their first confidence.
    first: dict[str, float] = field(default_factory=dict)

    def contain(self, words: Sequence[Json]) -> bool:
        """Whether the next segment is one of them."""
        for word in words:
            self.first.setdefault(_bare(word), word["confidence"])
        confidences = [self.first[text] for text in {_bare(word) for word in words}]
        guessed = bool(confidences) and sum(confidences) / len(confidences) < _GUESSED
        if not guessed:
            self.first.clear()
        return guessed


def _bare(word: Json) -> str:
    return str(word["text"]).strip(" ,.!?").lower()


def is_hallucination(no_speech: float, mean_logprob: float) -> bool:
    """Whether a segment is likely to be a hallucination."""
    return no_speech > _NO_SPEECH and mean_logprob < _UNSURE_LOGPROB


def samples(path: Path) -> Any:
    """A 16 kHz mono 16-bit WAV file as float32, -1 to 1. Raises ValueError for another format."""
    import numpy as np

    with wave.open(str(path)) as file:
        form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if form != (_RATE_HZ, 1, 2):
            raise ValueError(f"{path.name} is not 16 kHz mono 16-bit audio: {form}")
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def _separately(sound: Any) -> Json:
    """Options with which speech between long pauses is recognised apart.

    The library joins it: then what an English-only model guesses of another language spoils the English before it.
    """
    from faster_whisper.vad import get_speech_timestamps

    chunks = [(one["start"] / _RATE_HZ, one["end"] / _RATE_HZ) for one in get_speech_timestamps(sound)]
    return {"clip_timestamps": [at_s for span in joined(chunks) for at_s in span]} if chunks else {"vad_filter": True}


def joined(chunks: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches of speech without a long pause, in seconds."""
    stretches: list[tuple[float, float]] = []
    for start_s, end_s in chunks:
        if stretches and start_s - stretches[-1][1] < _LONG_PAUSE_S:
            stretches[-1] = (stretches[-1][0], end_s)
        else:
            stretches.append((start_s, end_s))
    return stretches


def timed(segment: Json, sound: Any, late_s: float) -> Json:
    """The segment with refined word starts; those of the model are `late_s` late."""
    spans = refined([Span(word["start_s"], word["end_s"]) for word in segment["words"]], sound, _RATE_HZ, late_s)
    if not spans:
        return segment
    words = [{**word, **span._asdict()} for word, span in zip(segment["words"], spans, strict=True)]
    return {**segment, "start_s": spans[0].start_s, "end_s": spans[-1].end_s, "words": words}


def load(options: Json) -> SpeechModel:
    """Load `options["model"]`, a folder or a name known to faster-whisper, with `cpu_threads` threads, on `device`.

    `compute_type`: None for one that computes fast there. Raises GpuUnusable.
    """
    import ctranslate2
    import faster_whisper

    device, _, index = options["device"].partition(":")
    if device != "cpu":
        _require_gpu(options["device"])
    supported = ctranslate2.get_supported_compute_types(device, int(index or 0))
    kinds = compute_types(options["compute_type"], device, supported, is_fallback=options["is_fallback"])

    def build(kind: str) -> "WhisperModel":
        return faster_whisper.WhisperModel(
            options["model"],
            device=device,
            device_index=int(index or 0),
            compute_type=kind,
            cpu_threads=options["cpu_threads"],
            num_workers=1,
        )

    model = build(kinds[0]) if device == "cpu" else first_that_computes(kinds, build, _trial)
    identity = {
        "name": Path(options["model"]).name if "/" in options["model"] else options["model"],
        "weights_sha256": _weights(Path(options["model"])),
        "compute_type": model.model.compute_type,
        "device": device,
        "library": f"faster-whisper {faster_whisper.__version__}, ctranslate2 {ctranslate2.__version__}",
    }
    return SpeechModel(model, identity)


def survey(options: Json) -> Survey:
    """A loader that finds out whether faster-whisper can use the GPU `device`. Raises GpuUnusable."""
    _require_gpu(options["device"])
    return Survey()


def _require_gpu(device: str) -> None:
    """Raise GpuUnusable unless there is such a GPU, with the libraries to use it."""
    import ctranslate2

    try:
        count = ctranslate2.get_cuda_device_count()
    except RuntimeError as error:  # the driver is too old, or does not answer
        raise GpuUnusable(f"CTranslate2 finds no GPU: {error}") from error
    require_one(device, count, "CTranslate2")
    load_libraries()


def _trial(model: "WhisperModel") -> list[float]:
    """Numbers that the model computes from noise: of its encoder, and of its decoder."""
    import ctranslate2
    import numpy as np

    bands = model.feature_extractor.mel_filters.shape[0]
    noise = np.random.default_rng(0).standard_normal((1, bands, 3000), dtype=np.float32)
    encoded = model.model.encode(ctranslate2.StorageView.from_array(noise), to_cpu=True)
    start = model.hf_tokenizer.token_to_id("<|startoftranscript|>")
    (spoken,) = model.model.generate(encoded, [[start]], max_length=8, beam_size=1, return_scores=True)
    first = np.asarray(encoded.to(ctranslate2.DataType.float32))
    return [float(first.sum()), *spoken.scores]


def _weights(folder: Path) -> str | None:
    path = folder / "model.bin"
    if not path.is_file():
        return None  # a name: the library finds its files
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(segment: Any) -> Json:
    return {
        "start_s": float(segment.start),
        "end_s": float(segment.end),
        "text": segment.text,
        "logprob": float(segment.avg_logprob),
        "no_speech": float(segment.no_speech_prob),
        "words": [
            {"start_s": float(w.start), "end_s": float(w.end), "text": w.word, "confidence": float(w.probability)}
            for w in segment.words or ()
        ],
    }
