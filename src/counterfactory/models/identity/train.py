r"""Trains the identity network: do two images show the same source image, with different parents?

For faces, face verification accuracy (FVA; Rodriguez et al., 2021, arXiv:2103.10226) uses an embedding trained on
VGGFace2. Here an identity is one source image of the split `judges`. Its images are renderings by the simulated world
with new values of the parents that a rendering can change (:mod:`counterfactory.models.identity.renderings`). With
embeddings e of norm 1 and a normalized proxy :math:`w_j` for each source j, training minimizes

.. math:: -\log \frac{\exp(e(x_i)^\top w_i / \tau)}{\sum_{j \in C(i)} \exp(e(x_i)^\top w_j / \tau)}

(normalized softmax; Wang et al., 2017, arXiv:1704.06369). The sum runs over the sources of the same class only, because
sources of different classes are easy to distinguish. The proxies are not saved. If the data set is not simulated but
has a column `identity`, the network is trained by :mod:`counterfactory.models.identity.persons` instead.

One half of the held-out sources selects the weights and sets the threshold: the lowest cosine that at most a share
`false_accept` of the hard pairs exceed. The other half is only measured: `model.json` reports its verification AUC, and
the false and true accept rates of the threshold, also for *matched* impostors, the renderings of the same class with
the nearest values of these parents.
"""

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.checkpoint import load_network
from ...core.device import choose_device
from ...core.errors import UserError
from ...core.noise import derive_seed, generator
from ...core.run import Run
from ...data.dataset import load_dataset, load_split
from ...data.worlds import world
from ...nets.pixels import to_pixels
from ...training.augmentation import shift_images
from ...training.held_out import hold_out
from ...training.loop import Fit, Loss, fit
from .model import Identity
from .network import IdentityCNN
from .persons import COLUMN, joined, train_on_persons
from .renderings import Sources, render_sources, varied
from .verification import verification, write_verification

if TYPE_CHECKING:
    from ...config.attributes import IdentitySettings

__all__ = ["same_class_softmax", "train_identity"]


