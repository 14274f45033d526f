"""Files that are broken, or made to harm, end with a code and a sentence that a user understands."""

from pathlib import Path

import msgspec
import pytest

from processors.errors import CorruptMedia, EmptyMedia, InvalidMedia, OutputInvalid, UnsupportedMedia
from tests.hostile.boxes import find, patched
from tests.integration.processors.conftest import Bench, Clips

_PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
_ANY = (InvalidMedia, "", "")


@pytest.mark.parametrize(
    "content, refusal",
    [
        (b"", (EmptyMedia, "empty-media", "'film.mp4' is empty")),
        (b"To be or not to be\n" * 100, (UnsupportedMedia, "unsupported-media", "is named .mp4 but holds text")),
        (_PLAYLIST, (UnsupportedMedia, "unsupported-media", "is named .mp4 but holds a playlist")),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + _PLAYLIST * 50, (CorruptMedia, "corrupt-media", "cut off")),
        (b"\x1a\x45\xdf\xa3\x84webm" + _PLAYLIST * 50, (CorruptMedia, "corrupt-media", "damaged")),
        (b"OggS" + _PLAYLIST * 50, _ANY),
        (b"RIFF\x00\x00\x00\x00AVI " + _PLAYLIST * 50, _ANY),
        ((b"\x47" + bytes(187)) * 200, _ANY),
        (b"fLaC\0\0\0\x22" + bytes(2000), _ANY),
    ],
)
async def test_content_decides(
    bench: Bench, tmp_path: Path, content: bytes, refusal: tuple[type[InvalidMedia], str, str]
) -> None:
    kind, code, says = refusal
    (tmp_path / "upload").write_bytes(content)
    with pytest.raises(kind) as caught:
        await bench.probe(tmp_path / "upload", filename="film.mp4")
    record = caught.value.record()
    assert code in record.code
    assert not record.retriable
    assert says in record.message
    assert "root:" not in str(record.detail)


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv", "sound.wav", "sound.flac"])
@pytest.mark.parametrize("share", [0.5, 0.9])
async def test_a_file_that_was_cut_off_is_accepted_up_to_there(
    bench: Bench, clip: Clips, tmp_path: Path, name: str, share: float
) -> None:
    content = clip(name).read_bytes()
    (tmp_path / "upload").write_bytes(content[: int(len(content) * share)])
    whole, found = await bench.probe(clip(name)), await bench.probe(tmp_path / "upload", filename=name)
    assert 0.1 < found.duration_s < whole.duration_s
    assert whole.warnings == () and {warning.code for warning in found.warnings} <= {
        "media-truncated",
        "media-incomplete",
    }
    assert found.warnings or share == 0.9


@pytest.mark.parametrize("name, share", [("plain.mp4", 0.002), ("plain-moov-last.mp4", 0.97)])
async def test_a_file_whose_index_is_cut_off_is_refused(
    bench: Bench, clip: Clips, tmp_path: Path, name: str, share: float
) -> None:
    whole = clip(name).read_bytes()
    (tmp_path / "upload").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CorruptMedia, match="cut off"):
        await bench.probe(tmp_path / "upload", filename=name)


async def test_a_film_with_damage_in_the_middle_is_published_with_its_place(
    bench: Bench, clip: Clips, tmp_path: Path
) -> None:
    whole = bytearray(clip("plain.mp4").read_bytes())
    for at in range(len(whole) // 2, len(whole) * 7 // 10):
        whole[at] = at * 73 % 251
    (tmp_path / "upload").write_bytes(whole)
    outputs, _ = await bench.do("transcode", tmp_path / "upload")
    found = await bench.probe(clip("plain.mp4"))
    assert outputs.duration_s == pytest.approx(found.duration_s)
    damaged = [warning for warning in outputs.warnings if warning.code == "media-damaged"]
    assert damaged and all(0 < one.start_ms <= one.end_ms <= found.duration_s * 1000 for one in damaged)


async def test_a_film_of_which_nothing_can_be_decoded_is_damaged(bench: Bench, clip: Clips, tmp_path: Path) -> None:
    whole = clip("plain.mp4").read_bytes()
    media = find(whole, b"mdat", 0)
    (tmp_path / "upload").write_bytes(whole[: media.body] + bytes(media.end - media.body) + whole[media.end :])
    with pytest.raises(CorruptMedia, match="neither picture nor sound can be decoded"):
        await bench.do("transcode", tmp_path / "upload")


async def test_a_sound_track_without_sound_is_left_out(bench: Bench, clip: Clips, tmp_path: Path) -> None:
    whole = clip("plain.mp4").read_bytes()
    sizes = find(whole, b"stsz", 1)
    (tmp_path / "upload").write_bytes(patched(whole, sizes.body + 8, ">I", 0))
    found = await bench.probe(tmp_path / "upload")
    assert found.video is not None and found.audio is None
    outputs, _ = await bench.do("transcode", tmp_path / "upload")
    assert [rendition.name for rendition in outputs.renditions] == ["240p"]


async def test_a_whole_film_that_ends_before_its_probe_is_our_fault_not_the_films(bench: Bench, clip: Clips) -> None:
    found = await bench.probe(clip("slow.mp4"))
    assert found.video
    video = msgspec.structs.replace(found.video, duration_s=9.0)
    longer = msgspec.to_builtins(msgspec.structs.replace(found, duration_s=9.0, video=video))
    with pytest.raises(OutputInvalid, match=r"240p lasts 4\.00 s of 9\.00 s"):
        await bench.processor("transcode").process(bench.work(clip("slow.mp4"), {"probe": longer}))
