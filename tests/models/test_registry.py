"""The registry of models: every entry names an existing train function, section and models."""

from functools import reduce
from importlib import import_module
from inspect import signature

import pytest

from counterfactory.cli import main
from counterfactory.config import Settings, load_settings
from counterfactory.data.dataset import SPLITS
from counterfactory.models.registry import MODELS, Model, section_of, split_name


@pytest.mark.parametrize("name", MODELS)
def test_entries_name_what_exists(name):
    model = MODELS[name]
    module, _, function = model.train.partition(":")
    train = getattr(import_module(f"counterfactory.{module}"), function)
    assert list(signature(train).parameters) == ["settings", "run"]
    assert reduce(getattr, section_of(name).split("."), Settings()) is not None
    assert set(model.splits) <= set(SPLITS)
    assert {split_name(need)[0] for need in model.needs} <= set(MODELS)


def test_a_registered_model_has_a_section(monkeypatch):
    from counterfactory.config import models, registered_models

    monkeypatch.setitem(MODELS, "mine", Model("models.mine.train:train_mine"))
    section = registered_models.with_registered(models.ModelsSettings)
    assert section().mine.training.steps > 0
    assert section.__name__ == "ModelsSettings"
    assert load_settings({}).models.vae == section().vae


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("hvea", "hvea: no such model; did you mean 'hvae'?"),
        ("judges", "judges: is trained for each variable; name one"),
        ("vae/digit", "vae/digit: vae is not trained for each variable; write vae"),
    ],
)
def test_an_unknown_model_is_one_line(model, message, capsys):
    assert main(["train", model, "--settings", "{}"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"counterfactory train: {message}") and "\n" not in said
