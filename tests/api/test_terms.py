"""The terms of a bundle: nothing is called free that is not known to be."""

import json
from pathlib import Path

import pytest

from counterfactory.api.layout import SHIPPED
from counterfactory.api.terms import images_of, terms_of
from counterfactory.data.registry import DATASETS

ORIGIN = {"file": "hvae.pt", "sha256": "ab12" * 16, "options": {}}


@pytest.fixture
def models(tmp_path):
    for name, meta in {
        "vae/seed0": {"model": "vae", "settings": {}},
        "hvae/seed0": {"model": "hvae", "imported": ORIGIN},
        "vgg19": {"kind": "vgg19", "source": "torchvision"},
    }.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.json").write_text(json.dumps(meta))
    return tmp_path


@pytest.mark.parametrize("dataset", DATASETS)
def test_only_images_that_the_package_makes_or_fetches_leave_weights_free(models, dataset):
    terms = terms_of(models, dataset, ["vae/seed0"])
    free = dataset not in ("celeba", "folder")
    text = "\n".join(terms.lines)
    assert images_of(dataset)[1] == free and terms.license == ("mit" if free else "other")
    assert ("trained here: MIT" in text) == free
    if not free:
        assert "License of the weights trained here (vae/seed0): not stated" in text
    if DATASETS[dataset].digits:
        assert "CC BY-SA 3.0" in text and "Castro" in text
    assert ("non-commercial research only" in text) == (dataset == "celeba")


def test_a_data_set_of_another_package_is_not_called_free(models):
    terms = terms_of(models, "stars", ["vae/seed0"])
    assert terms.license == "other" and "terms this card does not know" in terms.lines[0]


def test_imported_weights_have_file_checksum_and_no_license_unless_it_is_given(models):
    terms = terms_of(models, "morphomnist", ["vae/seed0", "hvae/seed0"])
    [line] = [line for line in terms.lines if line.startswith("hvae/seed0: ")]
    assert "not trained here" in line and "hvae.pt" in line and "ab12" * 16 in line
    assert "License: unknown" in line and terms.license == "other"
    assert "License of the code and of the other weights, which were trained here: MIT" in terms.lines
    given = terms_of(models, "morphomnist", ["hvae/seed0"], "CC BY-NC 4.0")
    assert any("License: CC BY-NC 4.0" in line for line in given.lines) and given.license == "other"
    assert given.lines[-1] == "License of the code: MIT"


def test_downloaded_networks_are_named(models):
    terms = terms_of(models, "pendulum", ["vae/seed0", "vgg19"])
    assert terms.license == "other"
    assert "vgg19: published weights, under the terms of their authors" in terms.lines


def test_the_shipped_bundle_states_its_terms():
    [folder] = [path.parent for path in SHIPPED.glob("*/bundle.json")]
    models = [
        path.parent.relative_to(folder / "models").as_posix() for path in folder.glob("models/**/model.json")
    ]
    card = (folder / "README.md").read_text()
    terms = terms_of(folder / "models", "morphomnist", models)
    assert card.startswith(f"---\nlicense: {terms.license}\n")
    assert all(f"\n- {line}\n" in card for line in terms.lines)
    root = Path(__file__).parents[2]
    assert (folder / "LICENSE").read_text() == (root / "LICENSE").read_text()
