"""Containers: old ones, streamed ones, unfinished ones, moving pictures, and stills that are no video."""

from tests.inputs.expected import Damage, Input, Plays, Refused, plays_picture, plays_sound
from tests.inputs.kinds import handmade
from tests.inputs.recipes import SECONDS, constant, copied, cut, film, lavfi, patched, sound
from tests.inputs.workshop import AAC, BT709, H264_AAC, H264_TS, X264

#: A name that says nothing: the sentence must.
_UPLOAD = "upload"
_SD = "-vf scale=out_color_matrix=bt601:out_range=tv,format=yuv420p"

_B_FRAMES = f"{BT709} {X264} -bf 2"

#: Name, recipe, and what differs from 320x180 at 25 frames a second.
_FILMS: tuple[tuple[str, str, str, dict[str, object], dict[str, object]], ...] = (
    ("MPEG-2 program stream", "camcorder.mpg", f"{_SD} -c:v mpeg2video -q:v 2 -g 12 -c:a mp2 -f vob", {}, {}),
    ("MPEG-1", "video-cd.mpg", f"{_SD} -c:v mpeg1video -q:v 2 -g 12 -c:a mp2 -f mpeg", {}, {}),
    ("Windows Media", "family.wmv", f"{_SD} -c:v wmv2 -q:v 2 -g 25 -c:a wmav2", {}, {}),
    ("Flash, H.264", "talk.flv", H264_AAC, {}, {}),
    ("Flash, Sorenson", "old.flv", f"{_SD} -c:v flv -q:v 2 -g 25 -c:a libmp3lame -ar 44100", {}, {}),
    ("DV", "tape.dv", "-target pal-dv", {"size": (720, 576)}, {"size": (768, 576), "fps": (25.0, 50.0)}),
    # AVI does not write down an encoder's delay: the beep is 17 ms early in the file itself.
    ("AVI, MPEG-4 and MP3", "film.avi", f"{_SD} -c:v mpeg4 -q:v 2 -g 25 -c:a libmp3lame", {}, {"sync_s": 0.03}),
    ("AVI, motion JPEG and PCM", "camera.avi", f"{_SD} -c:v mjpeg -q:v 2 -c:a pcm_s16le", {}, {}),
    (
        "3GP",
        "phone.3gp",
        f"{_SD} -c:v h263 -q:v 2 -g 25 -c:a aac -ar 16000 -ac 1",
        {"size": (176, 144)},
        {"size": (192, 144)},  # its pixels are 12:11
    ),
    ("Ogg, Theora and Vorbis", "film.ogv", f"{_SD} -c:v libtheora -q:v 8 -g 25 -c:a libvorbis", {}, {}),
    ("Matroska", "film.mkv", f"{BT709} {X264} -c:a flac", {}, {}),
    (
        "WebM, VP9 and Opus",
        "film.webm",
        f"{BT709} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -g 25 -c:a libopus",
        {},
        {"sync_s": 0.02},  # 7 ms are lost by its clock of milliseconds
    ),
    (
        "QuickTime, ProRes",
        "camera.mov",
        f"{BT709.replace('yuv420p', 'yuv422p10le')} -c:v prores_ks -profile:v 0 -c:a pcm_s24le",
        {},
        {},
    ),
    ("MP4, index first", "film.mp4", f"{H264_AAC} -movflags +faststart", {}, {}),
    # Report: WebAV-Tech/WebAV#15
    ("MP4 in fragments", "film.mp4", f"{H264_AAC} -movflags frag_keyframe+empty_moov+default_base_moof", {}, {}),
    # Report: gpac/mp4box.js#504
    ("MP4 in fragments with an index", "film.mp4", f"{H264_AAC} -movflags dash+frag_keyframe+global_sidx", {}, {}),
    # Report: gpac/gpac#2135, mbunkus/mkvtoolnix#1889
    ("MP4 in fragments, B-frames", "film.mp4", f"{_B_FRAMES} {AAC} -movflags frag_keyframe+delay_moov", {}, {}),
    # Report: UltraStar-Deluxe/USDX#160. AVI has no times of presentation.
    ("AVI, H.264 with B-frames", "karaoke.avi", f"{_B_FRAMES} -c:a libmp3lame", {}, {"sync_s": 0.045}),
    # Report: OpenELEC/OpenELEC.tv#928
    (
        "AVI, MP3 of uneven bit rate",
        "show.avi",
        f"{_SD} -c:v mpeg4 -q:v 2 -g 25 -c:a libmp3lame -q:a 4",
        {"seconds": 15.0, "flashes_s": (1.0, 7.0, 14.0)},
        {"seconds": 15.0, "sync_s": 0.03},
    ),
    # Report: plumi/plumi.app#1082
    (
        "Windows Media, uneven rate",
        "camera.wmv",
        f"{_SD} -c:v wmv2 -q:v 2 -g 25 -c:a wmav2",
        {"keeps": lambda number: number % 7 != 3},
        {"fps": (), "frame_s": 0.08, "sync_s": 0.025},
    ),
    # Report: Chocobozzz/PeerTube#4899
    ("M2TS", "camcorder.m2ts", f"{H264_TS} -mpegts_m2ts_mode 1", {}, {}),
    (
        "HEVC",
        "phone.mov",
        f"{BT709} -c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25 {AAC}",
        {},
        {},
    ),
)

