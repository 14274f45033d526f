"""The libraries behind `transcribe` and `embed` called directly, without kinolog: a line of JSON in, seconds out.

`… transcribe MODEL THREADS` takes {"speech": WAV}, `… embed MODEL THREADS` {"texts": […]}; `… both SPEECH_MODEL
EMBEDDING_MODEL THREADS` {"speech": WAV}, whose text is then embedded.
"""

import json
import sys
import time
import wave
from collections.abc import Callable, Sequence
from typing import Any

Request = dict[str, Any]


def transcriber(model: str, threads: int) -> Callable[[Request], str]:
    """A function that says what was said."""
    import numpy as np
    from faster_whisper import WhisperModel

    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=threads)

    def transcribe(request: Request) -> str:
        with wave.open(request["speech"]) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        segments, _ = whisper.transcribe(
            sound,
            vad_filter=True,
            condition_on_previous_text=False,
            word_timestamps=True,
            hallucination_silence_threshold=2.0,
        )
        return " ".join(segment.text for segment in segments)

    return transcribe


def embedder(model: str, threads: int) -> Callable[[Request], object]:
    """A function that embeds texts."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(threads)
    sentences = SentenceTransformer(model, device="cpu", local_files_only=True)

    def embed(request: Request) -> object:
        return sentences.encode(request["texts"], batch_size=32, normalize_embeddings=True, show_progress_bar=False)

    return embed


def both(speech_model: str, embedding_model: str, threads: int) -> Callable[[Request], object]:
    """A function that embeds what was said."""
    transcribe, embed = transcriber(speech_model, threads), embedder(embedding_model, threads)
    return lambda request: embed({"texts": [transcribe(request)]})


def main(arguments: Sequence[str]) -> None:
    """Serve until stdin ends."""
    kind, *models, threads = arguments
    make: dict[str, Callable[..., Callable[[Request], object]]] = {
        "transcribe": transcriber,
        "embed": embedder,
        "both": both,
    }
    work = make[kind](*models, int(threads))
    for line in sys.stdin:
        request = json.loads(line)
        began = time.monotonic()
        work(request)
        print(time.monotonic() - began, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
