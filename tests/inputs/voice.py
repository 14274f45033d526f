"""A synthetic voice that tells when each word starts: libespeak-ng, of which the program `espeak-ng` gives only sound.

Source: espeak-ng, src/include/espeak-ng/speak_lib.h.
"""

import ctypes
from functools import cache
from typing import NamedTuple

import numpy as np

from tests.inputs.tone import Samples

_SYNCHRONOUS, _BUFFER_MS = 2, 500
_END, _WORD = 0, 1
_CHARACTERS, _UTF8, _RATE = 1, 1, 1
_CALLED = ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("text_at", ctypes.c_int),
        ("letters", ctypes.c_int),
        ("audio_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


class Talk(NamedTuple):
    """Spoken sentences."""

    #: Mono, -1 to 1.
    samples: Samples
    rate_hz: int
    #: The words, and when each starts, seconds.
    starts: tuple[tuple[str, float], ...]


def talk(sentences: tuple[str, ...], pauses_s: tuple[float, ...], voice: str = "en-us", speed: int = 150) -> Talk:
    """The sentences, each behind its pause."""
    parts, starts, at = [], [], 0
    for sentence, pause_s in zip(sentences, pauses_s, strict=True):
        samples, rate_hz, words = _spoken(sentence, voice, speed)
        silence = np.zeros(round(pause_s * rate_hz), np.float32)
        starts += [(text, (at + len(silence) + sample) / rate_hz) for text, sample in words]
        parts += [silence, samples]
        at += len(silence) + len(samples)
    return Talk(np.concatenate(parts), rate_hz, tuple(starts))


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    """The library, and its sample rate. It is never closed: opened again, it hangs."""
    library = ctypes.CDLL("libespeak-ng.so.1")
    return library, library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, None, 0)


def _spoken(text: str, voice: str, speed: int) -> tuple[Samples, int, list[tuple[str, int]]]:
    library, rate_hz = _library()
    parts: list[Samples] = []
    words: list[tuple[str, int]] = []

    def take(samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if count:
            parts.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / np.float32(32768))
        place = 0
        while (event := events[place]).type != _END:
            if event.type == _WORD:
                words.append((text[event.text_at - 1 :][: event.letters], event.sample))
            place += 1
        return 0

    callback = ctypes.CFUNCTYPE(*_CALLED, ctypes.POINTER(_Event))(take)
    library.espeak_SetSynthCallback(callback)
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, f"espeak-ng has no voice {voice}"
    library.espeak_SetParameter(_RATE, speed, 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return np.concatenate(parts), rate_hz, words
