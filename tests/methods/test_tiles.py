"""Tiles: every row once, in tiles of one shape, and detection of outputs that depend on the position."""

import pytest
import torch

from counterfactory.methods.tiles import place_matters, tiles


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
