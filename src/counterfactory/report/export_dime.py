r"""Answers in the folders of DiME's published code, so that its evaluation scripts read them.

The answers of any method to one attribute of the suite `flip` become

    Original/{Correct,Incorrect}/ID.jpg                 the factual images, by whether the classifier is right
    Results/EXP/{CC,IC}/{CCF,ICF}/CF/ID.jpg             the answers: class (in)correct, counterfactual (in)correct
                                  Info/ID.txt           label, pred, target, cf pred, BKL, l_1: six lines
                                  SM/ID.jpg             where the image changed, white where most
                                  Noise/ID.jpg          the noised image that the walk started from, of explainers only
    Results/EXP/summary.yaml                            means of BKL and l_1 in each group, accuracies
    Results/EXP/stats.npz                               the same, one number an image

with a seven-digit ID, the image's row in the test split. A counterfactual is correct if the classifier's prediction is
the target, which for a binary attribute is what it does not say of the factual image. With p the classifier's
probability of the target,

.. math:: \mathrm{BKL} = 1 - p(y^* \mid \hat x), \qquad l_1 = \operatorname{mean} |x - \hat x| / 255

`clean acc` in the summary is in per cent and `cf acc`, the flip rate, a share; `FVA` and `MNAC` are 0 there, which the
scripts leave so too. Groups without an image have means of 0. Images are RGB JPEG at Pillow's default quality, as
published, so that scores of these files differ a little from ours. What differs from the published files: BKL is of
the bytes, and not of the image before it was rounded; and the numbers of single images, which are published as a
pickle (stats.pth), are arrays of the same names in stats.npz, because no pickle is written here.

References:
    | Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022)
    | https://arxiv.org/abs/2203.15636
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from ..core.errors import UserError
from ..core.files import read_json, writing
from ..metrics.inputs import Answered, load_answered
from ..metrics.predictions import Classifier, predict

__all__ = ["Flips", "change_map", "export_dime", "flips_of", "summary_of", "write_experiment"]

GROUPS = (("CC", "CCF"), ("CC", "ICF"), ("IC", "CCF"), ("IC", "ICF"))
KINDS = ("CF", "Info", "Noise", "SM")


@dataclass(frozen=True)
class Flips:
    """Answers to one attribute, one an image, and what the classifier says of them.

    Arguments:
        rows: The images' rows in the test split, int64 (N,).
        factual: The factual images, uint8 (N, C, H, W).
        images: The answers, likewise.
        label: The attribute's side, 0 or 1, or class, int64 (N,).
        pred: The prediction for the factual image, likewise.
        target: What the answer should be predicted as, likewise.
        cf_pred: The prediction for the answer, likewise.
        bkl: One minus the probability of the target given the answer, float64 (N,).
        seeds: The questions' seeds, int64 (N,).
    """

    rows: np.ndarray
    factual: np.ndarray
    images: np.ndarray
    label: np.ndarray
    pred: np.ndarray
    target: np.ndarray
    cf_pred: np.ndarray
    bkl: np.ndarray
    seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def l_1(self) -> np.ndarray:
        """The mean absolute difference of pixels and channels, as a share of 255, float64 (N,)."""
        difference = np.abs(self.factual.astype(np.float64) - self.images)
        return difference.reshape(len(self), -1).mean(1) / 255.0 if len(self) else np.zeros(0)


def export_dime(
    method: str,
    attribute: str,
    seed: int,
    data: Path | str,
    models: Path | str,
    questions: Path | str,
    answers: Path | str,
    out: Path | str,
    experiment: str | None = None,
    settings: Any = None,
) -> list[Path]:
    """Writes one method's answers to one attribute, each repeat as an experiment `<experiment>-<repeat>`.

    The published spread between seeds is taken over such experiments, with the pattern `<experiment>-*`.

    Arguments:
        method: The method's name.
        attribute: The attribute that was to be turned over, as `attribute` in the questions.
        seed: The training seed; the classifier under observation has the same.
        data: The data set's folder.
        models: The folder of the data set's trained models.
        questions: The table of questions of the suite `flip`.
        answers: The answers of the method and seed, with a folder for each suite.
        out: The folder to write into, one for each attribute and classifier; methods may share it.
        experiment: The experiment's name; the method's by default.
        settings: The section `answers.<method>` of an explainer, whose noised images are then written too.

    Returns:
        The folders of the experiments.

    Raises:
        UserError: If something is missing or damaged, nobody asks about the attribute, the method answered nothing, an
            experiment exists, or `out` holds the originals of another attribute.
    """
    from ..models.classifier.model import load_classifier

    experiment = experiment or method
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", experiment):
        raise UserError(f"--exp: {experiment!r}: choose a name of letters, digits and - _ . +")
    answered = load_answered("flip", data, questions, answers)
    asked = answered.questions["attribute"]
    if attribute not in set(asked):
        known = ", ".join(dict.fromkeys(asked)) or "nothing"
        raise UserError(f"--attribute: {attribute}: {questions} asks about {known}")
    classifier = load_classifier(Path(models) / "classifier" / f"seed{seed}")
    if attribute in classifier.constant:
        raise UserError(f"{attribute}: the classifier {classifier.constant[attribute]}")
    repeats = sorted(answered.questions.loc[asked == attribute, "repeat"].unique().tolist())
    written = []
    for repeat in repeats:
        flips = flips_of(answered, classifier, attribute, repeat)
        if not len(flips):
            if repeat:
                continue
            raise UserError(f"{answers}: {method} answered no question about {attribute}; nothing to export")
        noised = None
        if settings is not None:
            noised = _noised(flips, Path(models) / "ddpm" / f"seed{seed}" / "model.json", settings)
        written.append(write_experiment(flips, Path(out), f"{experiment}-{repeat}", noised))
    return written


def flips_of(answered: Answered, classifier: Classifier, attribute: str, repeat: int = 0) -> Flips:
    """Returns the answered questions about one attribute.

    Arguments:
        answered: The suite `flip`, answered by one method.
        classifier: The classifier under observation.
        attribute: The attribute's name.
        repeat: Which repeat of the questions.
    """
    questions = answered.questions
    wanted = (questions["attribute"] == attribute) & (questions["repeat"] == repeat) & questions["answered"]
    rows = np.flatnonzero(wanted.to_numpy(bool))
    part = Answered(
        answered.dataset,
        answered.suite,
        questions.iloc[rows].reset_index(drop=True),
        answered.factual[rows],
        None,
        np.zeros(len(rows), dtype=bool),
        answered.images[rows],
    )
    said = predict(part, classifier)
    return Flips(
        rows=part.questions["index"].to_numpy(np.int64),
        factual=part.factual,
        images=part.images,
        label=part.questions["label"].to_numpy(np.int64),
        pred=said.before,
        target=said.goal,
        cf_pred=said.after,
        bkl=1.0 - said.goal_after,
        seeds=part.questions["seed"].to_numpy(np.int64),
    )


def change_map(factual: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns where an image changed: absolute differences summed over channels, scaled so that the largest is 255.

    Arguments:
        factual: The factual image, uint8 (C, H, W).
        image: The answer, likewise.

    Returns:
        Uint8 (H, W); all 0 where nothing changed.
    """
    change = np.abs(factual.astype(np.int64) - image.astype(np.int64)).sum(0)
    largest = int(change.max(initial=0))
    return (change * 255 // largest).astype(np.uint8) if largest else change.astype(np.uint8)


def summary_of(flips: Flips) -> dict[str, Any]:
    """Returns the summary under its published keys: means of BKL and l_1 and the number n, of all and of each group.

    Arguments:
        flips: The answers, at least one.
    """
    right, reached = flips.pred == flips.label, flips.cf_pred == flips.target

    def group(rows: np.ndarray) -> dict[str, float | int]:
        means = {
            name: float(values[rows].mean()) if rows.any() else 0
            for name, values in (("bkl", flips.bkl), ("l_1", flips.l_1))
        }
        return {**means, "n": int(rows.sum())}

    classes, sides = {"class-cor": right, "class-inc": ~right}, {"cf-cor": reached, "cf-inc": ~reached}
    summary: dict[str, Any] = {
        name: {**group(rows), **{side: group(rows & those) for side, those in sides.items()}}
        for name, rows in classes.items()
    }
    summary |= {side: group(those) for side, those in sides.items()}
    summary |= {"clean acc": 100.0 * float(right.mean()), "cf acc": float(reached.mean())}
    return summary | group(np.ones(len(flips), dtype=bool)) | {"FVA": 0, "MNAC": 0}


def write_experiment(flips: Flips, out: Path, name: str, noised: np.ndarray | None = None) -> Path:
    """Writes originals and one experiment, which appears whole or not at all.

    Arguments:
        flips: The answers, at least one.
        out: The folder to write into.
        name: The experiment's name.
        noised: The noised images, uint8 (N, C, H, W), if the method has any.

    Returns:
        The experiment's folder.

    Raises:
        UserError: If the experiment exists, or an original stands there as classified otherwise.
    """
    folder = out / "Results" / name
    if folder.exists():
        raise UserError(f"{folder}: exists already; delete it, or choose another --exp or --out")
    right, reached = flips.pred == flips.label, flips.cf_pred == flips.target
    ids = [f"{row:07d}" for row in flips.rows.tolist()]
    for one, correct in zip(ids, right, strict=True):
        other = out / "Original" / ("Incorrect" if correct else "Correct") / f"{one}.jpg"
        if other.exists():
            raise UserError(
                f"{other}: of another attribute or classifier, which does not judge it so; choose another --out"
            )
    for side in ("Correct", "Incorrect"):
        (out / "Original" / side).mkdir(parents=True, exist_ok=True)
    for one, correct, image in zip(ids, right, flips.factual, strict=True):
        with writing(out / "Original" / ("Correct" if correct else "Incorrect") / f"{one}.jpg") as temporary:
            _save(temporary, image)
    partial = folder.with_name(f".{name}.{os.getpid()}.partial")
    try:
        for first, second in GROUPS:
            for kind in KINDS:
                (partial / first / second / kind).mkdir(parents=True)
        l_1 = flips.l_1
        for i, one in enumerate(ids):
            group = partial / ("CC" if right[i] else "IC") / ("CCF" if reached[i] else "ICF")
            _save(group / "CF" / f"{one}.jpg", flips.images[i])
            _save(group / "SM" / f"{one}.jpg", change_map(flips.factual[i], flips.images[i])[None])
            if noised is not None:
                _save(group / "Noise" / f"{one}.jpg", noised[i])
            numbers = (flips.label[i], flips.pred[i], flips.target[i], flips.cf_pred[i])
            told = dict(zip(("label", "pred", "target", "cf pred"), map(int, numbers), strict=True))
            told |= {"BKL": float(flips.bkl[i]), "l_1": float(l_1[i])}
            (group / "Info" / f"{one}.txt").write_text(
                "\n".join(f"{key}: {value}" for key, value in told.items()), encoding="ascii"
            )
        summary = summary_of(flips)
        (partial / "summary.yaml").write_text(yaml.safe_dump(summary), encoding="ascii")
        np.savez(
            partial / "stats.npz",
            **{"l_1": l_1, "bkl": flips.bkl, "pred": flips.pred, "cf pred": flips.cf_pred},
            **{"target": flips.target, "label": flips.label, "n": summary["n"]},
            **{"flipped": summary["cf-cor"]["n"], "acc": summary["clean acc"]},
        )
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _save(path: Path, image: np.ndarray) -> None:
    """Saves a uint8 image (C, H, W) as RGB JPEG: the published scripts read three channels."""
    image = np.repeat(image, 3, axis=0) if len(image) == 1 else image[:3]
    Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1))).save(path, format="JPEG")


def _noised(flips: Flips, meta: Path, settings: Any) -> np.ndarray:
    """Returns the images that an explainer's walks started from, uint8 (N, C, H, W): noise is the question's own."""
    import torch

    from ..core.noise import normal
    from ..diffusion.schedule import build_schedule
    from ..diffusion.steps import q_sample
    from ..nets.pixels import to_bytes, to_pixels

    diffusion = read_json(meta)["diffusion"]
    schedule = build_schedule(diffusion["schedule"], diffusion["steps"], settings.timestep_respacing)
    noise = torch.from_numpy(normal(flips.seeds.tolist(), flips.factual.shape[1:], "start"))
    start = q_sample(schedule, to_pixels(torch.from_numpy(flips.factual)), settings.start_step, noise)
    return to_bytes(start).numpy()
