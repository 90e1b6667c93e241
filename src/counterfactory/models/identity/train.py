r"""Trains the identity embedding: is this still the same hand, at another thickness and intensity?

What VGGFace2 is to faces (face verification accuracy, FVA; Rodriguez et al., 2021, arXiv:2103.10226), an embedding on
the unit sphere is here to digits. A "person" is one source digit of the judges' split, and the person's photographs are
renderings of it by the simulated world at values of the continuous parents that are dealt out anew, each on its own,
within the split. With unit embeddings e and a unit proxy :math:`w_j` for each source j, it minimises

.. math:: -\log \frac{\exp(e(x_i)^\top w_i / \tau)}{\sum_{j \in C(i)} \exp(e(x_i)^\top w_j / \tau)}

(normalised softmax; Wang et al., 2017, arXiv:1704.06369), where the sum runs over the sources of the same class only:
to tell a 3 from an 8 is no feat, so every negative is a hard one. Proxies are not kept.

Of the held-out sources one half selects the weights and sets the threshold, the lowest cosine that at most a share
`false_accept` of hard pairs exceed. The other half is only measured: `model.json` reports its verification AUC and the
threshold's false and true accept rates, also against *matched* impostors, which among all renderings of the class are
nearest in thickness and intensity.
"""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.checkpoint import load_network
from ...core.device import choose_device
from ...core.errors import UserError
from ...core.files import read_json, write_array, write_json
from ...core.noise import derive_seed, generator
from ...core.progress import progress
from ...data.dataset import Dataset, Split, load_dataset, load_split
from ...data.worlds import world
from ...nets.pixels import to_pixels
from ...training.augmentation import shift_images
from ...training.held_out import hold_out
from ...training.loop import TrainingSettings, fit
from .model import Identity
from .network import IdentityCNN
from .roc import area_under_curve, threshold_at

__all__ = ["IdentitySettings", "render_sources", "same_class_softmax", "train_identity", "verification"]

CHUNK = 250  # images rendered between two moves of the progress line
IMPOSTORS = 10  # hard pairs tried for each rendering


class NetworkSettings(Protocol):
    """Which network, and the sizes of our own."""

    name: str
    width: int
    halvings: int
    features: int


class IdentitySettings(Protocol):
    """What is read of the configuration's section `identity`."""

    network: NetworkSettings
    temperature: float
    shift: int
    sources: int
    renderings: int
    held_out: float
    false_accept: float
    seed: int
    training: TrainingSettings


def train_identity(settings: IdentitySettings, data: Path | str, out: Path | str, device: str) -> None:
    """Trains the identity embedding and writes its folder.

    Arguments:
        settings: The configuration's section `identity`.
        data: The folder of the data set; its split `judges` is trained on, and nothing else.
        out: The folder to write: `model.safetensors`, `model.json` (with `threshold` and `verification`), `log.csv`.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: If the data are missing, are not simulated, a class has too few sources held out, or the network is a
            published one.
    """
    if settings.network.name != "trained":
        raise UserError(
            f"identity.network.name is {settings.network.name}, which is not trained here; fetch its weights"
            " (counterfactory weights identity), or set trained"
        )
    dataset, device, out = load_dataset(data), choose_device(device), Path(out)
    split = load_split(data, "judges")
    train, held_out = hold_out(len(split.images), settings.held_out, settings.seed)
    # hold_out sorts them; every other one in the order of the split is as good as at random.
    parts = {"train": _some(train, settings), "valid": held_out[0::2], "measured": held_out[1::2]}
    rows = np.concatenate(list(parts.values()))
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    kind = next((variable.name for variable in dataset.variables if variable.classes), None)
    classes = split.attributes[kind].to_numpy(np.int64)[rows] if kind else np.zeros(len(rows), np.int64)
    classes = dict(zip(parts, np.split(classes, ends), strict=True))
    if len(np.unique(classes["valid"])) == len(classes["valid"]):
        raise UserError(
            f"identity.held_out: the {len(parts['valid'])} sources that set the threshold hold no two of one class; "
            "raise it, or data.judges"
        )
    images, parents = render_sources(
        dataset, data, split, rows, settings.renderings, settings.seed, settings.training.threads, out
    )
    images, parents = (dict(zip(parts, np.split(values, ends), strict=True)) for values in (images, parents))

    network = {
        "channels": dataset.shape[0],
        "width": settings.network.width,
        "halvings": settings.network.halvings,
        "features": settings.network.features,
    }
    seed = derive_seed(settings.seed, "identity")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = IdentityCNN(**network).to(memory_format=torch.channels_last)
        # Beside the network, so that the loop trains and averages them too; `transient` leaves them out in the end.
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
        out,
        seed,
        device,
        meta,
        label="identity",
        transient="proxies",
    )

    embed = Identity(load_network(out, IdentityCNN, device)[0], 0.0, device)
    scores = {
        name: verification(_embed_all(embed, images[name]), classes[name], parents[name], settings.seed)
        for name in ("valid", "measured")
    }
    threshold = threshold_at(scores["valid"]["hard"], settings.false_accept)
    found = {name: _report(one, threshold, len(parts[name])) for name, one in scores.items()}
    meta = read_json(out / "model.json")
    write_json(out / "model.json", {**meta, "threshold": threshold, "verification": found})