#: Name, recipe, options of the expectation: sound alone.
_SOUNDS: tuple[tuple[str, str, str, dict[str, object]], ...] = (
    ("AIFF", "memo.aiff", "", {}),
    ("Core Audio", "memo.caf", "-c:a pcm_s16le", {}),
    ("Core Audio, ALAC", "memo.caf", "-c:a alac", {}),
    ("Windows Media Audio", "song.wma", "-c:a wmav2", {}),
    ("MP3", "song.mp3", "-c:a libmp3lame", {}),
    # Report: Chocobozzz/PeerTube#2444
    ("FLAC", "song.flac", "", {}),
    ("Ogg, Opus", "voice.ogg", "-c:a libopus", {}),
    ("M4A", "memo.m4a", "-c:a aac", {}),
    # Report: Chocobozzz/PeerTube#4928
    ("ADTS", "stream.aac", "-c:a aac", {}),
    ("AC-3", "sound.ac3", "-c:a ac3", {"or_refused_as": (r"AC-?3",)}),
    ("Wave64", "long.w64", "", {"or_refused_as": (r"wave ?64|w64",)}),
    ("RF64", "long.wav", "-rf64 always", {}),
    ("Sun AU", "old.au", "", {"or_refused_as": (r"\bAU\b",)}),
)

#: A sentence for whoever uploads a photo.
_PICTURE = r"picture|image|photo"


def _film(name: str, file: str, encoded: str, options: dict[str, object], expected: dict[str, object]) -> Input:
    expects = Plays(**{"seconds": 3.0, **expected})  # type: ignore[arg-type] # a row of the table above
    return Input(name=f"containers/{name}", make=film(file, encoded, **options), expected=expects)


def _sound(name: str, file: str, encoded: str, expected: dict[str, object]) -> Input:
    expects = plays_sound(SECONDS, **{"duration_slack_s": 0.15, **expected})
    return Input(name=f"containers/{name}", make=sound(file, encoded), expected=expects, filename=_UPLOAD)


def _still(name: str, file: str, encoded: str, says: str) -> Input:
    return Input(
        name=f"containers/still {name}",
        make=lavfi(file, f"-f lavfi -i testsrc2=s=320x180 -frames:v 1 {encoded}"),
        expected=Refused(code="unsupported-media", patterns=(_PICTURE, says)),
        filename=_UPLOAD,
    )


_no_index = copied("recording.mp4", "-i {0} -c copy", film("film.mp4"))

#: Of three seconds.
_CUT_OFF = Plays(seconds=1.8, duration_slack_s=0.4, warnings=(Damage("media-truncated", 1.4, 3.1, 0.8),))

