"""The state of a chunk: whole or not at all, and never taken up by something else."""

import numpy as np
import pytest

from counterfactory.answers.resume import ChunkState, fingerprint


@pytest.fixture
def arrays():
    return {
        "images": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "column size": np.array([1.5, np.nan, 0.1]),
    }


def test_what_is_saved_comes_back(tmp_path, arrays):
    state = ChunkState(tmp_path, "000000-000009", "abc")
    assert state.load(2) is None
    state.save(2, arrays)
    kept = state.load(2)
    assert set(kept) == set(arrays)
    for name, values in arrays.items():
        assert kept[name].tobytes() == values.tobytes()
        assert kept[name].dtype == values.dtype
    assert state.load(1) is None
    assert [path.name for path in tmp_path.iterdir()] == [".000000-000009.state"]
    state.clear()
    assert list(tmp_path.iterdir()) == []
    state.clear()


def test_another_fingerprint_or_chunk_is_not_taken_up(tmp_path, arrays):
    ChunkState(tmp_path, "000000-000009", "abc").save(0, arrays)
    assert ChunkState(tmp_path, "000000-000009", "abd").load(0) is None
    assert ChunkState(tmp_path, "000000-000008", "abc").load(0) is None


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_damage_is_not_taken_up(tmp_path, arrays, damage):
    state = ChunkState(tmp_path, "000000-000009", "abc")
    state.save(0, arrays)
    path = tmp_path / ".000000-000009.state" / "000000.npz"
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    assert state.load(0) is None


def test_the_fingerprint_is_of_values_and_contents(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    first = fingerprint({"a": 1, "b": [2]}, files=(file,))
    assert first == fingerprint({"b": [2], "a": 1}, files=(file,))
    assert first != fingerprint({"a": 1, "b": [3]}, files=(file,))
    file.write_bytes(b"other weights")
    assert first != fingerprint({"a": 1, "b": [2]}, files=(file,))
    assert fingerprint(1, files=(tmp_path / "missing",))
