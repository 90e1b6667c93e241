r"""Trains adversarial networks: the conditional encoder-generator `gan`, and the unconditional `dcgan`.

The published `dcgan` has no encoder: the terms with E below are omitted, and D receives images only. With an encoder
(`network.encoder`) it is `gan` without parents.

*Adversarial phase.* The discriminator distinguishes real images with their codes from generated images with their
latents. Generator and encoder minimise the loss with exchanged labels (the non-saturating loss),

.. math:: L_D &= \mathrm{sp}(-D(x, E(x))) + \mathrm{sp}(D(G(z), z)) \\
          L_{G,E} &= \mathrm{sp}(-D(G(z), z)) + \mathrm{sp}(D(x, E(x))) + \lambda\, \|x - G(E(x))\|_1

where :math:`\mathrm{sp}(a) = \log(1 + e^a)`, parents are omitted from the notation, and the L1 norm is a mean over
pixels. All networks are updated simultaneously, once for each batch, with gradients computed at the same weights; the
training loop (:mod:`counterfactory.training.loop`) can therefore treat them as one network. :math:`\lambda` = 0 is the
published ALI; :math:`\lambda` > 0 enforces cycle consistency from the start (ALICE, Li et al., 2017,
arXiv:1709.01215).

*Encoder phase* (`gan` only). With the averaged generator held fixed, the encoder is tuned on cycles of both kinds, as
in ImageCFGen (Dash et al., 2022, arXiv:2009.08270) and the benchmark of Melistas et al. (2024, arXiv:2403.20287):

.. math:: L_E = \kappa\, \|z - E(G(z))\|_2^2 + \|x - G(E(x))\|_1

with :math:`\kappa` = 1 in that benchmark. Both terms are means, the first over latents and the second over pixels,
most of which are black. With :math:`\kappa` = 1 the term of the code, most of which the encoder cannot reduce,
outweighs that of the image.

*Validation.* The adversarial losses do not measure quality. Weights are selected by the energy score of generated
images given the parents (Gneiting and Raftery, 2007, JASA 102(477), 359-378),

.. math:: \mathrm{ES} = \mathbb{E}\,\|x - G(z)\| - \tfrac{1}{2}\, \mathbb{E}\,\|G(z) - G(z')\|

which is a strictly proper score: blur increases the first term, and collapse decreases the second. With an encoder, the
reconstruction error is added. Norms are root mean squares over pixels in [-1, 1].

*Failure.* :func:`failure_signs` finds two signs in the log. *Collapse*: images with the same parents are much closer to
each other than real images with similar parents. *Discriminator wins*: the discriminator classifies nearly all
validation images correctly. Signs that last to the end of the training are written to `model.json`, so that a failed
training can be excluded from a table instead of averaged into it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.checkpoint import load_model, save_model
from ...core.device import choose_device
from ...core.files import read_table, write_table
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import Dataset, load_dataset
from ...nets.pixels import to_pixels
from ...training.distributed import launch, rank
from ...training.loop import Fit, fit
from ...training.tensors import split_tensors
from ..image.exposure import fit_exposure
from .model import build_gan
from .network import Gan

if TYPE_CHECKING:
    from ...config.gan import DcganSettings, GanSettings

__all__ = ["AdversarialLoss", "EncoderLoss", "failure_signs", "train_gan"]

COLLAPSE = 0.25
"""Distance of generated images with the same parents, relative to that of real images, that counts as a collapse."""

CERTAIN = 0.98
"""Accuracy of the discriminator on validation pairs from which on it wins."""

LASTING = 3
"""The number of last validations at which a sign must hold."""


class AdversarialLoss:
    r"""The losses of discriminator, generator and encoder in training, and the energy score in validation.

    Arguments:
        cycle: The weight :math:`\lambda` of the reconstruction; without an encoder it has no effect.
    """

    def __init__(self, cycle: float = 0.0) -> None:
        self.cycle = cycle

    def __call__(
        self, model: Gan, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of images (B, C, H, W), uint8, with parents (B, P), and its terms."""
        x, parents = to_pixels(batch["images"]), batch["parents"]
        z = model.draw(len(x), generator)
        if not model.training:
            return self._score(model, x, parents, z, model.draw(len(x), generator))
        # The networks receive developed images, and parents without those that act as exposure.
        real, visible = model.develop(x, parents), model.hide(parents)
        fake = model.generator(z, visible)
        code = model.encoder(real, visible) if model.encoder is not None else z
        pairs = [torch.cat([real, fake]), torch.cat([code, z])]
        labels = torch.cat([torch.ones(len(x), device=x.device), -torch.ones(len(x), device=x.device)])
        logits = model.discriminator(*pairs, torch.cat([visible, visible]))
        # The loss of the discriminator; that of generator and encoder is softplus(labels * logits).
        adversarial = F.softplus(-labels * logits)
        # Both losses depend on a pair through its logit only. The gradient of the generator's loss with respect to a
        # pair is therefore the discriminator's times a scalar, and one pass through the discriminator serves both.
        factor = -(labels * logits.detach()).clamp(max=30.0).exp()
        for part in pairs:
            if part.requires_grad:
                part.register_hook(lambda slope: slope * factor.view(-1, *[1] * (slope.ndim - 1)))
        loss = 2.0 * adversarial.mean()
        fooled = F.softplus(labels * logits.detach())
        scores = {"discriminator": loss.detach(), "generator": fooled[len(x) :].mean()}
        if model.encoder is not None:
            scores["encoder"] = fooled[: len(x)].mean()
            if self.cycle > 0:
                cycle = (real - model.generator(code, visible)).abs().mean()
                loss, scores = loss + self.cycle * cycle, {**scores, "cycle": cycle.detach()}
        scores["accuracy"] = (labels * logits.detach() > 0).float().mean()
        return loss, scores

    def _score(
        self, model: Gan, x: Tensor, parents: Tensor, z: Tensor, other: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the energy score, plus the reconstruction error with an encoder, and scores to log."""
        one, two = model.generate(z, parents), model.generate(other, parents)
        energy = (_distance(x, one) - 0.5 * _distance(one, two)).mean()
        code, loss, scores = z, energy, {}
        if model.encoder is not None:
            code = model.encode(x, parents)
            again = model.generate(code, parents)
            loss = loss + _distance(x, again).mean()
            scores["reconstruction"] = 127.5 * (x - again).abs().mean()  # grey levels
        visible = model.hide(parents)
        right = (model.discriminator(model.develop(x, parents), code, visible) > 0).float().mean()
        wrong = (model.discriminator(model.develop(one, parents), z, visible) > 0).float().mean()
        scores |= {
            "energy": energy,
            "accuracy": 0.5 * (right + 1.0 - wrong),
            "apart": _distance(one, two).mean(),
            "apart_real": _distance(x, x[_neighbours(parents)]).mean(),
        }
        return loss, scores


class EncoderLoss:
    r"""The cycle losses of the encoder phase, with the generator fixed and in evaluation mode.

    Arguments:
        code: The weight :math:`\kappa` of the cycle of the code.
    """

    def __init__(self, code: float = 1.0) -> None:
        self.code = code

    def __call__(
        self, model: Gan, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of images (B, C, H, W), uint8, with parents (B, P), and its terms."""
        model.generator.eval()
        x, visible = to_pixels(batch["images"]), model.hide(batch["parents"])
        real = model.develop(x, batch["parents"])
        z = model.draw(len(x), generator)
        with torch.no_grad():
            fake = model.generator(z, visible)
        code = (z - model.encoder(fake, visible)).square().mean()
        again = model.generator(model.encoder(real, visible), visible)
        image = (real - again).abs().mean()
        off = model.expose(real, batch["parents"]) - model.expose(again, batch["parents"])
        scores = {"code": code.detach(), "reconstruction": 127.5 * off.detach().abs().mean()}
        return self.code * code + image, scores


def failure_signs(log: pd.DataFrame) -> list[str]:
    """Returns the signs of failure that hold at the last validations of an adversarial phase.

    Arguments:
        log: The log, one row for each validation, with the columns `valid_apart` (the distance of generated images with
            the same parents), `valid_apart_real` (that of real images with similar parents) and `valid_accuracy`.

    Returns:
        `collapse` if generated images are less than a quarter as far apart as real ones, and `discriminator_wins` if
        the discriminator is right on at least 98 % of the pairs, at each of the last three validations; no sign for a
        shorter log.
    """
    last = log.tail(LASTING)
    if len(last) < LASTING:
        return []
    signs = {
        "collapse": last["valid_apart"] < COLLAPSE * last["valid_apart_real"],
        "discriminator_wins": last["valid_accuracy"] >= CERTAIN,
    }
    return [name for name, holds in signs.items() if bool(holds.all())]


def train_gan(settings: "GanSettings | DcganSettings", run: Run) -> None:
    """Trains `gan` or `dcgan` (`run.name`) and writes it to `run.out`; resumes a killed training.

    The phases are written to `adversarial/` and `encoder/` in that folder, each with its own log. `model.json` contains
    `failures`, the result of :func:`failure_signs`; `log.csv` is the log of the adversarial phase.

    Arguments:
        settings: The settings `models.<name>`: `network`, `training` and, for `gan`, `encoder`.
        run: Name (`gan` or `dcgan`), folders, seed (weights, order, noise) and device; several GPUs are all used.

    Raises:
        UserError: If the settings do not fit the images, or the data are missing.
    """
    launch(_train, settings, run, device=choose_device(run.device))


def _train(settings: "GanSettings | DcganSettings", run: Run, device: str) -> None:
    name, data, out, seed = run.name, run.data, run.out, run.seed
    dataset = load_dataset(data)
    conditional = name == "gan"
    network = dict(settings.network)
    torch.manual_seed(derive_seed(seed, name, "weights"))
    model = build_gan(name, dataset, network)
    train, valid = (_split(dataset, data, split, conditional) for split in ("train", "valid"))
    if conditional:
        fit_exposure(model, train["images"], train["parents"])
    meta = {"model": name, "network": network, "parameters": sum(p.numel() for p in model.parameters())}
    # A finished phase is reused only if its images were the same.
    meta["images"] = {"count": len(train["images"]), "mean": float(train["images"].double().mean())}

    def phase(part: str, loss: Any, training: Any) -> dict[str, Any]:
        folder = out / part
        described = {**meta, "phase": part}
        done = _finished(folder, {**described, "settings": dict(training), "seed": seed})
        if done is not None:
            model.load_state_dict(done)
        else:
            fit(
                model,
                loss,
                train,
                valid,
                training,
                Fit(folder, seed, device, described, label=f"{name} seed {seed}, {part}"),
            )
        return load_model(folder)[1] if rank() == 0 else {}

    phases = [
        phase("adversarial", AdversarialLoss(getattr(settings.training, "cycle", 0.0)), settings.training)
    ]
    if conditional:
        encoder = settings.encoder  # type: ignore[union-attr]
        model.generator.requires_grad_(False)
        model.discriminator.requires_grad_(False)
        phases.append(phase("encoder", EncoderLoss(encoder.code), encoder))
    if rank() > 0:
        return
    log = read_table(out / "adversarial" / "log.csv")
    failures = failure_signs(log)
    if failures:
        print(f"{name} seed {seed}: this training failed ({', '.join(failures)})", flush=True)
    write_table(out / "log.csv", log)
    described = {done["phase"]: {"settings": done["settings"], **done["training"]} for done in phases}
    training = {
        "step": sum(done["training"]["step"] for done in phases),
        "seconds": sum(done["training"]["seconds"] for done in phases),
        "best": phases[-1]["training"]["best"],
    }
    whole = {**meta, "seed": seed, "arithmetic": phases[0]["arithmetic"], "settings": dict(settings.training)}
    save_model(
        out, model.state_dict(), {**whole, "training": training, "phases": described, "failures": failures}
    )


def _split(dataset: Dataset, folder: Path, split: str, conditional: bool) -> dict[str, Tensor]:
    """Returns the images of a split and their encoded parents, without columns for an unconditional model."""
    tensors = split_tensors(dataset, folder, split)
    return tensors if conditional else {**tensors, "parents": torch.zeros(len(tensors["images"]), 0)}


def _finished(folder: Path, described: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """Returns the weights of a finished phase with the same description, or None."""
    if not (folder / "model.json").exists():
        return None
    state, meta = load_model(folder)
    same = json.loads(json.dumps(described, default=str))
    return state if all(meta.get(key) == value for key, value in same.items()) else None


def _distance(one: Tensor, two: Tensor) -> Tensor:
    """Returns the root mean square difference (B,) of images (B, C, H, W)."""
    return (one - two).flatten(1).square().mean(1).sqrt()


def _neighbours(parents: Tensor) -> Tensor:
    """Returns the row with the nearest parents for each row, (B,); without parents, the previous row."""
    rows = torch.arange(len(parents), device=parents.device)
    if parents.shape[1] == 0 or len(parents) < 2:
        return rows.roll(1)
    apart = torch.cdist(parents, parents)
    apart[rows, rows] = torch.inf
    return apart.argmin(1)
