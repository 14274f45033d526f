"""Content codings that clients accept."""

import pytest

from web.http.middleware import preferred_coding


@pytest.mark.parametrize(
    "accepted, coding",
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*", "br"),
        ("*;q=0", None),
        ("GZIP;Q=1", "gzip"),
        ("br;q=nonsense, gzip", "gzip"),
    ],
)
def test_the_coding_that_the_client_likes_best_is_taken(accepted: str, coding: str | None) -> None:
    assert preferred_coding(accepted) == coding
