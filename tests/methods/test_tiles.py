"""Tiles: every row once, in tiles of one shape, and detection of outputs that depend on the position."""

import pytest
import torch

from counterfactory.methods.tiles import largest, place_matters, smaller, tiles


@pytest.mark.parametrize(("count", "size"), [(1, 4), (4, 4), (9, 4), (5, 1), (0, 4)])
def test_every_row_once_in_tiles_of_one_shape(count, size):
    rows = torch.arange(count) * 10
    found = list(tiles(rows, size))
    assert torch.cat([tile[:meant] for tile, meant in found] or [rows]).tolist() == rows.tolist()
    assert all(len(tile) == size and set(tile[meant:].tolist()) <= {int(tile[0])} for tile, meant in found)


def test_networks_row_by_row_pass():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.GroupNorm(2, 8)).eval()
    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not place_matters(lambda x: (network(x), x.sum((1, 2, 3))), x)


def test_what_looks_at_neighbours_or_places_is_found_out():
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    assert place_matters(lambda x: x - x.mean(0), x)
    assert place_matters(lambda x: x * (1 + 1e-7 * (torch.arange(len(x)) == 7))[:, None], x)
    assert not place_matters(lambda x, y: [x.exp(), y], x, x + 1)


def test_the_rest_is_run_in_the_smallest_tile_that_holds_it():
    found = [(len(tile), count) for tile, count in tiles(torch.arange(21), (8, 4, 2))]
    assert found == [(8, 8), (8, 8), (8, 5)] and largest((8, 4, 2)) == largest(8) == 8
    assert [len(tile) for tile, _ in tiles(torch.arange(18), (8, 4, 2))] == [8, 8, 2]
    assert [(len(tile), count) for tile, count in tiles(torch.arange(3), (8, 4, 2))] == [(4, 3)]


def test_smaller_tiles_are_used_where_they_give_the_same_bits():
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    assert list(smaller(lambda x: x.exp(), x)) == [8, 4, 2]
    # Below 8 rows another arithmetic.
    assert list(smaller(lambda x: x * (1 + 1e-6 * (len(x) < 8)), x)) == [8]
    assert list(smaller(lambda x: x * (1 + 1e-6 * (len(x) > 16)), x)) == [8, 4, 2]
    assert list(smaller(lambda x: x * (1 + 1e-6 * (len(x) > 16)), x, together=2)) == []


def _at(rows):
    """Returns a function with another arithmetic for calls of exactly `rows` rows."""
    return lambda x: x * (1 + 1e-6 * (len(x) == rows))


def test_two_tiles_in_one_call_are_tested_at_every_size():
    """A size passes only if one tile and two tiles of it have the bits of the full tile."""
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    assert list(smaller(_at(32), x, together=2)) == []
    # Calls of 2 x 4 = 8 rows differ, and so do single tiles of 8 rows.
    assert list(smaller(_at(8), x, together=2)) == []
    assert list(smaller(_at(8), x)) == []
    assert list(smaller(_at(4), x, together=2)) == [8]
    assert list(smaller(lambda x: x.exp(), x, together=2)) == [8, 4, 2]
    # A batch of two tiles whose second half differs, although the first one is right.
    assert list(smaller(lambda x: x + 1e-6 * (torch.arange(len(x)) >= 16)[:, None], x, together=2)) == []


def test_two_tiles_whose_rows_no_single_tile_has():
    """Of 10 rows, tiles of 5 and 2 rows are halves; a call of two tiles of 2 rows has 4, of which none was a tile."""
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    assert list(smaller(lambda x: x.exp(), x, together=2)) == [5, 2]
    assert list(smaller(_at(4), x)) == [5, 2]
    assert list(smaller(_at(4), x, together=2)) == [5]
    assert list(smaller(_at(2), x, together=2)) == [5]
