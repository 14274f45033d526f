"""Times of packets, as ffmpeg reports them."""

from processors.media.packet_times import Packet, packets

_REPORT = """#software: Lavf59.27.100
#tb 0: 1/25
#media_type 0: video
#codec_id 0: rawvideo
#dimensions 0: 16x16
#sar 0: 1/1
#tb 1: 1/90000
0,          0,          3,        1,      256, 0xdd5d9e9e
1,      90000,      -2090,     1920,      256, 0xdd5d9e9e, S=1, 8
"""


def test_packets_are_read_in_the_time_base_of_their_track() -> None:
    assert list(packets(_REPORT.splitlines(), {})) == [Packet(0, 0.12, 0.04), Packet(1, -2090 / 90000, 1920 / 90000)]


def test_lines_that_are_no_packets_are_left_out() -> None:
    assert list(packets(["", "0, 1", "#tb 0: 1/0", "x, 1, 2, 3, 4", f"0, 1, {'9' * 40}, 1, 1"], {})) == []
