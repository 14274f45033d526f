"""Captions of what an endpoint recognised, without times of words: scripts without spaces, long words, long talk.

The sound is a tone that nobody listens to; the text is the endpoint's.
"""

from tests.inputs.expected import Input, Plays, plays_sound
from tests.inputs.recipes import film, sound

_JAPANESE = (
    "今日は天気がとても良いので、みんなで海へ行って、砂浜で長い間話をしました。"
    "それから、駅の近くの店で昼ご飯を食べました。"
)
_CHINESE = (
    "今天的天气非常好，所以我们大家一起去了海边，在沙滩上聊了很久。然后，我们在车站附近的小店里吃了午饭，味道很不错。"
)
_THAI = "วันนี้อากาศดีมากเราจึงไปทะเลด้วยกันและนั่งคุยกันบนชายหาดเป็นเวลานานหลังจากนั้นเราไปกินข้าวกลางวันที่ร้านใกล้สถานี"
_LONG_WORD = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"
_GERMAN = f"Das sogenannte {_LONG_WORD} wurde vor einigen Jahren in der Stadt beschlossen und dann wieder aufgehoben."
_TALK = (
    "Well, the first thing that I would like to say about the new building is that nobody asked the people who live "
    "next to it, and the second thing is that it is far too high for a street of that width, as anybody can see."
)


def _captions(name: str, *chunks: tuple[float, float, str]) -> Input:
    seconds = max(end_s for _, end_s, _ in chunks) + 1.0
    return Input(
        name=f"captions/{name}",
        make=sound("talk.wav", seconds=seconds),
        expected=plays_sound(seconds, cues=True),
        transcribes=True,
        endpoint=chunks,
    )


INPUTS = (
    _captions("Japanese", (0.0, 14.0, _JAPANESE)),
    _captions("Chinese", (0.0, 14.0, _CHINESE)),
    _captions("Thai", (0.0, 14.0, _THAI)),
    _captions("a word of 63 letters", (0.0, 9.0, _GERMAN)),
    _captions("one long sentence", (0.0, 16.0, _TALK)),
    _captions("one word for half a minute", (0.0, 30.0, "Yes.")),
    _captions("words of a moment", (1.0, 1.05, "Yes."), (1.05, 1.1, "No."), (9.0, 9.01, "Perhaps.")),
    _captions("quick talk", (0.0, 11.5, _TALK)),
    # Report: GeiserX/whisper-subs#151
    _captions("a minute without punctuation", (0.0, 60.0, " ".join([_TALK.replace(",", "").rstrip(".")] * 4))),
    # Report: Purfview/whisper-standalone-win#377
    _captions("ten seconds in one piece", (2.0, 12.3, _TALK[:163])),
    # Report: ggml-org/whisper.cpp#2837
    _captions("many short words", *((at * 0.4, at * 0.4 + 0.2, f"No{'!' if at % 3 else '.'}") for at in range(30))),
    # Report: iv-org/invidious#100
    _captions("pieces that overlap", (1.0, 8.5, _TALK[:80]), (5.3, 11.0, _TALK[80:190])),
    # Report: m-bain/whisperX#1315
    _captions(
        "a piece that begins before the last one",
        (6.0, 8.0, "It was the first of them."),
        (4.2, 9.0, "That is how it began."),
    ),
    Input(
        name="captions/offered with a film",
        make=film("film.mp4", seconds=6.0),
        expected=Plays(seconds=6.0, cues=True),
        transcribes=True,
        endpoint=((0.5, 3.0, "Hello and welcome."), (3.2, 5.5, "Let us begin at once.")),
    ),
)
