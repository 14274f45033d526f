"""A part of the corpus, the cheapest and most telling of each kind: `make inputs` runs all of it."""

from pathlib import Path

import pytest

from processors.tools.sandbox import detect
from tests.inputs.corpus import INPUTS, failing
from tests.inputs.run import Result, run

_PART = frozenset(
    {
        "rates/25 fps",
        "rates/60 fps",
        "times/trimmed, the only keyframe lies before",
        "times/starts at 14 hours",
        "geometry/matrix quarter turn",
        "geometry/matrix mirrored",
        "geometry/odd width and height",
        "geometry/16x16 pixels",
        "colours/BT.709, small",
        "colours/RGB, lossless",
        "colours/HLG",
        "changes/channels, mono to stereo",
        "changes/size shrinks in a browser's call",
        "containers/MP4 in fragments",
        "containers/MPEG-2 program stream",
        "containers/MP4 whose recorder lost its power",
        "containers/animated GIF",
        "containers/still HEIC",
        "containers/still JPEG",
        "containers/AIFF",
        "containers/text",
        "damage/MP4, bytes overwritten",
        "damage/MP4, all of the picture",
        "damage/broadcast, packets lost",
        "damage/MP4 cut off, index in front",
        "damage/M4A, its end overwritten",
        "tracks/ten channels",
        "tracks/subtitles alone",
        "tracks/subtitles, timed text in mp4",
        "sounds/full-scale tone",
        "sounds/opposite phase",
        "sounds/50 ms",
        "sounds/silence",
        "captions/offered with a film",
        "names/newline",
        "names/newline in the name of a text",
        "reports/ADTS behind two tags",
        "reports/MXF of a broadcast camera",
        "reports/RealMedia",
        "reports/WAV without a length",
        "reports/cropped by its stream",
        "reports/phone's spatial sound beside stereo",
        "reports/radio recording of several Ogg streams",
    }
)


@pytest.mark.timeout(600)  # a minute of work, by tools that give way to everything else on the machine
async def test_exactly_the_inputs_fail_that_are_known_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    items = [item for item in INPUTS if item.name in _PART]
    assert {item.name for item in items} == _PART
    results = [result async for result in run(tmp_path, await detect(), items)]
    wrong = {result.item.name: _reasons(result) for result in results if not result.passed}
    known = failing() & _PART
    assert {name: wrong[name] for name in wrong.keys() - known} == {}, "these fail and are not in failing.txt"
    assert known - wrong.keys() == set(), "these pass now: remove their lines from failing.txt"


def _reasons(result: Result) -> list[str]:
    return [f"{finding.what}: {finding.measured}" for finding in result.findings if not finding.holds]