def train_identity(settings: "IdentitySettings", run: Run) -> None:
    """Trains the identity network and writes it to `run.out`; resumes a killed training.

    `model.json` holds `threshold` and `verification`.

    Arguments:
        settings: The section `identity` of the configuration.
        run: The folders and device. The seed is that of the settings. Only the split `judges` is read, and, if the data
            set has identities, `train` if the settings name it and `test`, which is only measured.

    Raises:
        UserError: If the data are missing or not simulated, too few sources of one class are held out, or the network
            is a published one.
    """
    if settings.network.name != "trained":
        raise UserError(
            f"identity.network.name: {settings.network.name} is not trained here; fetch its weights (counterfactory"
            " weights identity), or set trained"
        )
    dataset, device = load_dataset(run.data), choose_device(run.device)
    split = load_split(run.data, "judges")
    if world(dataset.name) is None and COLUMN in split.attributes:
        everyone = [split if name == "judges" else load_split(run.data, name) for name in settings.splits]
        train_on_persons(settings, run, dataset, joined(everyone), load_split(run.data, "test"))
        return
    train, held_out = hold_out(len(split.images), settings.held_out, settings.seed)
    # The held-out rows are sorted, and the rows of the split are in random order.
    parts = {"train": _sources(train, settings), "valid": held_out[0::2], "measured": held_out[1::2]}
    rows = np.concatenate(list(parts.values()))
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    # One number per combination of the classes that a rendering does not change.
    all_classes = np.zeros(len(rows), np.int64)
    for variable in [one for one in dataset.variables if one.classes and one.name not in varied(dataset)]:
        all_classes = (
            all_classes * variable.classes + split.attributes[variable.name].to_numpy(np.int64)[rows]
        )
    classes = dict(zip(parts, np.split(all_classes, ends), strict=True))
    if len(np.unique(classes["valid"])) == len(classes["valid"]):
        raise UserError(
            f"identity.held_out: no two of the {len(parts['valid'])} sources that set the threshold are of one class; "
            "raise it, or data.judges"
        )
    rendered = render_sources(
        Sources(dataset, run.data, split, rows),
        settings.renderings,
        settings.seed,
        settings.training.threads,
        run.out,
    )
    images, parents = (dict(zip(parts, np.split(values, ends), strict=True)) for values in rendered)

    network = {
        "channels": dataset.shape[0],
        "width": settings.network.width,
        "halvings": settings.network.halvings,
        "features": settings.network.features,
    }
    seed = derive_seed(settings.seed, "identity")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = IdentityCNN(**network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Parameters of the model, so that the loop optimizes and averages them; `transient` omits them when saving.
        model.proxies = nn.Parameter(F.normalize(torch.randn(len(parts["train"]), settings.network.features)))
    meta = {
        "kind": "identity",
        "network": network,
        "shift": settings.shift,
        "renderings": settings.renderings,
        "sources": {name: len(part) for name, part in parts.items()},
    }
    fit(
        model,
        _loss(settings, torch.from_numpy(classes["train"])),
        _tensors(images["train"], classes["train"]),
        _tensors(images["valid"], classes["valid"]),
        settings.training,
        Fit(run.out, seed, device, meta, label="identity", transient="proxies"),
    )

    embed = Identity(load_network(run.out, IdentityCNN, device)[0], 0.0, device)
    cosines = {
        name: verification(_embed(embed, images[name]), classes[name], parents[name], settings.seed)
        for name in ("valid", "measured")
    }
    counts = {name: len(parts[name]) for name in cosines}
    write_verification(run.out, cosines, counts, settings.false_accept)


def same_class_softmax(
    embeddings: Tensor, proxies: Tensor, own: Tensor, allowed: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Returns the loss of the module's docstring, and the share of embeddings whose nearest allowed proxy is their own.

    Arguments:
        embeddings: Embeddings of norm 1 with shape (B, F).
        proxies: Proxies with shape (N, F), of any norm.
        own: The index of the own proxy of each embedding, (B,).
        allowed: Which proxies each embedding is compared with, bool (B, N); its own is one of them.
        temperature: The temperature of the softmax.
    """
    cosines = embeddings @ F.normalize(proxies, dim=1).T
    logits = (cosines / temperature).masked_fill(~allowed, -torch.inf)
    return F.cross_entropy(logits, own), (logits.argmax(1) == own).float().mean()


def _sources(rows: np.ndarray, settings: "IdentitySettings") -> np.ndarray:
    """Returns at most `settings.sources` of the rows, sorted. A larger number contains those of a smaller one."""
    order = generator(settings.seed, "identity", "sources").permutation(len(rows))
    return np.sort(rows[order[: settings.sources]])


def _loss(settings: "IdentitySettings", classes: Tensor) -> Loss:
    """Returns the loss of the module's docstring; held-out sources, without proxies, are compared with each other."""

    def loss(
        model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        images, own = batch["images"], batch["classes"]
        count, views = images.shape[:2]
        each = torch.arange(count, device=images.device)
        if model.training:
            view = torch.randint(views, (count,), generator=generator, device=images.device)
            shown = images[each, view]
            if settings.shift:
                shown = shift_images(shown, settings.shift, generator)
            allowed = own[:, None] == classes.to(own.device)
            proxies = cast(Tensor, model.proxies)
            value, correct = same_class_softmax(
                model(to_pixels(shown)), proxies, batch["source"], allowed, settings.temperature
            )
        else:
            first, last = model(to_pixels(images[:, 0])), model(to_pixels(images[:, -1]))
            allowed = own[:, None] == own
            value, correct = same_class_softmax(first, last, each, allowed, settings.temperature)
        return value, {"accuracy": correct.detach()}

    return loss


def _tensors(images: np.ndarray, classes: np.ndarray) -> dict[str, Tensor]:
    return {
        "images": torch.from_numpy(images),
        "classes": torch.from_numpy(classes),
        "source": torch.arange(len(images)),
    }


def _embed(embed: Identity, images: np.ndarray) -> np.ndarray:
    """Embeds images (N, V, C, H, W) as (N, V, F)."""
    embeddings = embed(images.reshape(-1, *images.shape[2:]))
    return embeddings.reshape(*images.shape[:2], embeddings.shape[1])
