"""Any change of a file of weights or of an option gives a working model or one line, never a traceback."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from counterfactory.core.errors import BadFile, UserError
from counterfactory.core.run import Run
from counterfactory.data.dataset import Variable
from counterfactory.models.classifier.model import load_classifier
from counterfactory.models.classifier.network import ClassifierNetwork
from counterfactory.models.ddpm.model import load_ddpm
from counterfactory.models.image.model import load_image_mechanism
from counterfactory.models.imports import import_model
from counterfactory.models.judges.model import load_judge
from tests import published_states
from tests.models.test_imports import MNIST, run_of, saved, write
from tests.published_states import UNET

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

BINARY = Variable("shape", "categorical", classes=2)
SMALL = replace(MNIST, shape=(1, 8, 8))
OUTPUTS = {"outputs": "thick,bright,-", "pixels": "[0, 1]"}
OWN = OUTPUTS | {"architecture": "counterfactory"}
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    3,
    10**30,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "abc",
    "a,b",
    "8b1",
    "\n",
]
VALUES += [[], [1], ["a"], [["a"]], {"a": 1}, "9b9" * 200, "9" * 5000 + "b1", "8b1d0,4b1,1b1", "0b1,1b1"]


def own_classifier() -> dict[str, Any]:
    torch.manual_seed(0)
    return {"state_dict": ClassifierNetwork(1, 3, width=2, halvings=2, features=4).state_dict()}


FORMATS: dict[str, tuple[str, Callable[[], Any], str, dict[str, Any]]] = {
    "hvae": ("hvae", published_states.hvae, "ema_model_state_dict", {}),
    "vae": ("vae", published_states.vae, "ema_model_state_dict", {}),
    "linear predictor": (
        "judges/thickness",
        lambda: published_states.predictor(1),
        "state_dict",
        {"context": "intensity"},
    ),
    "predictor": (
        "judges/intensity",
        lambda: published_states.predictor(0, 2),
        "state_dict",
        {"low": 60, "high": 255.0},
    ),
    "classes": ("judges/digit", lambda: published_states.predictor(0, 10), "state_dict", {}),
    "unet": ("ddpm", lambda: {"model": published_states.unet()[1]}, "model", UNET),
    "own classifier": ("classifier", own_classifier, "state_dict", OWN),
}
"""Name of the model, checkpoint, entry of the weights and options of each format."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    images = np.random.default_rng(1).integers(0, 256, (6, 1, 8, 8), np.uint8)
    return write(tmp_path_factory.mktemp("data"), SMALL, images)


class Case(NamedTuple):
    """A checkpoint of one format, written to `path`, and the import of it."""

    name: str
    path: Path
    value: dict[str, Any]
    entry: str
    options: dict[str, Any]
    run: Run


@pytest.fixture(params=FORMATS)
def case(request, tmp_path, data) -> Case:
    model, make, entry, options = FORMATS[request.param]
    value = make()
    return Case(request.param, saved(tmp_path, value), value, entry, options, run_of(tmp_path, model, data))


