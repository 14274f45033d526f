"""Files are described as a person would see them."""

from pathlib import Path

import pytest

from processors.errors import InvalidMedia
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from tests.conftest import SampleMedia
from tests.integration.processors.conftest import Bench, Clips


@pytest.mark.parametrize(
    "name, found",
    [
        ("plain.mp4", ("MP4", 3.0, (320, 240))),
        ("plain.mkv", ("Matroska", 3.0, (320, 240))),
        ("turned.mp4", ("MP4", 3.0, (240, 320))),
        ("odd.mp4", ("MP4", 2.0, (320, 240))),
        ("fields.ts", ("MPEG-TS", 1.0, (1024, 576))),
        ("tiny.mkv", ("Matroska", 0.4, (2, 2))),
        ("one-frame.mp4", ("MP4", 0.04, (320, 240))),
        ("long-sound.avi", ("AVI", 4.0, (320, 240))),
        ("vp8.webm", ("WebM", 3.0, (320, 240))),
        ("sound.mp3", ("MP3", 3.0, None)),
        ("sound.flac", ("FLAC", 3.0, None)),
        ("sound.wav", ("WAV", 3.0, None)),
    ],
)
async def test_a_file_is_described(
    bench: Bench, clip: Clips, name: str, found: tuple[str, float, tuple[int, int] | None]
) -> None:
    described = await bench.probe(clip(name))
    container, duration_s, size = found
    assert described.container == container
    assert described.duration_s == pytest.approx(duration_s, abs=0.12)
    assert (described.video and (described.video.width_px, described.video.height_px)) == size


async def test_rotation_hdr_fields_and_pixel_aspect_are_noticed(bench: Bench, clip: Clips) -> None:
    turned = (await bench.probe(clip("turned.mp4"))).video
    hdr = (await bench.probe(clip("hdr.mp4"))).video
    fields = (await bench.probe(clip("fields.ts"))).video
    assert turned and hdr and fields
    assert turned.rotation_deg in (90, 270)
    assert (hdr.hdr, hdr.color_transfer) == (True, "smpte2084")
    assert (fields.interlaced, fields.sample_aspect_ratio) == (True, "64:45")


async def test_sound_that_starts_late_keeps_its_place(bench: Bench, clip: Clips) -> None:
    found = await bench.probe(clip("late-sound.mp4"))
    assert found.audio
    assert found.audio.start_s == pytest.approx(1.0, abs=0.03)
    assert found.duration_s == pytest.approx(4.0, abs=0.05)


async def test_a_real_film_is_described(bench: Bench, sample_media: SampleMedia, clip: Clips) -> None:
    film = sample_media("bigbuckbunny.mp4") or clip("plain.mp4")
    found = await bench.probe(film)
    assert found.video and found.audio
    assert found.video.fps == 25


async def test_limits_are_said_in_a_sentence(bench: Bench, clip: Clips) -> None:
    small = Runner(Limits(max_duration_s=1), await bench.runner.sandbox())
    with pytest.raises(InvalidMedia, match="lasts 3 s; at most 1") as caught:
        await bench.processor("probe", small).process(bench.work(clip("plain.mp4")))
    assert caught.value.record().code == "media-too-large"


async def test_a_file_that_only_we_may_read_is_probed_all_the_same(bench: Bench, clip: Clips, tmp_path: Path) -> None:
    private = tmp_path / "private.mp4"
    private.write_bytes(clip("plain.mp4").read_bytes())
    private.chmod(0o600)
    assert (await bench.probe(private)).video