def render_sources(
    dataset: Dataset,
    data: Path | str,
    split: Split,
    rows: np.ndarray,
    renderings: int,
    seed: int,
    threads: int = 1,
    out: Path | str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Renders sources at other values of their continuous parents.

    The values of a rendering are those of the whole split, dealt out anew for each parent on its own: each keeps its
    marginal, and none tells of another.

    Arguments:
        dataset: The data set.
        data: Its folder.
        split: The split.
        rows: Which rows of it, (N,).
        renderings: How many new renderings of each, R.
        seed: Any integer.
        threads: How many threads render.
        out: Where to keep the renderings while training lasts, so that a killed run does not render again.

    Returns:
        Images, uint8 (N, 1 + R, C, H, W), the split's own first, and their continuous parents, float64
        (N, 1 + R, P), in their standard deviations within the split.

    Raises:
        UserError: If the data set is not simulated.
    """
    known = world(dataset.name)
    if known is None:
        raise UserError(
            f"identity: {dataset.name} is not simulated, so nothing renders one source at other parents; leave the "
            "metric identity out of scores.metrics"
        )
    continuous = [variable.name for variable in dataset.variables if not variable.classes]
    own = split.attributes.iloc[rows].reset_index(drop=True)
    tables = [own]
    for rendering in range(renderings):
        dealt = {}
        for name in continuous:
            order = generator(seed, "renderings", rendering, name).permutation(len(split.attributes))
            dealt[name] = split.attributes[name].to_numpy()[order[rows]]
        tables.append(own.assign(**dealt))
    spread = split.attributes[continuous].std().to_numpy()
    parents = np.stack([table[continuous].to_numpy(np.float64) / spread for table in tables], 1)

    kept = None if out is None else _kept(Path(out), parents, rows)
    if kept is not None and kept.exists():
        rendered = np.load(kept, allow_pickle=False)
    else:
        rendered = np.empty((len(rows), renderings, *split.images.shape[1:]), np.uint8)
        starts = [(r, start) for r in range(renderings) for start in range(0, len(rows), CHUNK)]
        for r, start in progress(starts, len(starts), "renderings"):
            part = slice(start, start + CHUNK)
            target = {name: tables[1 + r][name].to_numpy()[part] for name in dataset.names}
            rendered[part, r], _ = known.render_counterfactual(data, own.iloc[part], target, threads)
        if kept is not None:
            write_array(kept, rendered)
    return np.concatenate([np.asarray(split.images)[rows][:, None], rendered], 1), parents


def same_class_softmax(
    embeddings: Tensor, proxies: Tensor, own: Tensor, allowed: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Returns the loss of the module's docstring, and the share whose own proxy is the nearest of those allowed.

    Arguments:
        embeddings: Unit vectors with shape (B, F).
        proxies: Vectors with shape (N, F), of any length.
        own: The proxy of each embedding, (B,).
        allowed: Which proxies each embedding is compared with, bool (B, N); its own is one of them.
        temperature: The temperature of the softmax.
    """
    cosines = embeddings @ F.normalize(proxies, dim=1).T
    logits = (cosines / temperature).masked_fill(~allowed, -torch.inf)
    return F.cross_entropy(logits, own), (logits.argmax(1) == own).float().mean()


def verification(
    embeddings: np.ndarray, classes: np.ndarray, parents: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Returns the cosines of pairs of images that should, and that should not, be taken for one source.

    Arguments:
        embeddings: Unit vectors of V renderings of N sources, (N, V, F).
        classes: The class of each source, (N,).
        parents: The parents of the renderings, (N, V, P), in comparable units.
        seed: Any integer.

    Returns:
        Cosines of `same` pairs (all pairs of renderings of one source), of `hard` pairs (each rendering with
        `IMPOSTORS` renderings of other sources of its class, drawn at random) and of `matched` pairs (each rendering
        with the one that is nearest in its parents, among those of all other sources of its class).
    """
    count, views, _ = embeddings.shape
    first, second = np.triu_indices(views, 1)
    same = np.einsum("npf,npf->np", embeddings[:, first], embeddings[:, second]).ravel()
    rng = generator(seed, "impostors")
    hard, matched = [np.empty(0)], [np.empty(0)]
    for one in np.unique(classes):
        rows = np.flatnonzero(classes == one)
        if len(rows) < 2:
            continue
        flat, size = embeddings[rows].reshape(len(rows) * views, -1), len(rows)
        position = np.repeat(np.arange(size), views)
        others = (position[:, None] + rng.integers(1, size, (len(flat), IMPOSTORS))) % size
        chosen = others * views + rng.integers(0, views, others.shape)
        hard.append(np.einsum("nf,nkf->nk", flat, flat[chosen]).ravel())
        where = parents[rows].reshape(len(flat), -1)
        far = ((where[:, None] - where[None]) ** 2).sum(2)
        far[position[:, None] == position[None]] = np.inf
        matched.append(np.einsum("nf,nf->n", flat, flat[far.argmin(1)]))
    return {"same": same, "hard": np.concatenate(hard), "matched": np.concatenate(matched)}


def _report(scores: dict[str, np.ndarray], threshold: float, sources: int) -> dict[str, Any]:
    """Returns AUC and accept rates; None where there are no such pairs."""
    found: dict[str, Any] = {
        "true_accept": _share_above(scores["same"], threshold),
        "auc": area_under_curve(scores["same"], scores["hard"]),
        "false_accept": _share_above(scores["hard"], threshold),
        "auc_matched": area_under_curve(scores["same"], scores["matched"]),
        "false_accept_matched": _share_above(scores["matched"], threshold),
    }
    return found | {"sources": sources, "pairs": {name: len(one) for name, one in scores.items()}}


def _share_above(scores: np.ndarray, threshold: float) -> float | None:
    return float((scores > threshold).mean()) if len(scores) else None


def _some(rows: np.ndarray, settings: IdentitySettings) -> np.ndarray:
    """Returns at most `sources` of the rows, sorted; asking for more of them drops none."""
    order = generator(settings.seed, "identity", "sources").permutation(len(rows))
    return np.sort(rows[order[: settings.sources]])


def _loss(settings: IdentitySettings, classes: Tensor) -> Any:
    """Returns the loss of the module's docstring; sources that have no proxy are compared with each other's images."""

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
            value, right = same_class_softmax(
                model(to_pixels(shown)), model.proxies, batch["source"], allowed, settings.temperature
            )
        else:
            one, other = model(to_pixels(images[:, 0])), model(to_pixels(images[:, -1]))
            allowed = own[:, None] == own
            value, right = same_class_softmax(one, other, each, allowed, settings.temperature)
        return value, {"accuracy": right.detach()}

    return loss


def _tensors(images: np.ndarray, classes: np.ndarray) -> dict[str, Tensor]:
    return {
        "images": torch.from_numpy(images),
        "classes": torch.from_numpy(classes),
        "source": torch.arange(len(images)),
    }


def _embed_all(embed: Identity, images: np.ndarray) -> np.ndarray:
    """Embeds images (N, V, C, H, W) as (N, V, F)."""
    embeddings = embed(images.reshape(-1, *images.shape[2:]))
    return embeddings.reshape(*images.shape[:2], embeddings.shape[1])


def _kept(out: Path, parents: np.ndarray, rows: np.ndarray) -> Path:
    """Returns where the renderings of exactly these sources and parents are kept; the loop clears that folder."""
    name = hashlib.sha256(
        np.ascontiguousarray(parents).tobytes() + rows.astype(np.int64).tobytes()
    ).hexdigest()
    return out / ".state" / f"renderings-{name[:16]}.npy"
