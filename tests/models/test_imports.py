"""Published weights become models: what the file cannot say is asked for, and wrong options are refused."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.core.errors import BadFile, UserError
from counterfactory.core.files import read_json, write_array, write_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import Dataset, declared, save_dataset
from counterfactory.models.classifier.model import load_classifier
from counterfactory.models.ddpm.model import load_ddpm
from counterfactory.models.image.model import load_image_mechanism
from counterfactory.models.imports import import_model
from counterfactory.models.judges.model import load_judge
from counterfactory.nets.unet import UNet
from counterfactory.pretrained.guided_diffusion import to_published
from tests.fixtures.originals import Original

MNIST = replace(declared("morphomnist"), simulated=False)
ATTRIBUTES = {
    "thick": SimpleNamespace(of="thickness", above=2.5),
    "bright": SimpleNamespace(of="intensity", above=160.0),
}
UNET = {"num_heads": 4, "use_new_attention_order": False, "predict_xstart": False}
UNET |= {"diffusion_steps": 500, "noise_schedule": "linear"}


def write(folder: Path, dataset: Dataset, images: np.ndarray, **more: np.ndarray) -> Path:
    """Writes the same images as the splits valid and test; `more` are further columns."""
    rng = np.random.default_rng(0)
    count = len(images)
    columns = {
        "index": np.arange(count),
        "thickness": rng.uniform(1, 6, count),
        "intensity": rng.uniform(70, 250, count),
        "digit": np.arange(count) % 10,
        **more,
    }
    for split in ("valid", "test"):
        write_array(folder / split / "images.npy", images)
        write_table(folder / split / "attributes.parquet", pd.DataFrame(columns))
    save_dataset(folder, dataset)
    return folder


@pytest.fixture
def data(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (20, 1, 32, 32), np.uint8)
    return write(tmp_path / "data", MNIST, images)


def saved(tmp_path: Path, value, name: str = "checkpoint.pt") -> Path:
    torch.save(value, tmp_path / name)
    return tmp_path / name


def run_of(tmp_path: Path, name: str, data: Path) -> Run:
    return Run(name, data, tmp_path / "models", tmp_path / "models" / name, attributes=ATTRIBUTES)


def test_the_averaged_weights_are_read_and_the_origin_is_recorded(tmp_path, data):
    original = Original("vae_morphomnist_exogenous")
    path = saved(tmp_path, original.checkpoint())  # model_state_dict holds other weights
    run = run_of(tmp_path, "vae", data)
    import_model(path, {}, run)
    model, given = load_image_mechanism(run.out, MNIST, expected="vae"), original.inputs()
    with torch.inference_mode():
        latents = model.abduct(given["x"], given["parents"], original.noise())
    assert original.error("z_t1", latents[0].z) <= 1
    imported = read_json(run.out / "model.json")["imported"]
    assert imported["file"] == "checkpoint.pt"
    assert len(imported["sha256"]) == 64
    assert imported["options"] == {"parents_x": ["thickness", "intensity", "digit"]}
    assert not (run.out / "log.csv").exists()


def test_hvae_without_its_settings_asks_for_them(tmp_path, data):
    original = Original("hvae_morphomnist_exogenous")
    path, run = saved(tmp_path, original.state()), run_of(tmp_path, "hvae", data)
    options = {"parents_x": "thickness,intensity,digit", "enc_arch": original.config["enc_arch"]}
    with pytest.raises(UserError, match="option parents_x: .* need it"):
        import_model(path, {}, run)
    with pytest.raises(UserError, match="option dec_arch: .* need it"):
        import_model(path, options, run)
    with pytest.raises(UserError, match=r"option dec_arch: has 16 blocks, but .* has 20"):
        import_model(path, options | {"dec_arch": "1b4,4b4,8b4,16b2,32b2"}, run)
    with pytest.raises(UserError, match="option dec_arch: 1b4,4b4 does not have the resolutions of enc_arch"):
        import_model(path, options | {"dec_arch": "1b4,4b4"}, run)
    with pytest.raises(UserError, match="option heads: .* no such option"):
        import_model(path, options | {"dec_arch": original.config["dec_arch"], "heads": 4}, run)
    import_model(path, options | {"dec_arch": original.config["dec_arch"]}, run)
    assert load_image_mechanism(run.out, MNIST).mediated is False


def test_options_that_contradict_the_file_are_refused(tmp_path, data):
    path = saved(tmp_path, Original("hvae_morphomnist_exogenous").checkpoint())
    with pytest.raises(UserError, match=r"option enc_arch: is 32b3d2, but the file says 32b3d2,16b3d2"):
        import_model(path, {"enc_arch": "32b3d2"}, run_of(tmp_path, "hvae", data))


def test_a_network_of_other_variables_or_images_is_refused(tmp_path, data):
    rgb = saved(tmp_path, Original("hvae_colour_mnist").checkpoint(), "rgb.pt")
    with pytest.raises(UserError, match="option parents_x: is digit, colour, but morphomnist has"):
        import_model(rgb, {}, run_of(tmp_path, "hvae", data))
    with pytest.raises(BadFile, match="not the weights of causal-gen's simple VAE"):
        import_model(
            saved(tmp_path, Original("hvae_morphomnist_exogenous").checkpoint()),
            {},
            run_of(tmp_path, "vae", data),
        )
    with pytest.raises(UserError, match="scm: no published weights are known"):
        import_model(rgb, {}, run_of(tmp_path, "scm", data))


def test_judges(tmp_path, data):
    thickness = saved(tmp_path, Original("predictor_benchmark_thickness").checkpoint(), "t.ckpt")
    run = run_of(tmp_path, "judges/thickness", data)
    with pytest.raises(UserError, match="option context: .* 1 inputs beside the image"):
        import_model(thickness, {}, run)
    with pytest.raises(UserError, match="option context: digit have 10 columns, but the network has 1"):
        import_model(thickness, {"context": "digit"}, run)
    import_model(thickness, {"context": "intensity"}, run)
    judge = load_judge(run.out, expected="judge of thickness")
    original = Original("predictor_benchmark_thickness")
    given = original.inputs()
    variable, shade = MNIST.variables[0], MNIST.variables[1]
    pixels = ((given["x"] + 1) * 127.5).round().to(torch.uint8).numpy()
    intensity = shade.low + 0.5 * (given["y"][:, 0].double().numpy() + 1) * (shade.high - shade.low)
    found = judge(pixels, {"intensity": intensity})
    network_units = torch.tensor(2 * (found - variable.low) / (variable.high - variable.low) - 1)[:, None]
    assert original.error("out", network_units) <= 5
    assert read_json(run.out / "model.json")["errors"]["test"]["n"] == 20
    with pytest.raises(BadFile, match="has 1 outputs, but predicts 10 classes"):
        import_model(thickness, {}, run_of(tmp_path, "judges/digit", data))


def test_a_file_of_several_predictors_asks_for_one(tmp_path, data):
    path = saved(tmp_path, Original("predictors_causal_gen_morphomnist").checkpoint())
    with pytest.raises(UserError, match=r"option network: .* \(encoder_t, encoder_i, encoder_y\)"):
        import_model(path, {}, run_of(tmp_path, "predictors/digit", data))
    with pytest.raises(BadFile, match="has 2 outputs, but predicts 10 classes"):
        import_model(path, {"network": "encoder_i"}, run_of(tmp_path, "predictors/digit", data))
    run = run_of(tmp_path, "predictors/digit", data)
    import_model(path, {"network": "encoder_y"}, run)
    assert load_judge(run.out, expected="predictor of digit").variable.classes == 10


def published_unet(seed: int = 0, side: int = 32, **changes) -> tuple[UNet, dict]:
    """Returns a small grey U-Net and its arguments."""
    network = {"width": 32, "multipliers": [1], "blocks": 1, "attention": [side], "patch": 1, "groups": 32}
    network |= {"skips": "block", "learned_variance": False, "conv_resample": False, "shift_only": False}
    network |= {"classes": 0, "heads": 4} | changes
    torch.manual_seed(seed)
    return UNet((1, side, side), **network), network


def test_ddpm_asks_for_what_the_file_cannot_say(tmp_path, data):
    unet, network = published_unet(multipliers=[1, 2], attention=[16])
    path = saved(tmp_path, to_published(unet.state_dict(), network, 32))
    run = run_of(tmp_path, "ddpm", data)
    for name in UNET:
        with pytest.raises(UserError, match=f"option {name}"):
            import_model(path, {key: value for key, value in UNET.items() if key != name}, run)
    with pytest.raises(UserError, match="option num_heads: is 3, which does not divide 64 channels"):
        import_model(path, UNET | {"num_heads": 3}, run)
    import_model(path, UNET, run)
    loaded, schedule = load_ddpm(run.out, MNIST)
    x, t = torch.randn(2, 1, 32, 32), torch.tensor([3, 400])
    with torch.inference_mode():
        assert torch.equal(loaded(x, t), unet.eval()(x, t))
    assert len(schedule) == 500
    # Untrained weights denoise nothing, so that no option can be confirmed, and the description says so.
    assert "not confirmed" in read_json(run.out / "model.json")["denoising_error"]["note"]


def own_network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, 2, 1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, 1, 1),
        torch.nn.LeakyReLU(0.2),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 12),
    ).eval()


def test_own_classifier_in_onnx(tmp_path, data):
    onnx = pytest.importorskip("onnx")
    network = own_network()
    arrays = {
        key: onnx.numpy_helper.from_array(one.numpy(), key)
        for key, one in network.state_dict().items()
        if "num_batches" not in key
    }
    make = onnx.helper.make_node
    names = ["1.weight", "1.bias", "1.running_mean", "1.running_var"]
    convolution = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        make("Conv", ["image", "0.weight", "0.bias"], ["a"], strides=[2, 2], **convolution),
        make("BatchNormalization", ["a", *names], ["b"]),
        make("Relu", ["b"], ["c"]),
        make("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Conv", ["d", "4.weight", "4.bias"], ["e"], **convolution),
        make("LeakyRelu", ["e"], ["f"], alpha=0.2),
        make("GlobalAveragePool", ["f"], ["g"]),
        make("Flatten", ["g"], ["h"]),
        make("Gemm", ["h", "8.weight", "8.bias"], ["logits"], transB=1),
    ]

    def write_graph(nodes: list) -> Path:
        value = onnx.helper.make_tensor_value_info
        ends = [value("image", 1, [None, 1, 32, 32])], [value("logits", 1, [None, 12])]
        graph = onnx.helper.make_graph(nodes, "own", *ends, list(arrays.values()))
        onnx.save(onnx.helper.make_model(graph), tmp_path / "own.onnx")
        return tmp_path / "own.onnx"

    run = run_of(tmp_path, "classifier", data)
    path = write_graph(nodes)
    with pytest.raises(UserError, match="option outputs: .* name all, in order"):
        import_model(path, {}, run)
    outputs = "bright,-," + ",".join(f"digit={k}" for k in range(10))
    options = {"outputs": outputs, "pixels": "[0, 1]"}
    with pytest.raises(UserError, match=r"option pixels: is \[0, 255\]; choose from"):
        import_model(path, options | {"pixels": "[0, 255]"}, run)
    import_model(path, options, run)
    classifier = load_classifier(run.out, expected="classifier")
    x = torch.rand(3, 1, 32, 32) * 2 - 1
    with torch.inference_mode():
        expected = network((x + 1) / 2)
        logits = classifier.logits(x)
        assert classifier.names == ("thick", "bright")
        assert torch.allclose(logits[:, 1], expected[:, 0], atol=1e-6)
        assert torch.equal(logits[:, 0], torch.zeros(3))  # it does not predict thick
        assert torch.allclose(logits[:, 2:], expected[:, 2:], atol=1e-6)
        assert torch.allclose(classifier.features(x), network[:8]((x + 1) / 2), atol=1e-6)
        assert [one.shape[-1] for one in classifier.stages(x)] == [16, 8]
    assert "does not predict thick" in classifier.constant["thick"]
    # Explanations need gradients to the image.
    x.requires_grad_()
    classifier.logits(x)[:, 1].sum().backward()
    assert float(x.grad.abs().sum()) > 0
    refused = write_graph([*nodes[:2], make("Softplus", ["b"], ["c"]), *nodes[3:]])
    with pytest.raises(UserError, match="the operator Softplus is not supported"):
        import_model(refused, options, run)


def test_own_state_dictionary(tmp_path):
    torchvision = pytest.importorskip("counterfactory.pretrained.torchvision_import")
    dataset = replace(MNIST, shape=(3, 32, 32))
    images = np.random.default_rng(1).integers(0, 256, (20, 3, 32, 32), np.uint8)
    data = write(tmp_path / "data", dataset, images)
    network = torchvision.import_torchvision().models.get_model("resnet18", num_classes=2).eval()
    path, run = saved(tmp_path, {"state_dict": network.state_dict()}), run_of(tmp_path, "classifier", data)
    options = {"architecture": "resnet18", "outputs": "thick,bright", "pixels": "imagenet"}
    with pytest.raises(UserError, match="option architecture: .* need it"):
        import_model(path, {}, run)
    with pytest.raises(UserError, match="option architecture: resnet81 is no classifier of torchvision"):
        import_model(path, options | {"architecture": "resnet81"}, run)
    with pytest.raises(BadFile, match="not the weights of resnet34"):
        import_model(path, options | {"architecture": "resnet34"}, run)
    import_model(path, options, run)
    classifier = load_classifier(run.out)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    means = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviations = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.inference_mode():
        expected = network(((x + 1) / 2 - means) / deviations)
        assert torch.allclose(classifier.logits(x)[:, :2], expected, atol=1e-5)
    assert "does not predict digit" in classifier.constant["digit"]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, data):
    class Hostile:
        def __reduce__(self):
            return (print, ("ran",))

    path = saved(tmp_path, {"state_dict": {"cnn.0.weight": Hostile()}})
    with pytest.raises(BadFile, match="refers to .*builtin.*print"):
        import_model(path, {}, run_of(tmp_path, "judges/digit", data))
