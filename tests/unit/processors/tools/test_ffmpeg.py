"""How ffmpeg is called, and how its progress is read."""

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from processors.tools.ffmpeg import Progress, ffmpeg_argv, ffprobe_argv, input_options

_REPORT = (
    b"frame=10\nout_time_us=N/A\nout_time_us=-5\nout_time_us=1000000\nprogress=continue\n"
    b"out_time_us=4000000\nout_time_us=3000000\nprogress=end\n"
)


def test_ffmpeg_reads_no_terminal_and_tells_its_progress() -> None:
    argv = ffmpeg_argv(["-i", "x"], 2)
    assert argv[:4] == ("ffmpeg", "-nostdin", "-hide_banner", "-y")
    assert argv[argv.index("-progress") + 1] == "pipe:1"
    assert argv[-2:] == ("-i", "x")


def test_ffprobe_opens_local_files_with_the_sniffed_demuxer_only() -> None:
    argv = " ".join(ffprobe_argv(Path("/store/-x"), input_options("mov"), "-show_format"))
    assert "-f mov -protocol_whitelist file -format_whitelist mov" in argv
    assert argv.endswith("-show_format file:/store/-x")


@given(st.lists(st.integers(0, len(_REPORT)), max_size=8))
def test_progress_never_falls_however_the_output_is_cut(cuts: list[int]) -> None:
    told: list[float] = []
    progress = Progress(5.0, told.append)
    places = [0, *sorted(cuts), len(_REPORT)]
    for start, end in itertools.pairwise(places):
        progress.feed(_REPORT[start:end])
    assert told == [0.2, 0.8, 0.8]


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    Progress(0.0, told.append).feed(b"out_time_us=99000000\n")
    assert told == [1.0]
