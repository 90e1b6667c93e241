"""Weights that fit by shape and mean something else: a wrong option is refused or flagged, or the file decides.

The table in docs/reference/originals.md lists these cases.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from counterfactory.core.errors import BadFile, UserError
from counterfactory.core.files import read_json
from counterfactory.diffusion.schedule import build_schedule
from counterfactory.models.imports import import_model
from counterfactory.pretrained.guided_diffusion import describe_unet, to_published
from counterfactory.report.imported import imported_notes
from tests import published_states
from tests.models.test_imports import MNIST, UNET, published_unet, run_of, saved, write

SMALL = replace(MNIST, shape=(1, 8, 8))
WRONG: list[dict[str, Any]] = [
    {"num_heads": 1},
    {"num_heads": 2},
    {"num_heads": 8},
    {"num_head_channels": 16},
    {"use_new_attention_order": True},
    {"predict_xstart": True},
]
PROCESSES: list[dict[str, Any]] = [
    {"diffusion_steps": 1000},
    {"diffusion_steps": 4000},
    {"noise_schedule": "cosine"},
]


def crosses(count: int, generator: torch.Generator) -> torch.Tensor:
    """Returns images of a row and a column of the same number: only attention joins what is far apart."""
    place = torch.randint(0, 8, (count,), generator=generator)
    images = -torch.ones(count, 1, 8, 8)
    images[torch.arange(count), 0, :, place] = 1
    images[torch.arange(count), 0, place, :] = 1
    return images


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A trained U-Net of four heads, in both orders of attention, and the folder of its images."""
    folder = tmp_path_factory.mktemp("trained")
    generator = torch.Generator().manual_seed(0)
    unet, network = published_unet(side=8)
    schedule = build_schedule("linear", 500)
    optimizer = torch.optim.Adam(unet.parameters(), 3e-3)
    for _ in range(200):
        x, t = crosses(32, generator), torch.randint(0, 500, (32,), generator=generator)
        noise = torch.randn(x.shape, generator=generator)
        signal = schedule.alphas_bar[t][:, None, None, None].float()
        loss = (unet(signal.sqrt() * x + (1 - signal).sqrt() * noise, t) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images = ((crosses(64, generator) + 1) * 127.5).to(torch.uint8).numpy()
    data = write(folder / "data", SMALL, images)
    old, new = (to_published(unet.state_dict(), network, 8, order) for order in (False, True))
    assert describe_unet(old, 8, "")["attention"] == [8]
    return saved(folder, old, "old.pt"), saved(folder, new, "new.pt"), data


@pytest.mark.slow
def test_right_options_of_a_trained_denoiser_are_confirmed(tmp_path, trained):
    old, new, data = trained
    for path, order in ((old, False), (new, True)):
        run = run_of(tmp_path, "ddpm", data)
        import_model(path, UNET | {"use_new_attention_order": order}, run)
        meta = read_json(run.out / "model.json")
        assert meta["denoising_error"]["mean_square"] < 0.3 and "note" not in meta["denoising_error"]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [*WRONG, *PROCESSES], ids=str)
def test_a_wrong_option_of_a_trained_denoiser_is_refused(tmp_path, trained, wrong):
    old, _, data = trained
    with pytest.raises(UserError, match="denoises the valid images with a mean squared error of") as caught:
        import_model(old, UNET | wrong, run_of(tmp_path, "ddpm", data))
    named = next(iter(wrong))
    assert named in str(caught.value).partition(":")[0]


@pytest.mark.slow
def test_the_old_order_of_weights_in_the_new_one_is_refused(tmp_path, trained):
    with pytest.raises(UserError, match="use_new_attention_order"):
        import_model(trained[1], UNET, run_of(tmp_path, "ddpm", trained[2]))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    images = np.random.default_rng(1).integers(0, 256, (6, 1, 8, 8), np.uint8)
    return write(tmp_path_factory.mktemp("data"), SMALL, images)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_option_that_the_images_cannot_confirm_is_flagged(tmp_path, data, wrong):
    """Weights that denoise nothing here may belong to other images: the import, and the report, say what is open."""
    run = run_of(tmp_path, "ddpm", data)
    given = UNET | wrong
    if "num_head_channels" in wrong:
        del given["num_heads"]
    import_model(saved(tmp_path, published_states.unet()[1]), given, run)
    meta = read_json(run.out / "model.json")
    assert "the options are not confirmed" in meta["denoising_error"]["note"]
    assert "The network does not denoise the images" in imported_notes({"ddpm": meta})[0]


