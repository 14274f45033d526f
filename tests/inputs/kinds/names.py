"""Names: whatever people call a file, it is the same file."""

from tests.inputs.expected import Input, Make, Refused, plays_picture
from tests.inputs.recipes import constant, film

_film: Make = film("film.mp4", seconds=1.0, sound_s=0.0, flashes_s=())
_plays = plays_picture(1.0)
_LONGEST_BYTES = 255

_NAMES = {
    "unicode": "Überraschung für Zoë – 夏休み.mp4",
    # Report: justdan96/tsMuxer#312
    "emoji": "🎉 party 👨‍👩‍👧‍👦 🇨🇭.mp4",
    "from right to left": "\u202eסרטון משפחתי 2024\u202c.mp4",
    "255 bytes": "é" * ((_LONGEST_BYTES - 5) // 2) + "x.mp4",
    # Report: kkroening/ffmpeg-python#406, Zulko/moviepy#2163
    "leading dash": "-i --help.mp4",
    "quotes": 'it\'s "quoted" `now` $(id).mp4',
    "newline": "first line\nsecond line.mp4",
    "no suffix": "film",
    "wrong suffix": "film.mp3",
    "suffix of a still": "film.jpg",
    "percent and numbers": "film %03d 100%.mp4",
    # Report: cbusillo/BD_to_AVP#1
    "colon": "concat:a|b:c.mp4",
    "backslash": "C:\\Videos\\film.mp4",
    "spaces at the ends": " film .mp4 ",
    "dots only": "....mp4",
}


def _named(name: str, filename: str) -> Input:
    return Input(name=f"names/{name}", make=_film, expected=_plays, filename=filename)


INPUTS = (
    *(_named(name, filename) for name, filename in _NAMES.items()),
    Input(
        name="names/newline in the name of a text",
        make=constant("notes.txt", b"Nothing to see here.\n" * 50),
        expected=Refused(code="unsupported-media", patterns=(r"text",)),
        filename="first\nsecond\x07.mp4",
    ),
)
