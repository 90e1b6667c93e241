"""Published weights, renamed, give the outputs that the originals' own code printed."""

import pytest
import torch

from counterfactory.models.image.hvae import Hvae
from counterfactory.models.image.vae import Vae
from counterfactory.models.judges.attribute_networks import AttributeNetwork
from counterfactory.models.judges.network import JudgeNetwork
from counterfactory.nets.unet import UNet
from counterfactory.pretrained.causal_gen_hvae import describe_hvae, rename_hvae
from counterfactory.pretrained.causal_gen_vae import describe_vae, rename_vae, unknown_names
from counterfactory.pretrained.dime_classifier import DenseNetClassifier, rename_dime_classifier
from counterfactory.pretrained.dime_oracle import VggFace2Oracle, rename_dime_oracle
from counterfactory.pretrained.guided_diffusion import describe_unet, from_published, to_published
from counterfactory.pretrained.predictors import describe_predictor, networks_in, rename_predictor
from tests.fixtures.originals import Original, names

SMALL = names("unet_32")


def _unet(original: Original, **other) -> tuple[UNet, dict]:
    """Returns the network with the weights of a fixture; `other` replaces options."""
    config, state = original.config | other, original.state()
    side = config["image_size"]
    network = describe_unet(state, side, original.name) | {
        "heads": config["num_heads"],
        "head_channels": max(config["num_head_channels"], 0),
    }
    unet = UNet((3, side, side), **network)
    unet.load_state_dict(from_published(state, network, side, config["use_new_attention_order"]))
    return unet.eval(), network


@torch.inference_mode()
def _output(original: Original, unet: UNet) -> torch.Tensor:
    given = original.inputs()
    return unet(given["x"], given["t"], given.get("y"))


@pytest.mark.parametrize("name", SMALL)
def test_unet_of_every_flag(name):
    original = Original(name)
    unet, network = _unet(original)
    original.check("out", _output(original, unet))
    config = original.config
    assert network["conv_resample"] is not config["resblock_updown"]
    assert network["shift_only"] is not config["use_scale_shift_norm"]
    assert bool(network["classes"]) is config["class_cond"]
    assert network["learned_variance"] is config["learn_sigma"]
    # Renamed back, the weights are the published ones.
    back = to_published(unet.state_dict(), network, 32, config["use_new_attention_order"])
    published = original.state()
    assert back.keys() == published.keys()
    assert all(torch.equal(back[key], published[key]) for key in back)


@pytest.mark.parametrize(
    "other",
    [
        {"num_head_channels": 16},
        {"use_new_attention_order": True},
        {"num_heads": 8},
    ],
)
def test_wrong_attention_fits_and_predicts_something_else(other):
    original = Original("unet_32_heads4")
    unet, _ = _unet(original, **other)
    assert original.error("out", _output(original, unet)) > 100


@pytest.mark.slow
def test_unet_of_dime():
    original = Original("unet_dime_128")
    unet, _ = _unet(original)
    assert sum(one.numel() for one in unet.parameters()) == original.values["parameters"] == 105_198_598
    given = original.inputs()
    with torch.inference_mode():
        original.check("at_t", unet(given["x"], given["t"]))


def _mechanism(original: Original, border: str = "zeros") -> Hvae | Vae:
    config, state = original.config, original.state()
    shape = (config["input_channels"], config["input_res"], config["input_res"])
    if config["vae"] == "simple":
        network = describe_vae(state, original.name)
        model: Hvae | Vae = Vae(shape, **network)
        assert not unknown_names(state)
        model.load_state_dict(rename_vae(state, network))
    else:
        network = describe_hvae(state, config["enc_arch"], config["dec_arch"], original.name)
        model = Hvae(shape, **{**network, "border": border})
        model.load_state_dict(rename_hvae(state, network))
    return model.eval()


