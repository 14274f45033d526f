"""Speech: recognised by the small English model that tests have, or honestly not."""

from functools import partial
from pathlib import Path
from typing import Any

from tests.inputs.expected import Input, Make, Speech, plays_sound
from tests.inputs.recipes import copied, lavfi, speech
from tests.inputs.voice import talk
from tests.inputs.workshop import Workshop

_FOX = "The quick brown fox jumps over the lazy dog. Then it went home and slept until the morning came."
_WEATHER = "Good evening. Tomorrow will be cloudy in the north, with some rain in the afternoon."
_GERMAN = "Guten Abend. Heute sprechen wir über das Wetter, über die Eisenbahn und über alte Häuser in der Stadt."
_FRENCH = "Bonjour. Aujourd'hui nous parlons du temps, des trains et des vieilles maisons de la ville."
_REPEATED = "No. No. No. No, I do not want to go there. No. No. No."
_NOISE = "-f lavfi -i anoisesrc=c=pink:a=0.02"


def _spoken(name: str, make: Make, text: str, **more: Any) -> Input:
    """Recognised: `more` are fields of Speech; of the expectation, those that stand in it."""
    whole = {key: more.pop(key) for key in ("cues", "seconds") if key in more}
    expected = plays_sound(
        whole.pop("seconds", 7.0),
        has_pitch=False,
        loudness=False,
        duration_slack_s=3.0,
        speech=Speech(text=text, **more),
        **whole,
    )
    return Input(name=f"speech/{name}", make=make, expected=expected, transcribes=True)


def _not_english(name: str, make: Make) -> Input:
    """An English model has nothing to say about it."""
    skipped = {"transcribe": "language-not-supported"}
    expected = plays_sound(7.0, has_pitch=False, loudness=False, duration_slack_s=3.0, skipped=skipped)
    return Input(name=f"speech/{name}", make=make, expected=expected, transcribes=True)


def _tagged(make: Make, language: str) -> Make:
    return copied("tagged.mka", f"-i {{0}} -c copy -metadata:s:a:0 language={language}", make)


def _following(*parts: Make) -> Make:
    """Parts one after the other."""
    inputs = " ".join(f"-i {{{number}}}" for number in range(len(parts)))
    return copied("parts.wav", f"{inputs} -filter_complex concat=n={len(parts)}:v=0:a=1", *parts)


#: Sentences of which the small model understands nearly every word.
_SENTENCES = (
    _FOX,
    "Good evening. Tomorrow will be cloudy in the north, with some rain in the afternoon. It will be cold at night.",
    "Thank you all for coming here today. We would like to talk about the building, and about the people next to it.",
    "My name is Peter, and I have worked in this garden for twenty years. In the summer we grow tomatoes and beans.",
    "Please open the window. It is very warm in here, and I can not hear what you are saying.",
    "The train to London leaves at seven in the morning. If you miss it, the next one leaves two hours later.",
)
_PAUSES_S = (1.2, 0.4, 3.5, 0.2, 1.5, 0.8)


def _timed(name: str, voice: str, speed: int, seconds: float) -> Input:
    """Words whose starts are known."""
    spoken = partial(talk, _SENTENCES, _PAUSES_S, voice, speed)

    def make(shop: Workshop) -> Path:
        return shop.talk(spoken(), "talk.wav")

    def starts() -> tuple[tuple[str, float], ...]:
        return spoken().starts

    return _spoken(name, make, " ".join(_SENTENCES), error_rate=0.3, seconds=seconds, cues=True, starts=starts)


_silence = lavfi("silence.wav", "-f lavfi -i anullsrc=r=22050:cl=mono -t 20")
_pause = lavfi("pause.wav", "-f lavfi -i anullsrc=r=22050:cl=mono -t 6")

INPUTS = (
    _spoken("plain", speech(_FOX), _FOX, first_s=0.0, cues=True),
    _timed("starts of words", "en-us", 150, 50.0),
    _timed("starts of words, quicker, another voice", "en-us+f3", 170, 46.0),
    # Report: m-bain/whisperX#15, ggml-org/whisper.cpp#330, SYSTRAN/faster-whisper#125
    _spoken("after twenty seconds of silence", _following(_silence, speech(_FOX)), _FOX, first_s=20.0, seconds=27.0),
    _spoken(
        "with long pauses",
        _following(speech(_FOX), _pause, speech(_WEATHER)),
        f"{_FOX} {_WEATHER}",
        seconds=19.0,
        cues=True,
    ),
    # Report: ggml-org/whisper.cpp#1724
    _spoken("repeats itself", speech(_REPEATED), _REPEATED, error_rate=0.35, seconds=6.0),
    _spoken(
        "in noise",
        copied("noisy.wav", f"-i {{0}} {_NOISE} -filter_complex amix=duration=first:normalize=0", speech(_FOX)),
        _FOX,
        error_rate=0.25,
    ),
    _spoken("by telephone", speech(_FOX, "call.wav", "-ar 8000 -c:a pcm_alaw"), _FOX, error_rate=0.45),
    # Report: m-bain/whisperX#750
    _spoken("in opposite phase", speech(_FOX, "opposite.m4a", "-af 'pan=stereo|c0=c0|c1=-1*c0' -c:a aac"), _FOX),
    _spoken("on one side", speech(_FOX, "left.m4a", "-af 'pan=stereo|c0=c0|c1=0*c0' -c:a aac"), _FOX),
    _spoken("quick", speech(_FOX, speed=240), _FOX, error_rate=0.45, seconds=4.5),
    _spoken("very quiet", speech(_FOX, "far.wav", "-af volume=-36dB"), _FOX, error_rate=0.25),
    # Report: linto-ai/whisper-timestamped#74
    Input(
        name="speech/music only",
        make=lavfi(
            "music.wav",
            "-f lavfi -i aevalsrc='0.2*sin(2*PI*t*220*(1+floor(mod(t\\,4))/4))+0.1*sin(2*PI*t*330)':d=11.5:s=44100",
        ),
        expected=plays_sound(11.5, has_pitch=False, loudness=False, skipped={"transcribe": "no-speech"}),
        transcribes=True,
    ),
    _not_english("German, tagged", _tagged(speech(_GERMAN, voice="de"), "deu")),
    _not_english("German, not tagged", speech(_GERMAN, voice="de")),
    _not_english("French, tagged", _tagged(speech(_FRENCH, voice="fr"), "fra")),
    # What is English in it is right; what is not may be left out, never invented.
    _spoken(
        "English, then German",
        _following(speech(_FOX), _pause, speech(_GERMAN, voice="de")),
        _FOX,
        error_rate=0.4,
        seconds=21.0,
    ),
)