DECIDED = [
    ("hvae", lambda: published_states.hvae(), "block", "light", ("block", "heavy")),
    ("hvae", lambda: published_states.hvae(block="light"), "block", "heavy", ("block", "light")),
    ("hvae", lambda: published_states.hvae(), "q_correction", True, ("q_correction", False)),
    ("hvae", lambda: published_states.hvae(), "z_max_res", 4, ("z_max_res", 0)),
    ("hvae", lambda: published_states.hvae(), "cond_prior", True, ("prior", "exogenous")),
    ("judges/thickness", lambda: published_states.predictor(), "slope", 0.1, ("slope", 0.01)),
    ("judges/thickness", lambda: published_states.predictor(), "linear", False, ("linear", True)),
    ("judges/thickness", lambda: published_states.predictor(0, 2), "linear", True, ("linear", False)),
    ("ddpm", lambda: published_states.unet()[1], "resblock_updown", False, ("conv_resample", False)),
    ("ddpm", lambda: published_states.unet()[1], "use_scale_shift_norm", False, ("shift_only", False)),
    ("ddpm", lambda: published_states.unet()[1], "class_cond", True, ("classes", 0)),
    ("ddpm", lambda: published_states.unet()[1], "learn_sigma", True, None),
]
"""Model, weights, an option that contradicts them, and what the file says in the description of the network."""


@pytest.mark.parametrize("case", DECIDED, ids=lambda case: f"{case[0]}-{case[2]}-{case[3]}")
def test_what_the_file_decides_is_no_option(tmp_path, data, case):
    model, make, option, value, described = case
    path, run = saved(tmp_path, make()), run_of(tmp_path, model, data)
    options = UNET if model == "ddpm" else {}
    import_model(path, options, run)
    meta = read_json(run.out / "model.json")
    if described:
        assert meta["network"][described[0]] == described[1]
    else:
        assert meta["diffusion"]["variance"] == "fixed"
    with pytest.raises(UserError, match=f"option {option}: .* no such option"):
        import_model(path, options | {option: value}, run)


@pytest.mark.parametrize(
    ("model", "make", "options"),
    [
        ("hvae", published_states.hvae, {"parents_x": "intensity,thickness,digit"}),
        ("vae", published_states.vae, {"parents_x": "digit,thickness,intensity"}),
        ("hvae", published_states.hvae, {"enc_arch": "8b2d2,4b0d4,1b1"}),
        ("hvae", published_states.hvae, {"dec_arch": "1b2,4b0,8b1"}),
    ],
)
def test_an_option_against_the_settings_in_the_file_is_refused(tmp_path, data, model, make, options):
    name = next(iter(options))
    with pytest.raises(UserError, match=f"option {name}: is .*, but the file says"):
        import_model(saved(tmp_path, make()), options, run_of(tmp_path, model, data))


def test_the_order_of_the_parents_is_asked_for_and_recorded(tmp_path, data):
    """Without settings in the file every order fits by shape, and no output tells: the user answers."""
    path, run = saved(tmp_path, published_states.vae()["ema_model_state_dict"]), run_of(tmp_path, "vae", data)
    with pytest.raises(UserError, match="option parents_x: .* need it"):
        import_model(path, {}, run)
    import_model(path, {"parents_x": "digit,intensity,thickness"}, run)
    assert (
        "parents_x: digit, intensity, thickness"
        in imported_notes({"vae": read_json(run.out / "model.json")})[0]
    )


@pytest.mark.parametrize(
    ("model", "make"),
    [
        ("vae", published_states.hvae),
        ("hvae", published_states.vae),
        ("hvae", lambda: {"state_dict": published_states.unet()[1]}),
        ("ddpm", published_states.hvae),
        ("judges/digit", published_states.predictor),
        ("judges/thickness", lambda: published_states.predictor(0, 10)),
        ("judges/thickness", published_states.attribute_predictor),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, data, model, make):
    with pytest.raises((BadFile, UserError)) as caught:
        import_model(saved(tmp_path, make()), UNET if model == "ddpm" else {}, run_of(tmp_path, model, data))
    assert "\n" not in str(caught.value)


def test_the_averaged_weights_are_taken_not_those_beside_them(tmp_path, data):
    """causal-gen saves the weights of training beside their average, under the same names."""
    value = published_states.vae()
    averaged = value["ema_model_state_dict"]
    value["model_state_dict"] = {key: -one for key, one in averaged.items()}
    run, plain = run_of(tmp_path / "both", "vae", data), run_of(tmp_path / "one", "vae", data)
    import_model(saved(tmp_path, value), {}, run)
    import_model(saved(tmp_path, published_states.vae()), {}, plain)
    assert (run.out / "model.safetensors").read_bytes() == (plain.out / "model.safetensors").read_bytes()
    del value["ema_model_state_dict"]
    import_model(saved(tmp_path, value), {}, run)
    assert (run.out / "model.safetensors").read_bytes() != (plain.out / "model.safetensors").read_bytes()
