"""The declarations of data sets agree with the files that their modules write, and import no numpy or torch."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.data.dataset import declared, load_dataset, load_split
from counterfactory.data.graph import topological_order
from counterfactory.data.idx import read_idx
from counterfactory.data.registry import DATASETS
from counterfactory.data.worlds import world
from tests.data.samples import strokes


def test_planning_imports_no_numerical_package():
    code = "import sys, counterfactory.data.registry; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "pandas", "torch", "scipy"} & set(loaded.split())


@pytest.mark.parametrize("name", [name for name, entry in DATASETS.items() if not entry.declare])
def test_a_declaration_is_a_graph_and_its_world_measures_what_it_declares(name):
    entry = DATASETS[name]
    dataset = declared(name, 48)
    assert dataset.shape == (entry.channels, 48, 48) and dataset.name == name
    assert list(entry.classes) == list(dataset.names) == [v.name for v in entry.variables]
    assert set(topological_order(dataset)) == set(dataset.names)
    simulation = world(name)
    assert (simulation is not None) == entry.simulated
    if simulation is None:
        assert not entry.measured
        return
    blank = np.zeros((1, entry.channels, 32, 32), np.uint8)
    assert entry.measured == tuple(simulation.measure(blank))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A stand-in for MNIST: 100 drawings, repeated."""
    folder = tmp_path_factory.mktemp("mnist") / "digits"
    folder.mkdir()
    np.save(folder / "images.npy", np.tile(strokes(100), (700, 1, 1)))
    np.save(folder / "labels.npy", (np.arange(70_000) % 10).astype(np.uint8))
    return folder


def settings(**changes):
    sizes = {"train": 30, "valid": 2, "judges": 3, "test": 30, "image_size": 32}
    return SimpleNamespace(**{"published": None, "seed": 0, **sizes, **changes})


@pytest.mark.parametrize(("name", "effect"), [("morphomnist_slant", "slant"), ("morphomnist_width", "width")])
def test_other_processes_of_morphomnist_are_data_sets(digits, name, effect):
    data, simulation = digits.parent, world(name)
    simulation.synthesise(settings(), False, digits, data, threads=2)
    assert load_dataset(data) == declared(name)
    split = load_split(data, "test")
    columns = ["digit", "thickness", effect, "noise_thickness", f"noise_{effect}"]
    assert list(split.attributes) == ["index", "source", *columns]

    factual = simulation.counterfactual_parents(split.attributes, {})
    images, known = simulation.render_counterfactual(data, split.attributes, factual)
    assert known.all()
    np.testing.assert_array_equal(images, split.images)
    np.testing.assert_array_equal(read_idx(data / "idx/t10k-images-idx3-ubyte.gz"), images[:, 0, 2:-2, 2:-2])
    assert (data / "idx/t10k-morpho.csv").read_text().startswith(f"index,thickness,{effect}\n")

    # A larger effect is measured in the pixels.
    thick = {"thickness": np.full(30, 2.5)}
    shown = []
    for value in DATASETS[name].variables[1].low, DATASETS[name].variables[1].high:
        after = simulation.counterfactual_parents(
            split.attributes, thick | {effect: np.full(30, value / 2 + 5)}
        )
        shown.append(simulation.measure(simulation.render_counterfactual(data, split.attributes, after)[0]))
    assert (shown[1][effect] > shown[0][effect]).mean() > 0.9
    density = simulation.log_density(
        **{name: split.attributes[name] for name in ("thickness", effect, "digit")}
    )
    assert np.isfinite(density).all(axis=None)
    with pytest.raises(
        UserError, match=f"data.published: there: the published tables have no {effect}; set null"
    ):
        simulation.synthesise(settings(published="there"), False, digits, data)


def test_slant_is_measured_in_degrees(digits):
    data, simulation = digits.parent, world("morphomnist_slant")
    simulation.synthesise(settings(), False, digits, data)
    split = load_split(data, "test")
    shown = simulation.measure(split.images)
    there = split.attributes["thickness"] > 1.5
    assert np.abs(shown["slant"] - split.attributes["slant"])[there].median() < 2.0


def test_a_description_is_written_as_before(tmp_path):
    from counterfactory.data.dataset import save_dataset

    save_dataset(tmp_path, declared("morphomnist"))
    fields = json.loads((tmp_path / "dataset.json").read_text())
    assert list(fields) == ["name", "variables", "edges", "shape", "simulated"]
    assert fields["variables"][0] == {
        "name": "thickness",
        "kind": "continuous",
        "unit": "px",
        "low": 0.87598526,
        "high": 6.255515,
        "classes": 0,
    }
    assert fields["edges"] == [["thickness", "intensity"]] and fields["shape"] == [1, 32, 32]
