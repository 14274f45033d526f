"""The indexer selects the right artifacts of an asset."""

from typing import Any

import numpy as np
import pytest

from tests.unit.web.rows import an_asset
from web.search.indexer import Artifacts, UnreadableArtifact, _checked, artifacts_of

TRANSCRIPT = "assets/asset_000001/transcript.json"
SPACE = {"model": "small", "pooling": "mean", "dim": 4, "chunker": 1}
EMBEDDED = {
    "transcript": TRANSCRIPT,
    "passages": "p.json",
    "vectors": "v.npy",
    "count": 1,
    "space": SPACE,
    "backend": "local:small",
}


def artifacts(**outputs: Any) -> Artifacts | None:
    return artifacts_of(an_asset(1, outputs=outputs))


def test_an_asset_without_a_transcript_has_nothing_to_search() -> None:
    assert artifacts() is None
    assert artifacts(transcribe={"language": "en"}) is None


def test_a_transcript_is_searched_before_there_are_vectors() -> None:
    assert artifacts(transcribe={"transcript": TRANSCRIPT}) == Artifacts(TRANSCRIPT)


def test_vectors_are_searched_with_the_transcript_that_they_are_of() -> None:
    found = artifacts(transcribe={"transcript": TRANSCRIPT}, embed=EMBEDDED)
    assert found == Artifacts(TRANSCRIPT, "p.json", "v.npy")


def test_vectors_of_an_older_transcript_do_not_count() -> None:
    older = EMBEDDED | {"transcript": "assets/asset_000001/older.json"}
    assert artifacts(transcribe={"transcript": TRANSCRIPT}, embed=older) == Artifacts(TRANSCRIPT)


@pytest.mark.parametrize(
    "matrix", [np.zeros((2, 4), np.float32), np.zeros((1, 4), np.float64), np.full((1, 4), np.nan, np.float32)]
)
def test_vectors_that_do_not_match_their_passages_are_refused(matrix: Any) -> None:
    with pytest.raises(UnreadableArtifact):
        _checked(matrix, 1, 4)
