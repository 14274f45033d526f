"""Files that other tools failed on, as their users reported: codecs in unusual containers, music archives, odd tags."""

from typing import Any

from tests.inputs.expected import Damage, Input, Plays, plays_picture, plays_sound
from tests.inputs.kinds import handmade
from tests.inputs.recipes import SECONDS, copied, film, joined, patched, sound
from tests.inputs.workshop import BT709, H264_AAC, X264

_VP9 = f"{BT709} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -g 25"
_FAST_AV1 = f"{BT709} -c:v libsvtav1 -preset 12 -crf 20 -g 25"
_UPLOAD = "upload"
_VBR = "-c:a libmp3lame -q:a 4 -write_xing 0 -id3v2_version 0"


def _film(name: str, file: str, encoded: str, options: dict[str, Any] | None = None, **expected: Any) -> Input:
    expects = Plays(**{"seconds": 3.0, **expected})
    return Input(name=f"reports/{name}", make=film(file, encoded, **options or {}), expected=expects, filename=_UPLOAD)


def _sound(name: str, file: str, encoded: str, seconds: float = SECONDS, **expected: Any) -> Input:
    expects = plays_sound(seconds, **{"duration_slack_s": 0.15, **expected})
    made = sound(file, encoded, seconds=seconds)
    return Input(name=f"reports/{name}", make=made, expected=expects, filename=_UPLOAD)


def _id3(frame: bytes) -> bytes:
    """A tag with one private frame. Source: id3.org, ID3v2.4.0, sections 3.1 and 4.27."""
    frame = b"PRIV" + len(frame).to_bytes(4, "big") + bytes(2) + frame
    return b"ID3\x04\x00\x00" + bytes((0, 0, len(frame) >> 7, len(frame) & 0x7F)) + frame


