r"""Trains adversarial networks: the conditional encoder-generator `gan`, and the unconditional `dcgan`.

As published, `dcgan` has no encoder: the terms with E below are left out, and D judges images alone. With one
(`network.encoder`) it is `gan` without parents.

*Adversarial phase.* The discriminator tells pairs of an image and its code from pairs of a code and its
image; generator and encoder exchange the labels (the non-saturating loss),

.. math:: L_D &= \mathrm{sp}(-D(x, E(x))) + \mathrm{sp}(D(G(z), z)) \\
          L_{G,E} &= \mathrm{sp}(-D(G(z), z)) + \mathrm{sp}(D(x, E(x))) + \lambda\, \|x - G(E(x))\|_1

with :math:`\mathrm{sp}(a) = \log(1 + e^a)`, parents left out of the notation, and the L1 norm a mean over
pixels. Both sides move at once, one update a batch, each with the other's weights held fixed: so the loop of
:mod:`.loop` trains them like any network, with its seeds, averages and resumption. :math:`\lambda` = 0 is ALI as
published; above it, cycles are consistent from the start (ALICE, Li et al., 2017, arXiv:1709.01215).

*Encoder phase* (`gan` only). With the averaged generator held fixed the encoder alone is tuned on cycles of
both kinds, as ImageCFGen (Dash et al., 2022, arXiv:2009.08270) and the benchmark of Melistas et al. (2024,
arXiv:2403.20287) do:

.. math:: L_E = \kappa\, \|z - E(G(z))\|_2^2 + \|x - G(E(x))\|_1

with :math:`\kappa` = 1 as published. Both terms are means, the first over latents and the second over pixels, most of
which are black: at 1 the code's term, most of which no encoder can mend, outweighs the image's.

Validation. The loss of two players says nothing of quality. Weights are selected by the energy score of
generated images given the parents (Gneiting and Raftery, 2007, JASA 102(477), 359-378),

.. math:: \mathrm{ES} = \mathbb{E}\,\|x - G(z)\| - \tfrac{1}{2}\, \mathbb{E}\,\|G(z) - G(z')\|

a strictly proper score: a blurred generator loses in the first term, a collapsed one in the second. Where there
is an encoder, the reconstruction error is added. Norms are root mean squares over pixels, in [-1, 1].

Failure. :func:`failure_signs` reads two signs off the log: collapse, when images of the same parents are much
closer to each other than real images of about the same parents are, and a discriminator that wins, when it
is nearly always right about validation images. A sign that lasts to the end is written in `model.json`, so
that a failed training can be left out of a table instead of being averaged into it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.checkpoint import load_model, save_model
from ...core.device import choose_device
from ...core.files import read_table, write_table
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import Dataset, encode_parents, load_dataset, load_split
from ...nets.pixels import to_pixels
from ...training.distributed import launch, rank
from ...training.loop import Fit, fit
from ..image.exposure import fit_exposure
from .model import build_gan
from .network import Gan

__all__ = ["AdversarialLoss", "EncoderLoss", "failure_signs", "train_gan"]

COLLAPSE = 0.25  # of the distance between real images of about the same parents
CERTAIN = 0.98  # accuracy of the discriminator on validation pairs
LASTING = 3  # validations on end, up to the last


class AdversarialLoss:
    """Both players' losses in the training, and the energy score in the validation.

    Arguments:
        cycle: The weight :math:`\\lambda` of the reconstruction; without an encoder it has no meaning.
    """

    def __init__(self, cycle: float = 0.0) -> None:
        self.cycle = cycle

    def __call__(
        self, model: Gan, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of images (B, C, H, W), uint8, with parents (B, P), and its parts."""
        x, parents = to_pixels(batch["images"]), batch["parents"]
        z = model.draw(len(x), generator)
        if not model.training:
            return self._score(model, x, parents, z, model.draw(len(x), generator))
        # As the networks see them: developed images, parents without those that act as exposure.
        real, told = model.develop(x, parents), model.hide(parents)
        fake = model.generator(z, told)
        code = model.encoder(real, told) if model.encoder is not None else z
        pairs = [torch.cat([real, fake]), torch.cat([code, z])]
        sides = torch.cat([torch.ones(len(x), device=x.device), -torch.ones(len(x), device=x.device)])
        logits = model.discriminator(*pairs, torch.cat([told, told]))
        adversarial = F.softplus(
            -sides * logits
        )  # the discriminator's; the players' is softplus(sides * logits)
        # A row's logit is all that either loss knows of it, so that the players' gradient with regard to a pair is
        # the discriminator's times a number: one pass through the discriminator serves both.
        turned = -(sides * logits.detach()).clamp(max=30.0).exp()
        for part in pairs:
            if part.requires_grad:
                part.register_hook(lambda slope: slope * turned.view(-1, *[1] * (slope.ndim - 1)))
        loss = 2.0 * adversarial.mean()
        fooled = F.softplus(sides * logits.detach())
        scores = {"discriminator": loss.detach(), "generator": fooled[len(x) :].mean()}
        if model.encoder is not None:
            scores["encoder"] = fooled[: len(x)].mean()
            if self.cycle > 0:
                cycle = (real - model.generator(code, told)).abs().mean()
                loss, scores = loss + self.cycle * cycle, {**scores, "cycle": cycle.detach()}
        scores["accuracy"] = (sides * logits.detach() > 0).float().mean()
        return loss, scores

    def _score(
        self, model: Gan, x: Tensor, parents: Tensor, z: Tensor, other: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        one, two = model.generate(z, parents), model.generate(other, parents)
        energy = (_distance(x, one) - 0.5 * _distance(one, two)).mean()
        code, loss, scores = z, energy, {}
        if model.encoder is not None:
            code = model.encode(x, parents)
            again = model.generate(code, parents)
            loss = loss + _distance(x, again).mean()
            scores["reconstruction"] = 127.5 * (x - again).abs().mean()  # grey levels
        told = model.hide(parents)
        right = (model.discriminator(model.develop(x, parents), code, told) > 0).float().mean()
        wrong = (model.discriminator(model.develop(one, parents), z, told) > 0).float().mean()
        scores |= {
            "energy": energy,
            "accuracy": 0.5 * (right + 1.0 - wrong),
            "apart": _distance(one, two).mean(),
            "apart_real": _distance(x, x[_neighbours(parents)]).mean(),
        }
        return loss, scores


class EncoderLoss:
    """The cycles of the encoder phase; the generator is held fixed, in evaluation mode.

    Arguments:
        code: The weight :math:`\\kappa` of the code's cycle.
    """

    def __init__(self, code: float = 1.0) -> None:
        self.code = code

    def __call__(
        self, model: Gan, batch: dict[str, Tensor], generator: torch.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of images (B, C, H, W), uint8, with parents (B, P), and its parts."""
        model.generator.eval()
        x, told = to_pixels(batch["images"]), model.hide(batch["parents"])
        real = model.develop(x, batch["parents"])
        z = model.draw(len(x), generator)
        with torch.no_grad():
            fake = model.generator(z, told)
        code = (z - model.encoder(fake, told)).square().mean()
        again = model.generator(model.encoder(real, told), told)
        image = (real - again).abs().mean()
        off = model.expose(real, batch["parents"]) - model.expose(again, batch["parents"])
        scores = {"code": code.detach(), "reconstruction": 127.5 * off.detach().abs().mean()}
        return self.code * code + image, scores


def failure_signs(log: pd.DataFrame) -> list[str]:
    """Returns the signs of failure that last to the end of an adversarial phase.

    Arguments:
        log: Its log, one row a validation, with the columns `valid_apart`, `valid_apart_real` and
            `valid_accuracy`.

    Returns:
        Of `collapse` (images of the same parents are less than a quarter as far apart as real ones are) and
        `discriminator_wins` (it is right about 98 % of validation pairs or more), those that hold at each of
        the last three validations; of a shorter log nothing is said.
    """
    last = log.tail(LASTING)
    if len(last) < LASTING:
        return []
    signs = {
        "collapse": last["valid_apart"] < COLLAPSE * last["valid_apart_real"],
        "discriminator_wins": last["valid_accuracy"] >= CERTAIN,
    }
    return [name for name, holds in signs.items() if bool(holds.all())]


def train_gan(settings: Any, run: Run) -> None:
    """Trains `gan` or `dcgan` (`run.name`) and writes it to `run.out`; resumes a killed training.

    The phases lie in `out/adversarial` and `out/encoder`, each with its own log. `model.json` holds `failures`, see
    :func:`failure_signs`; `log.csv` is that of the adversarial phase.

    Arguments:
        settings: The settings `models.<name>`: `network`, `training` and, for `gan`, `encoder`.
        run: Name (`gan` or `dcgan`), folders, seed (weights, order, noise) and device; several GPUs are all used.

    Raises:
        UserError: If the settings do not fit the images, or the data are missing.
    """
    launch(_train, settings, run, device=choose_device(run.device))


def _train(settings: Any, run: Run, device: str) -> None:
    name, data, out, seed = run.name, run.data, run.out, run.seed
    dataset = load_dataset(data)
    conditional = name == "gan"
    network = dict(settings.network)
    torch.manual_seed(derive_seed(seed, name, "weights"))
    model = build_gan(name, dataset, network)
    train, valid = (_tensors(dataset, data, split, conditional) for split in ("train", "valid"))
    if conditional:
        fit_exposure(model, train["images"], train["parents"])
    meta = {"model": name, "network": network, "parameters": sum(p.numel() for p in model.parameters())}
    # What the phases are continued by: the images they saw.
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
        model.generator.requires_grad_(False)
        model.discriminator.requires_grad_(False)
        phases.append(phase("encoder", EncoderLoss(settings.encoder.code), settings.encoder))
    if rank() > 0:
        return
    log = read_table(out / "adversarial" / "log.csv")
    failures = failure_signs(log)
    if failures:
        print(f"{name} seed {seed}: this training failed ({', '.join(failures)})", flush=True)
    write_table(out / "log.csv", log)
    told = {told["phase"]: {"settings": told["settings"], **told["training"]} for told in phases}
    training = {
        "step": sum(told["training"]["step"] for told in phases),
        "seconds": sum(told["training"]["seconds"] for told in phases),
        "best": phases[-1]["training"]["best"],
    }
    whole = {**meta, "seed": seed, "arithmetic": phases[0]["arithmetic"], "settings": dict(settings.training)}
    save_model(out, model.state_dict(), {**whole, "training": training, "phases": told, "failures": failures})


def _tensors(dataset: Dataset, folder: Path, split: str, conditional: bool) -> dict[str, Tensor]:
    loaded = load_split(folder, split)
    images = torch.from_numpy(np.array(loaded.images))
    if not conditional:
        return {"images": images, "parents": torch.zeros(len(images), 0)}
    return {"images": images, "parents": torch.from_numpy(encode_parents(dataset, loaded.attributes))}


def _finished(folder: Path, described: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """Returns the weights of a phase that was finished under the same description, or None."""
    if not (folder / "model.json").exists():
        return None
    state, meta = load_model(folder)
    same = json.loads(json.dumps(described, default=str))
    return state if all(meta.get(key) == value for key, value in same.items()) else None


def _distance(one: Tensor, two: Tensor) -> Tensor:
    """Returns the root mean square difference of images (B, C, H, W), (B,)."""
    return (one - two).flatten(1).square().mean(1).sqrt()


def _neighbours(parents: Tensor) -> Tensor:
    """Returns for each row the other row with the nearest parents, (B,); without parents just the next one."""
    rows = torch.arange(len(parents), device=parents.device)
    if parents.shape[1] == 0 or len(parents) < 2:
        return rows.roll(1)
    apart = torch.cdist(parents, parents)
    apart[rows, rows] = torch.inf
    return apart.argmin(1)
