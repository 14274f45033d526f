"""Vectors that were written are found, and no others."""

from pathlib import Path

import numpy as np
import pytest

from web.search.vector_file import Row, Vectors, VectorsMissing


def test_vectors_grow_beyond_the_size_that_was_mapped(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "v.f32", 4)
    for n in range(3):
        slots = vectors.write(np.full((3000, 4), n, np.float32))
        vectors.publish([Row(slot, slot + 1, 0) for slot in slots], [])
    [(passage, score)] = vectors.nearest(np.ones(4, np.float32), 1, None)
    assert score == 8
    assert passage > 6000
    assert len(vectors) == 9000
    vectors.close()
    with pytest.raises(VectorsMissing):
        Vectors(tmp_path / "v.f32", 4, [Row(20_000, 1, 0)])


def test_written_vectors_are_found_once_published_and_until_removed(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "v.f32", 2)
    [slot] = vectors.write(np.ones((1, 2), np.float32))
    query = np.ones(2, np.float32)
    assert vectors.nearest(query, 5, None) == []
    vectors.publish([Row(slot, 7, 3)], [])
    assert vectors.nearest(query, 5, 3) == [(7, 2.0)]
    assert vectors.nearest(query, 5, 4) == []
    vectors.publish([], [slot])
    assert vectors.nearest(query, 5, None) == []
    assert vectors.write(np.zeros((1, 2), np.float32)) == [slot], "the slot is used again"
    vectors.close()


def test_nothing_of_a_removed_vector_is_left_in_the_file(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "v.f32", 2)
    kept, removed, unpublished = vectors.write(np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    vectors.publish([Row(kept, 1, 0), Row(removed, 2, 0)], [])
    vectors.publish([], [removed])
    vectors.release([unpublished])
    assert np.fromfile(tmp_path / "v.f32", np.float32)[:6].tolist() == [1, 2, 0, 0, 0, 0]
    vectors.close()


def test_vectors_that_a_dead_process_left_are_cleared_at_start(tmp_path: Path) -> None:
    vectors = Vectors(tmp_path / "v.f32", 2)
    vectors.write(np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    vectors.close()
    Vectors(tmp_path / "v.f32", 2, [Row(1, 7, 0)]).close()
    assert np.fromfile(tmp_path / "v.f32", np.float32)[:6].tolist() == [0, 0, 3, 4, 0, 0]