def changed(state: dict[str, torch.Tensor], key: str) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Yields state dictionaries in which one tensor is another one, missing, or twice there."""
    one = state[key]
    rest = {name: tensor for name, tensor in state.items() if name != key}
    yield "dropped", rest
    yield "unknown", state | {f"{key}.more": one}
    yield "renamed", rest | {f"x.{key}": one}
    yield "without its module", rest | {key.rpartition(".")[2]: one}
    others = {
        "transposed": one.transpose(0, -1).contiguous() if one.dim() > 1 else one.reshape(1, -1),
        "of one more axis": one[None],
        "flat": one.flatten(),
        "a scalar": torch.tensor(0.5),
        "integers": one.to(torch.int64),
        "half": one.half() if one.is_floating_point() else one.float(),
        "complex": one.to(torch.complex64),
        "truth values": one > 0,
        "NaN": torch.full(one.shape, torch.nan),
        "infinite": torch.full(one.shape, torch.inf),
        "overflowing": torch.full(one.shape, 3e38),
        "too large for float32": torch.full(one.shape, 1e300, dtype=torch.float64),
        "negative": torch.full(one.shape, -1.0),
        "empty": one.flatten()[:0],
        "of no rows": one[:0] if one.dim() else one.reshape(1)[:0],
        "of more rows": torch.cat([one, one]) if one.dim() else one.repeat(2),
        "wide": torch.zeros(5_000, *one.shape[1:]) if one.dim() and one[:1].numel() < 100 else one,
        "expanded": torch.zeros(1).expand(10**5, 10**5),
    }
    for name, tensor in others.items():
        yield name, state | {key: tensor}


def works_or_one_line(path: Path, options: dict[str, Any], run: Run, dataset=SMALL) -> str:
    """Imports, and returns the error, which has one line; empty if there is none and the model computes numbers."""
    try:
        import_model(path, options, run)
    except UserError as error:
        line = str(error)
        assert "\n" not in line and "\r" not in line and 20 < len(line) < 900, line
        assert path.name in line or "option" in line, line
        return line
    images = np.random.default_rng(2).integers(0, 256, (2, *dataset.shape), np.uint8)
    x, parents = torch.from_numpy(images) / 127.5 - 1, torch.ones(2, dataset.width)
    with torch.inference_mode():
        if run.name == "ddpm":
            out = load_ddpm(run.out, dataset)[0](x, torch.tensor([1, 2]))
        elif run.name in ("vae", "hvae"):
            model = load_image_mechanism(run.out, dataset)
            noise = [torch.zeros(2, *shape) for shape in model.noise_shapes]
            out = model.abduct(x, parents, noise)[0].z
        elif run.name == "classifier":
            out = load_classifier(run.out).logits(x)
        else:
            columns = {name: np.ones(2) for name in dataset.names}
            out = torch.from_numpy(load_judge(run.out)(images, columns))
    assert bool(torch.isfinite(out).all())
    return ""


@pytest.mark.slow
def test_changed_weights(case):
    path, value, entry, options, run = case.path, case.value, case.entry, case.options, case.run
    state = value[entry]
    assert works_or_one_line(path, options, run) == ""
    keys = list(state)
    rng = np.random.default_rng(0)
    errors = 0
    for key in [keys[0], keys[-1], *rng.choice(keys[1:-1], 2, replace=False)]:
        for kind, other in changed(state, str(key)):
            torch.save(value | {entry: other}, path)
            line = works_or_one_line(path, options, run)
            errors += bool(line)
            # Of these, some are the same weights in another form, and some are joined with other tensors.
            fine = (
                "half",
                "overflowing",
                "negative",
                "unknown",
                "dropped",
                "wide",
                "flat",
                "integers",
                "a scalar",
            )
            fine += ("truth values",)
            assert line or kind in fine or "num_batches" in str(key), (key, kind)
    assert errors > 40


@pytest.mark.slow
def test_changed_checkpoints(case):
    path, value, entry, options, run = case.path, case.value, case.entry, case.options, case.run
    wrong: list[Any] = [None, 3, "text", [], {}, {"a": 1}, {"a": None}, {1: torch.zeros(2)}, torch.zeros(3)]
    for one in wrong:
        torch.save(value | {entry: one}, path)
        assert works_or_one_line(path, options, run)
        torch.save(one, path)
        assert works_or_one_line(path, options, run)
    for other, (_, make_other, _, _) in FORMATS.items():
        if make_other()[list(make_other())[0]].keys() != value[entry].keys():
            torch.save(make_other(), path)
            assert works_or_one_line(path, options, run), other


@pytest.mark.slow
def test_changed_options(case):
    path, value, options, run = case.path, case.value, case.options, case.run
    more = {"hvae": ("parents_x", "enc_arch", "dec_arch"), "vae": ("parents_x",), "own classifier": ("size",)}
    more["unet"] = ("num_head_channels", "num_heads_upsample", "label", "rescale_timesteps")
    for key in [*options, *more.get(case.name, ()), "no_such_option"]:
        # A successful import of a U-Net takes longer, so that fewer values are tried.
        for one in VALUES if case.name != "unet" else VALUES[::2]:
            works_or_one_line(path, options | {key: one}, run)
    if "hparams" in value:  # what the file contains may be anything too
        for key in value["hparams"]:
            for one in VALUES:
                torch.save(value | {"hparams": value["hparams"] | {key: one}}, path)
                works_or_one_line(path, {}, run)
        for one in (None, 3, [], "text", {}):
            torch.save(value | {"hparams": one}, path)
            assert works_or_one_line(path, {}, run).startswith("option ")


def test_onnx_files(tmp_path, data):
    onnx = pytest.importorskip("onnx")
    make = onnx.helper.make_node
    network, path = published_states.small_classifier(), tmp_path / "own.onnx"
    run = run_of(tmp_path, "classifier", data)
    published_states.onnx_classifier(path, network)
    assert works_or_one_line(path, OUTPUTS, run) == ""
    for names, line in (
        ("thick,bright", "option outputs: has 2 names, but the network has 3 logits"),
        ("thick,bright,-,-", "option outputs: has 4 names, but the network has 3 logits"),
        ("thick,thick,-", "option outputs: names thick twice"),
    ):
        assert line in works_or_one_line(path, OUTPUTS | {"outputs": names}, run)
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    wrong: list[dict[str, Any]] = [
        {"arrays": {"0.weight": array(4, 1, 3)}},
        {"arrays": {"0.weight": array(4, 2, 3, 3)}},
        {"arrays": {"0.weight": array(0, 1, 3, 3)}},
        {"arrays": {"0.weight": np.full((4, 1, 3, 3), np.nan, np.float32)}},
        {"arrays": {"0.weight": np.full((4, 1, 3, 3), "a")}},
        {
            "arrays": {
                "0.weight": np.full((4, 1, 3, 3), 3e38, np.float32),
                "4.weight": np.full((3, 4), 3e38, np.float32),
            }
        },
        {"arrays": {"4.weight": array(3, 5)}},
        {"arrays": {"4.weight": array(12)}},
        {"pads": [1, 1]},
        {"pads": [10**9] * 4},
        {"pads": [-1] * 4},
        {"strides": [0, 0]},
        {"strides": [10**12, 1]},
        {"kernel_shape": "three"},
        {"dilations": [10**6, 10**6]},
        {"group": 0},
        {"group": 7},
        {"auto_pad": "SAME_UPPER"},
        {"nodes": [make("Relu", ["image"], ["logits"])]},
        {"nodes": [make("Relu", ["other"], ["logits"])]},
        {"nodes": [make("Relu", ["image"], ["b"])]},
        {"nodes": [make("Relu", [], ["logits"])]},
        {"nodes": [make("Conv", ["image"], ["logits"])]},
        {"nodes": [make("Nonsense", ["image"], ["logits"])]},
        {"nodes": [make("Flatten", ["image"], ["logits"], axis=0)]},
        {"nodes": [make("Flatten", ["image"], ["logits"], axis=9)]},
        {"nodes": [make("Concat", ["image"], ["logits"])]},
        {"nodes": [make("MaxPool", ["image"], ["logits"])]},
        {"nodes": [make("ReduceMean", ["image"], ["logits"], axes="all")]},
        {"nodes": [make("GlobalAveragePool", ["image"], ["logits"])]},
        {"nodes": [make("Constant", [], ["a"], value_string=b"x"), make("Add", ["image", "a"], ["logits"])]},
        {"nodes": [make("Add", ["later", "image"], ["logits"]), make("Relu", ["image"], ["later"])]},
    ]
    for changes in wrong:
        published_states.onnx_classifier(path, network, **changes)
        assert works_or_one_line(path, OUTPUTS, run), changes
    for content in (b"", b"onnx", path.read_bytes()[:-20], bytes(1000)):
        path.write_bytes(content)
        assert works_or_one_line(path, OUTPUTS, run)


def test_a_classifier_of_this_package(tmp_path, data):
    network = ClassifierNetwork(1, 3, width=2, halvings=2, features=4).eval()
    path = saved(tmp_path, network.state_dict())
    run = run_of(tmp_path, "classifier", data)
    import_model(path, OWN | {"pixels": "[-1, 1]"}, run)
    x = torch.rand(2, 1, 8, 8) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(load_classifier(run.out).logits(x)[:, :2], network(x)[:, :2], atol=1e-6)
    for architecture in ("onnx", "dime_classifier", "dime_oracle"):
        with pytest.raises(UserError, match=f"option architecture: {architecture} is recognised by"):
            import_model(path, OWN | {"architecture": architecture}, run)
    with pytest.raises(BadFile, match="not the weights of DiME's classifier"):
        torch.save({"feat_extract": network.state_dict(), "classifier": {"bias": torch.zeros(2)}}, path)
        rgb = write(tmp_path / "rgb", replace(SMALL, shape=(3, 8, 8)), np.zeros((6, 3, 8, 8), np.uint8))
        import_model(path, {"outputs": "thick,bright"}, replace(run, data=rgb))


@pytest.mark.parametrize("columns", [1, 2])
def test_a_binary_context_is_one_column_or_two(tmp_path, columns):
    dataset = replace(SMALL, variables=(*SMALL.variables, BINARY))
    images = np.random.default_rng(1).integers(0, 256, (6, 1, 8, 8), np.uint8)
    folder = write(tmp_path / "data", dataset, images, shape=np.arange(6) % 2)
    value = published_states.predictor(columns)
    run = run_of(tmp_path, "judges/thickness", folder)
    import_model(saved(tmp_path, value), {"context": "shape"}, run)
    judge = load_judge(run.out)
    # The first dense layer before its normalization: the columns of the file, times 0 and 1, or the one-hot code.
    weight = value["state_dict"]["fc.0.weight"][:, -columns:]
    found = judge.model.head[0].weight[:, -2:]
    assert found.shape[1] == 2
    expected = weight if columns == 2 else torch.cat([torch.zeros_like(weight), weight], 1)
    assert torch.equal(found, expected)
    predicted = judge(images, {"shape": np.arange(6) % 2})
    assert np.isfinite(predicted).all() and not np.allclose(predicted, judge(images, {"shape": np.zeros(6)}))


def test_options_of_judges(tmp_path, data):
    path = saved(tmp_path, published_states.predictor())
    run = run_of(tmp_path, "judges/thickness", data)
    for options, line in (
        ({"low": "abc", "high": 3}, "option low: is abc; give a number"),
        ({"low": 4, "high": 3}, "option low: is 4, but high is 3"),
        ({"low": 4}, "option high: .* both ends of the range"),
        ({"low": True, "high": 3}, "option low: is true; give a number"),
    ):
        with pytest.raises(UserError, match=line):
            import_model(path, options, run)


@pytest.mark.parametrize(("side", "levels"), [(12, 4), (2, 3), (28, 4)])
def test_images_that_cannot_be_halved_as_often(tmp_path, side, levels):
    state = published_states.unet(side=64, multipliers=[1] * levels, attention=[64])[1]
    path = saved(tmp_path, state)
    dataset = replace(SMALL, shape=(1, side, side))
    data = write(tmp_path / "data", dataset, np.zeros((6, 1, side, side), np.uint8))
    run = run_of(tmp_path, "ddpm", data)
    with pytest.raises(
        UserError, match=f"halves the resolution {levels - 1} times, but images have {side} px"
    ):
        import_model(path, UNET, run)
