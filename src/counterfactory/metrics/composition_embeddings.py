r"""Composition in embeddings: the distance between an answer to null interventions and its factual image in features.

After m null interventions, with f an embedding of D numbers,

.. math:: d_f = \frac{1}{D} \left\| f(x) - f(\hat x^{(m)}) \right\|_1

(Melistas et al., 2024, arXiv:2403.20287). Lower is better; the unit is that of the embedding, so that values of
different networks cannot be compared. There are two embeddings:

- `composition_judges`: the hidden layers of the judges of all variables, joined. Judges that have the effects of their
  variable as inputs receive the factual parents.
- `composition_vgg`: the last convolution of VGG-16, averaged over pixels; the trunk is that of LPIPS
  (`scores.lpips.net: vgg`). The benchmark uses the last but one dense layer, which is no part of these weights.

The benchmark also has an embedding by CLIP, which is absent here: its weights are in no package that this project
installs. These scores follow the original's code as described; no output of that code is compared.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..core.device import INFERENCE_BATCH, choose_device
from ..models.judges.model import Judge, encode_context, load_judge
from ..models.judges.network import JudgeNetwork
from ..nets.pixels import to_pixels
from ..pretrained.lpips import load_lpips
from .inputs import Score, Scorer, SuiteAnswers
from .lpips import first_questions
from .resources import Resources

if TYPE_CHECKING:
    import lpips

__all__ = ["SCORES", "distance", "judge_embeddings", "load", "vgg_embeddings"]

SCORES = {"null": ("composition_vgg", "composition_judges")}
NOT_VGG = "scores.lpips.net is not vgg"
NO_HIDDEN = "a judge has no hidden layer that this embedding uses"


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `composition_judges` and `composition_vgg`; reads `scores.lpips.net` and its own section.

    The scorer raises a :class:`counterfactory.core.errors.UserError` if a judge is missing or damaged.
    """
    settings = resources.settings.composition_embeddings
    is_vgg = resources.settings.lpips.net == "vgg"
    trunk = load_lpips(resources.lpips, choose_device(resources.device)) if is_vgg else None
    judges: dict[str, Judge] = {}

    def scorer(answers: SuiteAnswers) -> list[Score]:
        for name in answers.dataset.names:
            if name not in judges:
                judges[name] = load_judge(resources.judges / name, resources.device, f"judge of {name}")
        rows = first_questions(answers.questions, settings.questions)
        images, factual = answers.images[rows], answers.factual[rows]
        parents = {name: answers.true(name)[rows] for name in answers.dataset.names}
        missing = np.full(len(rows), np.nan)
        embedded = all(isinstance(judge.model, JudgeNetwork) for judge in judges.values())
        judged = seen = missing
        if embedded:
            judged = distance(*(judge_embeddings(judges, one, parents) for one in (factual, images)))
        if trunk is not None:
            seen = distance(*(vgg_embeddings(trunk, one) for one in (factual, images)))
        return [
            Score("composition_judges", judged, "" if embedded else NO_HIDDEN, rows),
            Score("composition_vgg", seen, "" if is_vgg else NOT_VGG, rows),
        ]

    return scorer


def distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference between embeddings (N, D), float64 (N,)."""
    return np.abs(first.astype(np.float64) - second.astype(np.float64)).mean(1)


@torch.inference_mode()
def judge_embeddings(
    judges: Mapping[str, Judge], images: np.ndarray, parents: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Returns the outputs of the hidden layer of every judge, joined, float32 (N, D).

    Arguments:
        judges: The judges, whose networks are :class:`counterfactory.models.judges.network.JudgeNetwork`.
        images: Uint8 images with shape (N, C, H, W).
        parents: The factual parents in physical units, (N,) each, for judges with a context.
    """
    parts = []
    for judge in judges.values():
        network: Any = judge.model
        context = encode_context(judge.context, parents)
        found = []
        for start in range(0, len(images), INFERENCE_BATCH):
            stop = start + INFERENCE_BATCH
            pooled = network.trunk(to_pixels(images[start:stop]).to(judge.device)).mean((2, 3))
            if context is not None:
                pooled = torch.cat([pooled, torch.from_numpy(context[start:stop]).to(judge.device)], 1)
            found.append(network.head[:3](pooled).cpu())
        parts.append(torch.cat(found) if found else torch.empty(0, network.head[0].out_features))
    return torch.cat(parts, 1).numpy()


@torch.inference_mode()
def vgg_embeddings(model: "lpips.LPIPS", images: np.ndarray) -> np.ndarray:
    """Returns the features of the last convolution of a trunk, averaged over pixels, float32 (N, D).

    Arguments:
        model: The LPIPS network.
        images: Uint8 images with shape (N, C, H, W), C 1 or 3.
    """
    device = model.scaling_layer.shift.device
    found = []
    for start in range(0, len(images), INFERENCE_BATCH):
        x = to_pixels(images[start : start + INFERENCE_BATCH]).to(device)
        found.append(model.net(model.scaling_layer(x.expand(-1, 3, -1, -1)))[-1].mean((2, 3)).cpu())
    return torch.cat(found).numpy() if found else np.empty((0, 1), np.float32)
