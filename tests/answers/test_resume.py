"""The state of a chunk: two files, valid or ignored."""

import numpy as np
import pytest

from counterfactory.answers import resume
from counterfactory.answers.resume import ChunkState, fingerprint

CHUNK, SHAPE = "000000-000009", (9, 1, 2, 3)
IMAGES = np.arange(54, dtype=np.uint8).reshape(SHAPE)
SIZE = np.array([1.5, np.nan, 0.1, 4, 5, 6, 7, 8, 9])


def opened(folder, made_of="abc", chunk=CHUNK):
    state = ChunkState(folder, chunk, made_of, SHAPE)
    state.open()
    return state


def saved(folder, rows=4):
    state = opened(folder)
    state.add(IMAGES[:rows], {"size": SIZE[:rows], "reached": SIZE[:rows] > 1}, made=rows)
    state.stop()
    return state


def test_a_resumed_state_ends_in_the_same_file(tmp_path):
    saved(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f".{CHUNK}.state"]
    state = opened(tmp_path)
    assert (state.done, state.made) == (4, 4)
    assert state.seconds > 0
    state.add(IMAGES[4:], {"size": SIZE[4:], "reached": SIZE[4:] > 1}, made=5)
    state.finish(tmp_path / "resumed.npy")
    np.save(tmp_path / "whole.npy", IMAGES)
    assert (tmp_path / "resumed.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    np.testing.assert_array_equal(state.columns["size"], SIZE)
    assert state.columns["reached"].dtype == bool
    assert state.made == 9
    state.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed.npy", "whole.npy"]


def test_images_after_the_last_saving_are_discarded(tmp_path):
    state = saved(tmp_path)
    with open(state.folder / "images.npy", "ab") as file:
        file.write(b"not yet saved")
    state = opened(tmp_path)
    state.add(IMAGES[4:], {"size": SIZE[4:], "reached": SIZE[4:] > 1}, made=5)
    state.finish(tmp_path / "images.npy")
    assert (np.load(tmp_path / "images.npy") == IMAGES).all()


def test_many_batches_are_two_files_and_saved_seldom(tmp_path, monkeypatch):
    savings = []
    monkeypatch.setattr(ChunkState, "save", lambda self: savings.append(self.done))
    state = opened(tmp_path)
    for row in range(9):
        state.add(IMAGES[row : row + 1], {"size": SIZE[row : row + 1]}, made=1)
    assert savings == []
    monkeypatch.setattr(resume, "PERIOD", 0.0)
    state.add(IMAGES[:0], {}, made=0)
    assert savings == [9]
    assert len(list(state.folder.iterdir())) == 1


def test_another_fingerprint_or_chunk_is_ignored(tmp_path):
    saved(tmp_path)
    assert opened(tmp_path, chunk="000000-000008").done == 0
    assert opened(tmp_path, "abd").done == 0


def test_a_state_without_finished_questions_is_removed(tmp_path):
    opened(tmp_path).stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["answers.npz", "images.npy"])
@pytest.mark.parametrize("damage", [b"", b"half", "cut", "missing"])
def test_a_damaged_state_is_ignored(tmp_path, name, damage):
    path = saved(tmp_path).folder / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-10] if damage == "cut" else damage)
    state = opened(tmp_path)
    assert state.done == 0
    state.add(IMAGES, {"size": SIZE}, made=9)
    state.finish(tmp_path / "images.npy")
    assert (np.load(tmp_path / "images.npy") == IMAGES).all()


def test_the_fingerprint_is_of_values_and_contents(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    first = fingerprint({"a": 1, "b": [2]}, files=(file,))
    assert first == fingerprint({"b": [2], "a": 1}, files=(file,))
    assert first != fingerprint({"a": 1, "b": [3]}, files=(file,))
    file.write_bytes(b"other weights")
    assert first != fingerprint({"a": 1, "b": [2]}, files=(file,))
    assert fingerprint(1, files=(tmp_path / "missing",))
