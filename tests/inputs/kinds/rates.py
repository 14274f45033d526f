"""Frame rates: steady ones, fast ones, and those that no clock gives."""

from fractions import Fraction

from tests.inputs.expected import Input, Plays
from tests.inputs.recipes import copied, film
from tests.inputs.workshop import AAC, BT709, H264_AAC, X264


def _steady(fps: str) -> Input:
    """Shown as it is."""
    rate = float(Fraction(fps))
    return Input(
        name=f"rates/{fps} fps", make=film(fps=fps), expected=Plays(seconds=3.0, fps=(rate,), frame_s=1 / rate)
    )


def _uneven(number: int) -> bool:
    """A screen recording: nothing while nothing moves, then all of 60 frames a second."""
    second, within = divmod(number, 60)
    return within % 60 == 0 if second in (0, 3) else within % 3 != 1 if second == 1 else True


def _phone(number: int) -> bool:
    """A phone in the dark: 30 frames a second, now and then one is missing."""
    return number % 30 == 0 or (number % 7 != 3 and number % 11 != 5)


def _late_guest(number: int) -> bool:
    """A call's recording of a guest who came later: the first frame stands until then."""
    return number == 0 or number >= 50


_LOSSLESS = f"{BT709} -c:v libx264 -preset ultrafast -qp 0 -c:a flac"
#: Frames up to 15 ms off their times, as a phone's live encoder stamps them.
_JITTER = BT709.replace("-vf ", "-fps_mode vfr -vf setpts='PTS+0.015*sin(N*2.3)/TB',")

INPUTS = (
    # Report: mpv-player/mpv#14615
    Input(
        name="rates/one picture in three seconds",
        make=film(fps="1/3", seconds=9.0, flashes_s=(3.0,)),
        expected=Plays(seconds=9.0, fps=(), frame_s=3.0),
    ),
    Input(
        name="rates/1 fps",
        make=film(fps="1", seconds=6.0, flashes_s=(2.0, 4.0)),
        expected=Plays(seconds=6.0, fps=(), frame_s=1.0),
    ),
    _steady("10"),
    _steady("24000/1001"),
    _steady("24"),
    _steady("25"),
    _steady("30000/1001"),
    _steady("48"),
    _steady("50"),
    _steady("60000/1001"),
    _steady("60"),
    Input(name="rates/120 fps", make=film(fps="120"), expected=Plays(seconds=3.0, fps=(60.0,))),
    # 48 or 60 is nearer than a quarter of it.
    Input(name="rates/144 fps", make=film(fps="144"), expected=Plays(seconds=3.0, fps=(48.0, 60.0), sync_s=0.015)),
    # Report: jliljebl/flowblade#274
    Input(name="rates/240 fps", make=film(fps="240"), expected=Plays(seconds=3.0, fps=(60.0,))),
    # Report: WyattBlue/auto-editor#152
    Input(
        name="rates/screen recording of uneven rate",
        make=film("screen.mkv", fps="60", seconds=5.0, keeps=_uneven),
        expected=Plays(seconds=5.0, fps=(), frame_s=1.0, sync_s=0.025),
    ),
    # Report: mltframework/shotcut#424
    Input(
        name="rates/phone in the dark",
        make=film("phone.mp4", f"{BT709} {X264} -video_track_timescale 90000 {AAC}", fps="30", keeps=_phone),
        expected=Plays(seconds=3.0, fps=(), frame_s=0.1, sync_s=0.025),
    ),
    Input(
        name="rates/60 fps without sound",
        make=film(fps="60", sound_s=0.0),
        expected=Plays(seconds=3.0, fps=(60.0,), sound=None, skipped={"audio": "no-audio-track"}),
    ),
    # Report: video-dev/hls.js#102
    Input(
        name="rates/60 fps in Matroska",
        make=film("film.mkv", H264_AAC, fps="60"),
        expected=Plays(seconds=3.0, fps=(60.0,)),
    ),
    # Report: nschlia/ffmpegfs#174, nixxquality/WebMConverter#117
    Input(
        name="rates/24000/1001 fps on a clock of milliseconds",
        make=film("film.mkv", fps="24000/1001"),
        expected=Plays(seconds=3.0, fps=(24000 / 1001,), frame_s=0.042),
    ),
    # Report: immich-app/immich#31301
    Input(
        name="rates/59.33 fps on a clock of 1/600 s",
        make=film("phone.mov", f"{BT709} {X264} -video_track_timescale 600 {AAC}", fps="178/3"),
        expected=Plays(seconds=3.0, fps=(), frame_s=0.017),
    ),
    # Report: ennuicastr/ennuicastr#26
    Input(
        name="rates/first picture of two seconds",
        make=film("guest.mkv", seconds=5.0, keeps=_late_guest, flashes_s=(3.0, 4.0)),
        expected=Plays(seconds=5.0, frame_s=2.0),
    ),
    # Report: mirsadm/motioncam#119
    Input(
        name="rates/30 fps that settle at 24",
        make=copied(
            "settling.mkv",
            "-i {0} -i {1} -filter_complex '[0:v][0:a][1:v][1:a]concat=v=1:a=1[v][a]' -map [v] -map [a] -fps_mode vfr "
            f"{X264} {BT709.partition('yuv420p')[2]} -c:a flac",
            film("first.mkv", _LOSSLESS, fps="30", seconds=2.0, flashes_s=(1.0,)),
            film("rest.mkv", _LOSSLESS, fps="24", seconds=3.0, clock_s=2.0, flashes_s=(1.5,)),
        ),
        expected=Plays(seconds=5.0, fps=(), frame_s=0.042, sync_s=0.025),
    ),
    # Report: pedroSG94/RootEncoder#2044
    Input(
        name="rates/times that jitter",
        make=film("live.mp4", f"{_JITTER} {X264} -video_track_timescale 90000 {AAC}"),
        expected=Plays(seconds=3.0, fps=(), frame_s=0.06, sync_s=0.04),
    ),
)