INPUTS = (
    # Report: immich-app/immich#31170, immich-app/immich#30511. The spatial track is default, and has more channels.
    Input(
        name="reports/phone's spatial sound beside stereo",
        make=patched(
            "spatial.mov",
            lambda contents: handmade.renamed_codec(contents[0], b"sowt", b"apac"),
            copied(
                "two.mov",
                "-i {0} -f lavfi -i anoisesrc=d=3:r=48000 -filter_complex '[1]pan=4.0|c0=c0|c1=c0|c2=c0|c3=c0[b]' "
                "-map 0 -map [b] -c copy -c:a:1 pcm_s16le -disposition:a default",
                film("plain.mp4"),
            ),
        ),
        expected=Plays(seconds=3.0),
    ),
    # Report: immich-app/immich#8603
    _film("big-endian PCM in QuickTime", "camera.mov", f"{BT709} {X264} -c:a pcm_s16be"),
    # Report: kaltura/nginx-vod-module#581
    _film("Opus in MP4", "film.mp4", f"{BT709} {X264} -c:a libopus"),
    # Report: gpac/gpac#1133
    _film("FLAC in MP4", "film.mp4", f"{BT709} {X264} -c:a flac -strict -2"),
    # Report: ruby-av/paperclip-av-transcoder#22. MP4 does not write down the encoder's delay of 23 ms.
    _film("MP3 in MP4", "film.mp4", f"{BT709} {X264} -c:a libmp3lame", sync_s=0.03),
    # Report: e621ng/e621ng#987
    _film("AV1 and Opus in MP4", "film.mp4", f"{_FAST_AV1} -c:a libopus"),
    # Report: jeanslack/Videomass#137
    _film("VP9 and Opus in MP4", "film.mp4", f"{_VP9} -c:a libopus -strict -2"),
    # Report: jellyfin/jellyfin#15144: the stream is larger than the picture that is shown of it.
    Input(
        name="reports/cropped by its stream",
        make=copied(
            "cropped.mp4", "-i {0} -c copy -bsf:v h264_metadata=crop_right=32:crop_bottom=20", film("plain.mp4")
        ),
        expected=Plays(seconds=3.0, size=(288, 172), has_card=False, sync_s=None),
    ),
    # Report: immich-app/immich#31715
    Input(
        name="reports/reserved numbers for its colours",
        make=copied(
            "reserved.mp4",
            "-i {0} -c copy -bsf:v h264_metadata=colour_primaries=3:transfer_characteristics=3:matrix_coefficients=3",
            film("plain.mp4"),
        ),
        expected=Plays(seconds=3.0),
    ),
    # Report: HandBrake/HandBrake#1646
    _film(
        "MXF of a broadcast camera",
        "camera.mxf",
        f"{BT709} -c:v mpeg2video -q:v 2 -g 12 -ar 48000 -c:a pcm_s16le",
        {"size": (640, 360)},
        size=(640, 360),
    ),
    # Report: paulpacifico/shutter-encoder#295
    _film(
        "MXF, DNxHR",
        "edit.mxf",
        f"{BT709.replace('yuv420p', 'yuv422p')} -c:v dnxhd -profile:v dnxhr_lb -ar 48000 -c:a pcm_s16le",
        {"size": (640, 360)},
        size=(640, 360),
    ),
    # Report: PatrickSt1991/vlc-tizen-tv#36
    Input(
        name="reports/RealMedia",
        make=film("old.rm", f"{BT709} -c:v rv10 -q:v 2 -g 25 -c:a ac3 -ar 44100", size=(352, 288), seconds=3.0),
        expected=Plays(seconds=3.0, size=(352, 288), duration_slack_s=0.2, sync_s=0.05),
        filename=_UPLOAD,
    ),
    # Report: raspberrypi/rpicam-apps#623
    Input(
        name="reports/bare H.264 of a small computer's camera",
        make=film("camera.h264", f"{BT709} {X264} -an", sound_s=0.0),
        expected=plays_picture(3.0, or_refused_as=(r"H\.264", r"container")),
        filename=_UPLOAD,
    ),
    # Report: SubtitleEdit/subtitleedit#10964, google/ExoPlayer#4071: half of it is silence, at another bit rate.
    Input(
        name="reports/MP3 of uneven bit rate without a header",
        make=sound("book.mp3", f"-af \"volume=0:enable='lt(t,6)'\" {_VBR}", seconds=12.0),
        expected=plays_sound(12.0, duration_slack_s=0.15, has_pitch=False),
    ),
    # Report: JamesHeinrich/getID3#104
    Input(
        name="reports/ADTS behind two tags",
        make=patched(
            "segment.aac",
            lambda contents: _id3(b"com.apple.streaming.transportStreamTimestamp\0" + bytes(8)) + contents[0],
            patched(
                "tagged.aac", lambda contents: _id3(b"title\0\0") + contents[0], sound("plain.aac", "-c:a aac -f adts")
            ),
        ),
        expected=plays_sound(SECONDS, duration_slack_s=0.15),
        filename=_UPLOAD,
    ),
    # Report: AlbrechtL/rtl_fm_streamer#1: what is written to a pipe does not know its length.
    Input(
        name="reports/WAV without a length",
        make=patched(
            "radio.wav",
            lambda contents: handmade.endless_wav(contents[0]),
            sound("plain.wav", "-flags +bitexact -fflags +bitexact"),
        ),
        expected=plays_sound(SECONDS, duration_slack_s=0.15),
    ),
    # Report: zaps166/QMPlay2#94, mp3splt/mp3splt#170
    Input(
        name="reports/radio recording of several Ogg streams",
        make=joined(
            "radio.ogg",
            sound("first.ogg", "-c:a libvorbis -serial_offset 1", seconds=4.0),
            sound("second.ogg", "-c:a libvorbis -serial_offset 2", seconds=4.0),
        ),
        expected=plays_sound(
            8.0, duration_slack_s=0.2, has_pitch=False, warnings=(Damage("timestamps-jump", 3.9, 4.2),)
        ),
    ),
    # Report: katspaugh/wavesurfer.js#380
    _sound("voice mail, GSM in WAV", "mail.wav", "-ar 8000 -ac 1 -c:a libgsm_ms", has_pitch=False),
    # Report: 2600hz/kazoo#6725
    _sound("voice mail, ADPCM in WAV", "mail.wav", "-ar 16000 -ac 1 -c:a adpcm_ima_wav"),
    # Report: UniversalMediaServer/UniversalMediaServer#535
    _sound("True Audio", "song.tta", "-c:a tta"),
    _sound("WavPack", "song.wv", "-c:a wavpack"),
    _sound("MPEG audio, layer II", "radio.mp2", "-c:a mp2"),
    # Report: photoprism/photoprism#3242
    Input(
        name="reports/second picture of a phone",
        make=copied(
            "phone.mp4",
            "-i {0} -f lavfi -i color=red:s=160x90:r=25:d=3 -map 0:v -map 1:v -map 0:a -c copy -c:v:1 libx265 "
            "-x265-params:v:1 log-level=error -disposition:v:0 default -disposition:v:1 0",
            film("plain.mp4", H264_AAC),
        ),
        expected=Plays(seconds=3.0),
    ),
    # Report: jhj0517/Whisper-WebUI#287, chidiwilliams/buzz#1339: each text ends when the next one begins.
    Input(
        name="reports/captions that last until the next one",
        make=sound("talk.wav", seconds=30.0),
        expected=plays_sound(30.0, cues=True),
        transcribes=True,
        endpoint=(
            (0.0, 12.5, "I can't solve the problem at this rate."),
            (12.5, 22.8, "What should I do?"),
            (22.8, 29.5, "I'll take my time and look at it."),
        ),
    ),
)