INPUTS = (
    *(_film(*row) for row in _FILMS),
    *(_sound(*row) for row in _SOUNDS),
    Input(
        name="containers/AMR",
        make=constant("memo.amr", handmade.amr(SECONDS)),
        expected=plays_sound(SECONDS, has_pitch=False),
    ),
    # Report: anthwlock/untrunc#41
    Input(
        name="containers/MP4 whose recorder lost its power",
        make=patched("lost.mp4", lambda contents: handmade.never_finished(contents[0]), _no_index),
        expected=Refused(code="corrupt-media", patterns=(r"moov|index|table of contents|not finished",)),
    ),
    Input(
        name="containers/MP4 cut off before its index",
        make=cut("cut.mp4", 0.6, _no_index),
        expected=Refused(code="corrupt-media", patterns=(r"cut off",)),
    ),
    Input(
        name="containers/MP4 cut off behind its index",
        make=cut("cut.mp4", 0.6, film("film.mp4", f"{H264_AAC} -movflags +faststart")),
        expected=_CUT_OFF,
    ),
    # Report: sannies/mp4parser#317
    Input(
        name="containers/transport stream cut off",
        make=cut("cut.ts", 0.6, film("film.ts", H264_TS, seconds=5.0, flashes_s=(1.0,))),
        expected=Plays(seconds=3.0, duration_slack_s=0.8),
    ),
    Input(
        name="containers/Matroska cut off",
        make=cut("cut.mkv", 0.6, film("film.mkv")),
        expected=_CUT_OFF,
    ),
    # Report: muaz-khan/RecordRTC#147
    Input(
        name="containers/Matroska whose recorder lost its power",
        make=cut("lost.mkv", 0.6, film("film.mkv", f"{H264_AAC} -live 1", seconds=5.0, flashes_s=(1.0,))),
        expected=Plays(seconds=3.0, duration_slack_s=0.8),
    ),
    # Report: transmute-app/transmute#203
    Input(
        name="containers/animated GIF",
        make=film("moving.gif", "", fps="10", size=(321, 181), sound_s=0.0),
        expected=plays_picture(3.0, fps=(10.0, 20.0), frame_s=0.1, size=(320, 180)),
    ),
    # Report: axiomatic-systems/Bento4#375
    Input(
        name="containers/MP4 in fragments, picture alone",
        make=film("film.mp4", f"{_B_FRAMES} -movflags frag_keyframe+delay_moov", sound_s=0.0),
        expected=plays_picture(3.0),
    ),
    # Report: Stickerifier/Stickerify#273, arthenica/ffmpeg-kit#343. ffmpeg before 8 does not decode it.
    Input(
        name="containers/animated WebP",
        make=film("moving.webp", "-c:v libwebp_anim -lossless 1 -loop 0", fps="10", sound_s=0.0),
        expected=plays_picture(3.0, fps=(10.0, 20.0), frame_s=0.1, or_refused_as=(r"animat", r"webp")),
        filename=_UPLOAD,
    ),
    Input(
        name="containers/animated PNG",
        make=film("moving.png", "-f apng -plays 0", fps="10", sound_s=0.0),
        expected=plays_picture(3.0, fps=(10.0, 20.0), frame_s=0.1),
    ),
    # Report: immich-app/immich#1235
    Input(
        name="containers/still HEIC",
        make=constant("photo.heic", handmade.heif(b"heic")),
        expected=Refused(code="unsupported-media", patterns=(_PICTURE, r"HEIC|HEIF")),
        filename=_UPLOAD,
    ),
    Input(
        name="containers/still AVIF",
        make=constant("photo.avif", handmade.heif(b"avif")),
        expected=Refused(code="unsupported-media", patterns=(_PICTURE, r"AVIF")),
        filename=_UPLOAD,
    ),
    _still("JPEG", "photo.jpg", "", r"JPE?G"),
    _still("PNG", "screen.png", "", r"PNG"),
    _still("WebP", "photo.webp", "", r"WebP"),
    _still("GIF", "button.gif", "", r"GIF"),
    _still("TIFF", "scan.tiff", "", r"TIFF"),
    _still("BMP", "paint.bmp", "", r"BMP|bitmap"),
    Input(
        name="containers/text",
        make=constant("notes.mp4", b"Meeting notes\nNothing to see.\n" * 40),
        expected=Refused(code="unsupported-media", patterns=(r"text",)),
        filename=_UPLOAD,
    ),
    Input(
        name="containers/PDF",
        make=constant("slides.pdf", handmade.PDF),
        expected=Refused(code="unsupported-media", patterns=(r"PDF|document",)),
        filename=_UPLOAD,
    ),
    Input(
        name="containers/archive",
        make=constant("holiday.zip", handmade.archive()),
        expected=Refused(code="unsupported-media", patterns=(r"archive|ZIP",)),
        filename=_UPLOAD,
    ),
)
