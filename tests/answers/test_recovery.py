import multiprocessing
import time

import pytest

from counterfactory.answers.recovery import Recovery, remove_recovery_copies

CHUNK = "000000-000006"
KINDS = ("npy", "parquet", "cost.json")


@pytest.fixture
def chunk(tmp_path):
    """The files of a chunk."""
    paths = [tmp_path / f"{CHUNK}.{kind}" for kind in KINDS]
    for path in paths:
        path.write_text(path.name)
    return paths


def test_a_kept_chunk_comes_back_as_the_same_files(tmp_path, chunk):
    Recovery(tmp_path, CHUNK, "a").save()
    before = [path.stat().st_ino for path in chunk]
    for path in chunk:
        path.unlink()
    assert Recovery(tmp_path, CHUNK, "a").restore()
    assert [path.stat().st_ino for path in chunk] == before
    assert [path.read_text() for path in chunk] == [path.name for path in chunk]


def test_it_seems_as_new_as_what_was_made_now(tmp_path, chunk):
    Recovery(tmp_path, CHUNK, "a").save()
    before = time.time()
    assert Recovery(tmp_path, CHUNK, "a").restore()
    assert all(path.stat().st_mtime >= before - 0.1 for path in chunk)


def test_a_spare_of_another_making_is_left_alone(tmp_path, chunk):
    Recovery(tmp_path, CHUNK, "a").save()
    chunk[0].unlink()
    assert not Recovery(tmp_path, CHUNK, "b").restore()
    assert not Recovery(tmp_path, "000006-000012", "a").restore()
    assert not chunk[0].exists()


def test_half_a_spare_is_none(tmp_path, chunk):
    recovery = Recovery(tmp_path, CHUNK, "a")
    recovery.save()
    (recovery.folder / chunk[1].name).unlink()
    assert not recovery.restore()
    recovery.save()
    (recovery.folder / "seal").unlink()
    assert not recovery.restore()


def test_a_new_making_replaces_it(tmp_path, chunk):
    Recovery(tmp_path, CHUNK, "a").save()
    chunk[0].unlink()
    chunk[0].write_text("new")
    Recovery(tmp_path, CHUNK, "b").save()
    assert not Recovery(tmp_path, CHUNK, "a").restore()
    chunk[0].unlink()
    assert Recovery(tmp_path, CHUNK, "b").restore()
    assert chunk[0].read_text() == "new"


def test_keeping_twice_leaves_nothing_behind(tmp_path, chunk):
    recovery = Recovery(tmp_path, CHUNK, "a")
    recovery.save()
    recovery.save()
    assert recovery.restore()
    assert not list(tmp_path.rglob("*.partial"))


def test_spares_are_removed_and_nothing_else(tmp_path, chunk):
    Recovery(tmp_path, CHUNK, "a").save()
    (tmp_path / ".other.state").mkdir()
    remove_recovery_copies(tmp_path.parent)
    assert {path.name for path in tmp_path.iterdir()} == {".other.state", *(path.name for path in chunk)}


def _make(folder, order):
    recovery = Recovery(folder, CHUNK, "a")
    with recovery.locked():
        if recovery.restore():
            order.put("taken")
            return
        time.sleep(0.3)
        for kind in KINDS:
            (folder / f"{CHUNK}.{kind}").write_text(kind)
        recovery.save()
        order.put("made")


def test_of_two_that_are_to_make_it_one_does(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    order = spawn.Queue()
    both = [spawn.Process(target=_make, args=(tmp_path, order)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    # Each process has a queue thread of its own, so the messages arrive in any order.
    assert sorted(order.get(timeout=5) for _ in both) == ["made", "taken"]