@pytest.mark.parametrize("name", [*names("hvae_"), *names("vae_")])
@torch.inference_mode()
def test_image_mechanisms_of_causal_gen(name):
    original = Original(name)
    model, given, noise = _mechanism(original), original.inputs(), original.noise()
    x, parents = given["x"], given["parents"]
    assert sum(one.numel() for one in model.parameters()) >= original.values["parameters"]
    found = {}
    nll, kl, latents = model.elbo(x, parents, noise)
    found["nll"], found["kl"] = nll[None], kl[None]
    if name.startswith("hvae"):
        found["kl_free_bits_0.5"] = model.elbo(x, parents, noise, 0.5)[1][None]
        found |= {f"z_t1.{k}": z for k, z in enumerate(latents)}
        cold = model.abduct(x, parents, noise, 0.1)
        found |= {f"z_t0.1.{k}": latent.z for k, latent in enumerate(cold)}
    else:
        found["z_t1"] = latents[0]
    location, log_scale = model.predict(latents, parents)
    found |= {"log_scale": log_scale, "predicted_scale": log_scale.exp()}
    found["predicted_location"] = location.clamp(-1, 1)
    if not getattr(model.head, "channel_coeffs", None):
        found["location"] = location
    after, scale = model.predict(latents, given["parents_cf"])
    residual = (x - location.clamp(-1, 1)) / log_scale.exp()
    changed = (after.clamp(-1, 1) + scale.exp() * residual).clamp(-1, 1)
    found["cf_t1_u1.0" if name.startswith("hvae") else "cf_u1.0"] = changed
    held = [key for key in found if original.has(key)]
    assert len(held) >= 8
    for key in held:
        original.check(key, found[key])


@torch.inference_mode()
def test_constant_border_of_light_blocks_is_not_the_published_one():
    original = Original("hvae_light_ukbb")
    model, given = _mechanism(original, "constant"), original.inputs()
    latents = model.abduct(given["x"], given["parents"], original.noise())
    assert original.error("z_t1.8", latents[8].z) > 100


@torch.inference_mode()
def test_order_of_the_parents_is_permuted():
    original = Original("vae_morphomnist_conditional")
    state, given = original.state(), original.inputs()
    network = describe_vae(state, original.name)
    # Our order: digit, intensity, thickness; the published one: thickness, intensity, digit.
    columns = [*range(2, 12), 1, 0]
    model = Vae((1, 32, 32), **network).eval()
    model.load_state_dict(rename_vae(state, network, columns))
    latents = model.abduct(given["x"], given["parents"][:, columns], original.noise())
    original.check("z_t1", latents[0].z)
    original.check("log_scale", model.predict([latents[0].z], given["parents"][:, columns])[1])


@pytest.mark.parametrize("name", names("predictor"))
@torch.inference_mode()
def test_predictors(name):
    original = Original(name)
    given = original.inputs()
    networks = networks_in(original.state())
    assert len(networks) == (3 if name.startswith("predictors") else 1)
    for prefix, state in networks.items():
        output = {"encoder_t": "thickness", "encoder_i": "intensity", "encoder_y": "digit"}.get(prefix, "")
        classes = 10 if "digit" in (output, original.config.get("attr")) else 2 if "celeba" in name else 0
        network = describe_predictor(state, given["x"].shape[-1], classes, name)
        context = given.get("y", given["intensity"] if output == "thickness" else None)
        if "architecture" in network:
            columns = range(network["context"])
            faces = AttributeNetwork(network["architecture"], 3, columns).eval()
            faces.load_state_dict(rename_predictor(state, network))
            original.check("out", faces.logit(given["x"], context))
            # Of images in [-1, 1], the probability of class 1 is that of the logit of images in [0, 1].
            probability = faces(2 * given["x"] - 1, context).probs[:, 1:]
            assert torch.allclose(probability, faces.logit(given["x"], context).sigmoid(), atol=1e-6)
            continue
        model = JudgeNetwork(**network).eval()
        model.load_state_dict(rename_predictor(state, network))
        raw = model.outputs(given["x"], context)
        original.check(f"{output}_raw" if output else "out", raw)
        if output and not classes:
            original.check(output, model(given["x"], context).mean[:, None])
        if not output and not classes and network["linear"]:
            assert torch.equal(model(given["x"], context).mean, raw[:, 0])  # no tanh
        # The slope of the networks trained here fits by shape and predicts something else.
        other = JudgeNetwork(**{**network, "slope": 0.1}).eval()
        other.load_state_dict(rename_predictor(state, network))
        assert original.error(f"{output}_raw" if output else "out", other.outputs(given["x"], context)) > 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "build", "rename"),
    [
        ("classifier_densenet121", DenseNetClassifier, rename_dime_classifier),
        ("oracle_vggface2_resnet50", VggFace2Oracle, rename_dime_oracle),
    ],
)
@torch.inference_mode()
def test_classifier_and_oracle_of_dime(name, build, rename):
    original = Original(name)
    saved, x = original.checkpoint(), original.inputs()["x"]
    model = build().eval()
    model.load_state_dict(rename(saved["feat_extract"], saved["classifier"]))
    original.check("features", model.features(x))
    original.check("logits", model(x))
    sides = [one.shape[-1] for one in model.stages(x)]
    assert sides == sorted(sides, reverse=True)
