"""Checkpoints: a written model can be read, and a damaged one is an error of one line."""

import pytest
import torch

from counterfactory.core.checkpoint import load_model, name_of, save_model
from counterfactory.core.errors import BadFile, UserError


def test_tensors_that_share_memory_are_written(tmp_path):
    tensor = torch.arange(6.0).view(2, 3)
    save_model(tmp_path, {"a": tensor, "b": tensor, "c": tensor.T}, {"x": 1})
    state, meta = load_model(tmp_path)
    assert (
        torch.equal(state["a"], tensor)
        and torch.equal(state["b"], tensor)
        and torch.equal(state["c"], tensor.T)
    )
    assert meta == {"x": 1}


def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"model\.safetensors: no such file; train this model first"):
        load_model(tmp_path)
    save_model(tmp_path, {"a": torch.zeros(50)}, {})
    whole = (tmp_path / "model.safetensors").read_bytes()
    for damaged in (whole[:-10], b"", b"\x80\x04no tensors", whole + b"x"):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(UserError, match=r"model\.safetensors: .*delete it and train again") as error:
            load_model(tmp_path)
        assert "\n" not in str(error.value)
    (tmp_path / "model.safetensors").write_bytes(whole)
    (tmp_path / "model.json").write_text('{"half":')
    with pytest.raises(UserError, match=r"model\.json: not valid JSON"):
        load_model(tmp_path)
    (tmp_path / "model.json").unlink()
    with pytest.raises(UserError, match=r"model\.json: no such file"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        ({"kind": "judge", "variable": {"name": "thickness"}}, "judge of thickness"),
        ({"model": "vae"}, "vae"),
        ({"model": "vae", "finetuned": {"seed": 0}}, "vae_ft"),
        ({}, "without a name"),
    ],
)
def test_a_model_of_another_name_is_refused(tmp_path, meta, name):
    assert name_of(meta) == name
    save_model(tmp_path, {"a": torch.zeros(2)}, meta)
    load_model(tmp_path, name)
    with pytest.raises(BadFile, match=f"contains the model {name}, not judge of intensity; delete it"):
        load_model(tmp_path, "judge of intensity")
