"""Weights of published face networks: exactly the published keys are accepted."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_json
from counterfactory.models.identity.model import load_identity
from counterfactory.pretrained.identity import REFERENCE, fetch_identity
from counterfactory.pretrained.identity_networks import build_published_identity


def published(seed=0):
    """A file of VGGFace2's ResNet-50 in the published format with random weights: a dictionary of float32 arrays."""
    torch.manual_seed(seed)
    state = build_published_identity("vggface2_resnet50").state_dict()
    arrays = {name: one.numpy() for name, one in state.items() if not name.endswith("num_batches_tracked")}
    rng = np.random.default_rng(seed)
    return arrays | {
        "fc.weight": rng.normal(size=(8631, 2048)).astype(np.float32),
        "fc.bias": np.zeros(8631, np.float32),
    }


@pytest.mark.parametrize("container", [dict, OrderedDict])
def test_the_resnet_is_read_key_for_key(tmp_path, container):
    arrays = published()
    assert len(arrays) == 267
    (tmp_path / "resnet50_ft_weight.pkl").write_bytes(pickle.dumps(container(arrays), protocol=2))
    fetch_identity("vggface2_resnet50", str(tmp_path / "resnet50_ft_weight.pkl"), tmp_path / "identity")
    meta = read_json(tmp_path / "identity" / "model.json")
    assert meta["threshold"] == 0.5 and meta["source"] == "resnet50_ft_weight.pkl"
    embed = load_identity(tmp_path / "identity")
    for name, one in embed.network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(one.numpy(), arrays[name])
    found = embed(np.random.default_rng(1).integers(0, 256, (3, 3, 20, 20), dtype=np.uint8))
    assert found.shape == (3, 2048) and embed.threshold == 0.5
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0)
    assert embed(np.zeros((0, 3, 20, 20), np.uint8)).shape == (0, 2048)


def test_other_files_are_refused_in_a_line(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("called",)

    arrays = published()
    spoilt = {
        "not a pickle of arrays": Evil(),
        "not a dictionary of arrays": [np.zeros(3)],
        "not the weights of vggface2_resnet50": {
            name: one for name, one in arrays.items() if name != "bn1.bias"
        },
        "Unexpected key": arrays | {"extra.weight": np.zeros(1, np.float32)},
        "size mismatch": arrays | {"bn1.bias": np.zeros(3, np.float32)},
    }
    for text, value in spoilt.items():
        (tmp_path / "spoilt.pkl").write_bytes(pickle.dumps(value))
        with pytest.raises(UserError, match=text) as caught:
            fetch_identity("vggface2_resnet50", str(tmp_path / "spoilt.pkl"), tmp_path / "identity")
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="choose vggface2_resnet50 or mobilefacenet"):
        fetch_identity("facenet", "package", tmp_path / "identity")
    assert not (tmp_path / "identity").exists()


@pytest.mark.slow
@pytest.mark.network
def test_the_package_gives_the_known_cosine(tmp_path):
    pytest.importorskip("onnx")
    fetch_identity("mobilefacenet", "package", tmp_path)
    meta = read_json(tmp_path / "model.json")
    assert meta["reference_cosine"] == pytest.approx(REFERENCE["mobilefacenet"], abs=1e-4)
    assert load_identity(tmp_path).threshold == 0.25
