r"""Trains the identity network on photographs of known persons.

Where a data set is not simulated, no image can be rendered with other parents, but the column `identity` of the
attributes may name the person that an image shows. Then an identity is a person of the splits `identity.splits`: of
`judges`, or also of `train`. With embeddings e of norm 1 and a normalized proxy :math:`w_j` for each person j, training
minimizes

.. math:: -\log \frac{\exp(e(x_i)^\top w_i / \tau)}{\sum_{j} \exp(e(x_i)^\top w_j / \tau)}
   + \lambda \operatorname{BCE}\big(V e(x_i) / \tau + b,\ y_i\big)

(normalized softmax; Wang et al., 2017, arXiv:1704.06369). The second term predicts the binary labels y of the data set,
if it has any, linearly from the embedding; labels such as the sex or glasses also describe persons that training lacks.
Each training image is mirrored with probability 1/2. The proxies, V and b are not saved.

Then a linear discriminant of the same persons is computed from their images and mirror images
(:mod:`counterfactory.models.identity.discriminant`), and combined with the network
(:class:`counterfactory.models.identity.network.PersonNetwork`).

Held-out persons are in no training batch. One half of them selects the weights, the weight w of the discriminant (by
AUC, in steps of 0.1), and the threshold, the lowest cosine that at most a share `false_accept` of the pairs of
different persons exceed. The other half is only measured: `model.json` reports the AUC of verification, and the true
and false accept rates of the threshold; *matched* impostors have the same class of every categorical variable of the
data set. The persons of the split `test` who are in none of these splits are measured too: they are usually more.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.checkpoint import load_network, save_model
from ...core.device import choose_device
from ...core.errors import UserError
from ...core.files import read_json
from ...core.noise import derive_seed, generator
from ...core.run import Run
from ...data.dataset import Dataset, Split
from ...data.individuals import individual_errors
from ...nets.pixels import pixel_batches, to_pixels
from ...training.augmentation import Augmentation
from ...training.held_out import hold_out
from ...training.loop import Fit, fit
from .descriptors import describe
from .discriminant import fit_discriminant
from .model import Identity
from .network import IdentityCNN, PersonNetwork
from .roc import area_under_curve
from .verification import IMPOSTORS, write_verification

if TYPE_CHECKING:
    from ...config.attributes import IdentitySettings

__all__ = ["COLUMN", "joined", "pairs_of_persons", "train_on_persons"]

COLUMN = "identity"
"""The column of the attributes that names the person that an image shows."""

LABELS = 20.0
"""The weight of the labels in the loss."""


def train_on_persons(
    settings: "IdentitySettings", run: Run, dataset: Dataset, split: Split, unseen: Split
) -> None:
    """Trains the identity network and writes it to `run.out`; resumes a killed training.

    Arguments:
        settings: The section `identity` of the configuration; `renderings` is not read.
        run: The folders and device. The seed is that of the settings.
        dataset: The data set.
        split: The images of all persons, with the column `identity` (:func:`joined`).
        unseen: The split `test`. Its persons who are not in `split` are measured.

    Raises:
        UserError: If fewer than six persons have two images or more, or fewer than four persons are held out.
    """
    device = choose_device(run.device)
    people = split.attributes[COLUMN].to_numpy()
    known, counts = np.unique(people, return_counts=True)
    known = known[counts > 1]
    for line in individual_errors(len(known), settings.held_out, settings.splits):
        raise UserError(line)
    train, held_out = hold_out(len(known), settings.held_out, settings.seed)
    held_out = generator(settings.seed, "persons").permutation(held_out)
    parts = {"valid": known[held_out[0::2]], "measured": known[held_out[1::2]]}
    rows = {name: np.flatnonzero(np.isin(people, persons)) for name, persons in parts.items()}
    # `sources` bounds the images, as it bounds the renderings of a simulated world.
    order = generator(settings.seed, "identity", "sources").permutation(
        np.flatnonzero(np.isin(people, known[train]))
    )
    rows = {"train": np.sort(order[: settings.sources]), **rows}
    labels = [one.name for one in (*dataset.variables, *dataset.labels) if one.classes == 2]

    network = {
        "channels": dataset.shape[0],
        "width": settings.network.width,
        "halvings": settings.network.halvings,
        "features": settings.network.features,
    }
    seed = derive_seed(settings.seed, "identity")
    persons = len(np.unique(people[rows["train"]]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = IdentityCNN(**network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Parameters of the model, so that the loop optimizes and averages them; `transient` omits them when saving.
        model.proxies = nn.ParameterDict(
            {
                "persons": nn.Parameter(F.normalize(torch.randn(persons, settings.network.features))),
                "labels": nn.Parameter(torch.zeros(len(labels), settings.network.features)),
                "bias": nn.Parameter(torch.zeros(len(labels))),
            }
        )
    meta = {
        "kind": "identity",
        "network": network,
        "shift": settings.shift,
        "sources": {name: len(np.unique(people[part])) for name, part in rows.items()},
        "images": {name: len(part) for name, part in rows.items()},
    }
    tensors = {name: _tensors(split, rows[name], people, labels) for name in ("train", "valid")}
    loss = _PersonLoss(settings.temperature, settings.shift)
    fit(
        model,
        loss,
        tensors["train"],
        tensors["valid"],
        settings.training,
        Fit(run.out, seed, device, meta, label="identity", transient="proxies."),
    )

    kinds = [one.name for one in dataset.variables if one.classes]
    classes = split.attributes[kinds].to_numpy()
    shown = {name: np.asarray(split.images[part]) for name, part in rows.items()}
    groups = {name: (people[part], classes[part]) for name, part in rows.items()}
    if len(others := _others(unseen, people)):
        table = unseen.attributes.iloc[others]
        shown["test"] = np.asarray(unseen.images[others])
        groups["test"] = table[COLUMN].to_numpy(), table[kinds].to_numpy()

    def pairs(part: str, embeddings: np.ndarray) -> dict[str, np.ndarray]:
        return pairs_of_persons(embeddings, *groups[part], settings.seed)

    combined = _with_discriminant(run.out, device, shown["train"], people[rows["train"]])
    # The cosine is linear in the weight, so those of the two embeddings alone suffice.
    alone = []
    for weight in (0.0, 1.0):
        combined.weight.fill_(weight)
        alone.append(pairs("valid", Identity(combined, 0.0, device)(shown["valid"])))
    chosen = _best_weight(*alone)
    combined.weight.fill_(chosen)
    description = read_json(run.out / "model.json")
    description["network"]["discriminant"] = list(combined.projection.shape)
    save_model(run.out, combined.state_dict(), {**description, "discriminant_weight": chosen})

    embed = Identity(combined, 0.0, device)
    cosines = {name: pairs(name, embed(shown[name])) for name in groups if name != "train"}
    sizes = {name: len(np.unique(groups[name][0])) for name in cosines}
    write_verification(run.out, cosines, sizes, settings.false_accept)


def _others(split: Split, people: np.ndarray) -> np.ndarray:
    """Returns the rows of a split that show persons who are not among `people` and have two images or more.

    They are empty without the column `identity`, and if there are fewer than two such persons.
    """
    if COLUMN not in split.attributes:
        return np.empty(0, np.int64)
    shown = split.attributes[COLUMN]
    chosen = ~shown.isin(people) & shown.duplicated(keep=False)
    return np.flatnonzero(chosen) if shown[chosen].nunique() > 1 else np.empty(0, np.int64)


def joined(parts: list[Split]) -> Split:
    """Returns one split with the images of several, of which no person may be in two."""
    if len(parts) == 1:
        return parts[0]
    images = np.concatenate([np.asarray(part.images) for part in parts])
    return Split(images, pd.concat([part.attributes for part in parts], ignore_index=True))


def _best_weight(learned: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> float:
    """Returns the weight of the discriminant with the highest AUC; the smallest one of several.

    Arguments:
        learned: The cosines of the groups `same` and `hard` by the network alone.
        found: Those by the discriminant alone.
    """

    def auc(weight: float) -> float:
        same, hard = ((1.0 - weight) * learned[name] + weight * found[name] for name in ("same", "hard"))
        return area_under_curve(same, hard) or 0.0

    return max((float(weight) for weight in np.linspace(0.0, 1.0, 11)), key=auc)


@torch.no_grad()
def _with_discriminant(folder: Path, device: str, images: np.ndarray, people: np.ndarray) -> PersonNetwork:
    """Returns the trained network in a folder with the discriminant of its training images, in evaluation mode."""
    trained, meta = load_network(folder, IdentityCNN, device)
    both = np.concatenate([images, images[..., ::-1]])
    described = np.concatenate([describe(batch).cpu().numpy() for batch in pixel_batches(both, device)])
    mean, projection = fit_discriminant(described, np.tile(people, 2), len(people) / len(np.unique(people)))
    network = PersonNetwork((len(mean), projection.shape[1]), **meta["network"])
    network.network.load_state_dict(trained.state_dict())
    network.mean.copy_(mean)
    network.projection.copy_(projection)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval().requires_grad_(False)


def pairs_of_persons(
    embeddings: np.ndarray, people: np.ndarray, classes: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Returns the cosines of three groups of pairs of images.

    Arguments:
        embeddings: Embeddings of norm 1, (N, F).
        people: The person that each image shows, (N,); at least two persons.
        classes: The classes of each image, (N, K).
        seed: The seed of the random pairs.

    Returns:
        The cosines of `same` (all pairs of images of one person), of `hard` (each image with `IMPOSTORS` random images
        of other persons) and of `matched` (the same, among the images of other persons with equal classes).
    """
    cosines = embeddings @ embeddings.T
    own = people[:, None] == people
    first, second = np.nonzero(np.triu(own, 1))
    alike = (classes[:, None] == classes[None]).all(2) & ~own
    rng = generator(seed, "impostors")
    groups: dict[str, list[np.ndarray]] = {"hard": [np.empty(0)], "matched": [np.empty(0)]}
    for row in range(len(people)):
        for name, allowed in (("hard", ~own[row]), ("matched", alike[row])):
            others = np.flatnonzero(allowed)
            if len(others):
                groups[name].append(cosines[row, others[rng.integers(0, len(others), IMPOSTORS)]])
    return {"same": cosines[first, second], **{name: np.concatenate(one) for name, one in groups.items()}}


