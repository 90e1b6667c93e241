"""Weights that fit by shape and mean something else: the file or an option decides, and nothing is guessed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterfactory.core.errors import BadFile, UserError
from counterfactory.core.files import read_json
from counterfactory.diffusion.denoiser import denoiser
from counterfactory.models.ddpm.model import load_ddpm
from counterfactory.models.image.hvae import Hvae
from counterfactory.models.image.model import load_image_mechanism
from counterfactory.models.imports import import_model
from counterfactory.models.judges.network import JudgeNetwork
from tests import published_states
from tests.models.test_imports import MNIST, run_of, saved, write
from tests.published_states import UNET

SMALL = replace(MNIST, shape=(1, 8, 8))


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "data", SMALL, np.random.default_rng(1).integers(0, 256, (6, 1, 8, 8), np.uint8))


@pytest.mark.parametrize("block", ["heavy", "light"])
@torch.inference_mode()
def test_the_names_decide_the_blocks_and_light_ones_have_zero_borders(tmp_path, data, block):
    path = saved(tmp_path, published_states.hvae(block=block))
    run = run_of(tmp_path, "hvae", data)
    import_model(path, {}, run)
    network = read_json(run.out / "model.json")["network"]
    assert (network["block"], network["border"]) == (block, "zeros")
    model = load_image_mechanism(run.out, SMALL)
    other = Hvae((1, 8, 8), 12, **{**network, "border": "constant"}).eval()
    other.load_state_dict(model.state_dict())
    torch.manual_seed(0)
    x, parents = torch.rand(2, 1, 8, 8) * 2 - 1, torch.rand(2, 12)
    noise = [torch.zeros(2, *shape) for shape in model.noise_shapes]
    found, expected = (one.abduct(x, parents, noise)[2].z for one in (other, model))
    assert torch.allclose(found, expected, rtol=0, atol=1e-5) is (block == "heavy")


@pytest.mark.parametrize(("outputs", "linear"), [(1, True), (2, False)])
def test_the_outputs_decide_the_head_of_a_predictor(tmp_path, data, outputs, linear):
    path = saved(tmp_path, published_states.predictor(0, outputs))
    run = run_of(tmp_path, "judges/thickness", data)
    import_model(path, {}, run)
    network = read_json(run.out / "model.json")["network"]
    assert (network["slope"], network["linear"]) == (0.01, linear)


def test_predictors_trained_here_are_not_published_ones(tmp_path, data):
    """They have another slope and head, under which the published weights fit by shape."""
    path = saved(tmp_path, JudgeNetwork(1, width=2).state_dict())
    with pytest.raises(BadFile, match="holds no published predictor"):
        import_model(path, {}, run_of(tmp_path, "judges/thickness", data))


@pytest.mark.parametrize("name", ["scm", "causaldiffae", "gan", "dcgan", "vae_ft", "identity"])
def test_networks_of_another_structure_cannot_be_imported(tmp_path, data, name):
    path = saved(tmp_path, published_states.vae())
    with pytest.raises(UserError, match=f"{name}: no published weights are known for this model"):
        import_model(path, {}, run_of(tmp_path, name, data))


def test_a_class_conditional_network_asks_for_the_class(tmp_path, data):
    path = saved(tmp_path, published_states.unet(classes=3)[1])
    run = run_of(tmp_path, "ddpm", data)
    with pytest.raises(UserError, match="option label: .* need it: the network is class-conditional"):
        import_model(path, UNET, run)
    with pytest.raises(UserError, match="option label: is 3; give a whole number from 0 to 2"):
        import_model(path, UNET | {"label": 3}, run)


@pytest.mark.parametrize("name", ["num_heads", "use_new_attention_order", "predict_xstart"])
@pytest.mark.parametrize("value", [None, 1.5, "yes", [4]])
def test_what_fits_by_shape_is_never_guessed(tmp_path, data, name, value):
    path = saved(tmp_path, published_states.unet()[1])
    run = run_of(tmp_path, "ddpm", data)
    with pytest.raises(UserError, match=f"option {name}: is "):
        import_model(path, UNET | {name: value}, run)
    with pytest.raises(UserError, match=f"option {name}"):
        import_model(path, {key: one for key, one in UNET.items() if key != name}, run)


@pytest.mark.parametrize("clean", [False, True])
@torch.inference_mode()
def test_predict_xstart(tmp_path, data, clean):
    """The network's output is the clean image of the denoiser, or its noise."""
    unet, state = published_states.unet()
    path = saved(tmp_path, state)
    run = run_of(tmp_path, "ddpm", data)
    import_model(path, UNET | {"predict_xstart": clean}, run)
    assert read_json(run.out / "model.json")["diffusion"]["prediction"] == ("clean" if clean else "noise")
    model, schedule = load_ddpm(run.out, SMALL)
    torch.manual_seed(0)
    x = torch.randn(3, 1, 8, 8)
    index = torch.tensor([1, 20, 45])
    predicted = denoiser(model, schedule, clip=False, learned=False)(x, index)
    output = unet.eval()(x, schedule.timesteps[index])
    assert torch.allclose(predicted.x0 if clean else predicted.eps, output, atol=1e-4)