class _PersonLoss:
    """The loss of the module's docstring; held-out persons, without proxies, are compared with each other."""

    def __init__(self, temperature: float, shift: int) -> None:
        self.temperature, self.augmentation = temperature, Augmentation(shift, mirror=True)

    def __call__(
        self, model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        images, person, labels = batch["images"], batch["person"], batch["labels"]
        proxies = cast(Any, model.proxies)
        if not model.training:
            return self._held_out(model(to_pixels(images)), person)
        images = self.augmentation(images, generator)
        embeddings = model(to_pixels(images))
        logits = embeddings @ F.normalize(proxies["persons"], dim=1).T / self.temperature
        value = F.cross_entropy(logits, person)
        if labels.shape[1]:
            predicted = embeddings @ proxies["labels"].T / self.temperature + proxies["bias"]
            value = value + LABELS * F.binary_cross_entropy_with_logits(predicted, labels)
        return value, {"accuracy": (logits.argmax(1) == person).float().mean().detach()}

    def _held_out(self, embeddings: Tensor, person: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns minus the log probability of images of the same person, among all other images of the batch."""
        logits = embeddings @ embeddings.T / self.temperature
        logits = logits.masked_fill(
            torch.eye(len(person), dtype=torch.bool, device=person.device), -torch.inf
        )
        own = (person[:, None] == person) & ~torch.eye(len(person), dtype=torch.bool, device=person.device)
        paired = own.any(1)
        if not paired.any():
            return embeddings.sum() * 0.0, {"accuracy": embeddings.new_zeros(())}
        inside = logits.masked_fill(~own, -torch.inf)[paired].logsumexp(1)
        nearest = own[torch.arange(len(person), device=person.device), logits.argmax(1)]
        return (logits[paired].logsumexp(1) - inside).mean(), {"accuracy": nearest[paired].float().mean()}


def _tensors(split: Split, rows: np.ndarray, people: np.ndarray, labels: list[str]) -> dict[str, Tensor]:
    # Images of one person are neighbours, so that a validation batch contains pairs.
    rows = rows[np.argsort(people[rows], kind="stable")]
    table = split.attributes.iloc[rows]
    return {
        "images": torch.from_numpy(np.array(split.images[rows])),
        "person": torch.from_numpy(np.unique(people[rows], return_inverse=True)[1]),
        "labels": torch.tensor(table[labels].to_numpy(np.float32)),
    }
