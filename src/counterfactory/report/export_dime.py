r"""Exports explanations in the folder layout of DiME's published code, for its evaluation scripts.

The answers of a method to one attribute of the suite `flip` are written as::

    Original/{Correct,Incorrect}/ID.jpg                 factual images, by whether the classifier is correct
    Results/EXP/{CC,IC}/{CCF,ICF}/CF/ID.jpg             answers: class (in)correct, counterfactual (in)correct
                                  Info/ID.txt           label, pred, target, cf pred, BKL, l_1: six lines
                                  SM/ID.jpg             map of changes, white where the change is largest
                                  Noise/ID.jpg          noised image at the start of sampling, for explainers only
    Results/EXP/summary.yaml                            means of BKL and l_1 in each group, accuracies
    Results/EXP/stats.npz                               the same, one number per image

where the seven-digit ID is the row of the image in the test split. A counterfactual is correct if the classifier
predicts the target; the target of a binary attribute is the opposite of the prediction for the factual image. With the
classifier's probability p of the target,

.. math:: \mathrm{BKL} = 1 - p(y^* \mid \hat x), \qquad l_1 = \operatorname{mean} |x - \hat x| / 255

In the summary, `clean acc` is in per cent and `cf acc`, the flip rate, is a share; `FVA` and `MNAC` are 0, as in the
output of the published scripts. Groups without images have means of 0. Images are RGB JPEG files at Pillow's default
quality, as those scripts expect; scores of these files therefore differ slightly from the scores of this package.
Differences from the published files: BKL is computed from the rounded image, and the numbers of single images,
published as a pickle (stats.pth), are arrays of the same names in stats.npz.

References:
    | Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022)
    | https://arxiv.org/abs/2203.15636
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from PIL import Image

from ..core.errors import UserError
from ..core.files import read_json, writing
from ..metrics.inputs import SuiteAnswers, load_suite
from ..metrics.predictions import predict

if TYPE_CHECKING:
    from ..models.classifier.model import AttributeClassifier

__all__ = ["Flips", "Sources", "change_map", "export_dime", "flips_of", "summary_of", "write_experiment"]

GROUPS = (("CC", "CCF"), ("CC", "ICF"), ("IC", "CCF"), ("IC", "ICF"))
KINDS = ("CF", "Info", "Noise", "SM")


@dataclass(frozen=True)
class Sources:
    """The files that an export reads.

    Arguments:
        data: The folder of the data set.
        models: The folder of the trained models of the data set.
        questions: The questions of the suite `flip`.
        answers: The answers of the method and seed, with one folder per suite.
    """

    data: Path
    models: Path
    questions: Path
    answers: Path


@dataclass(frozen=True)
class Flips:
    """Answers to one attribute, one per image, and the predictions of the classifier.

    Arguments:
        rows: The rows of the images in the test split, int64 (N,).
        factual: The factual images, uint8 (N, C, H, W).
        images: The answers, uint8 (N, C, H, W).
        label: The value of the attribute, 0 or 1, or the class, int64 (N,).
        pred: The prediction for the factual image, int64 (N,).
        target: The target of the prediction, int64 (N,).
        cf_pred: The prediction for the answer, int64 (N,).
        bkl: One minus the probability of the target given the answer, float64 (N,).
        seeds: The seeds of the questions, int64 (N,).
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
    sources: Sources,
    out: Path | str,
    experiment: str | None = None,
    settings: Any = None,
) -> list[Path]:
    """Writes the answers of a method to one attribute, each repeat as an experiment `<experiment>-<repeat>`.

    The published spread over seeds is computed over experiments with the pattern `<experiment>-*`.

    Arguments:
        method: The name of the method.
        attribute: The attribute to flip, as in the column `attribute` of the questions.
        seed: The training seed of the method and of the classifier.
        sources: The files to read.
        out: The output folder, one per attribute and classifier; several methods may share it.
        experiment: The name of the experiment; None: the name of the method.
        settings: The section `answers.<method>` of an explainer; its noised images are then written as well.

    Returns:
        The folders of the experiments.

    Raises:
        UserError: If a file is missing or damaged, no question is about the attribute, the method has no answers, an
            experiment exists already, or `out` contains the originals of another attribute.
    """
    from ..models.classifier.model import load_classifier

    experiment = experiment or method
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", experiment):
        raise UserError(f"--exp: {experiment!r}: choose a name of letters, digits and - _ . +")
    answered = load_suite("flip", sources.data, sources.questions, sources.answers)
    attributes = answered.questions["attribute"]
    if attribute not in set(attributes):
        known = ", ".join(dict.fromkeys(attributes)) or "no attribute"
        raise UserError(f"--attribute: {attribute}: {sources.questions} has questions about {known} only")
    classifier = load_classifier(sources.models / "classifier" / f"seed{seed}", expected="classifier")
    if attribute in classifier.constant:
        raise UserError(f"{attribute}: the classifier {classifier.constant[attribute]}")
    repeats = sorted(answered.questions.loc[attributes == attribute, "repeat"].unique().tolist())
    written = []
    for repeat in repeats:
        flips = flips_of(answered, classifier, attribute, repeat)
        if not len(flips):
            if repeat:
                continue
            raise UserError(
                f"{sources.answers}: {method} answered no question about {attribute}; nothing to export"
            )
        noised = None
        if settings is not None:
            noised = _noised(flips, sources.models / "ddpm" / f"seed{seed}" / "model.json", settings)
        written.append(write_experiment(flips, Path(out), f"{experiment}-{repeat}", noised))
    return written


def flips_of(
    answered: SuiteAnswers, classifier: "AttributeClassifier", attribute: str, repeat: int = 0
) -> Flips:
    """Returns the answered questions about one attribute.

    Arguments:
        answered: The suite `flip`, answered by one method.
        classifier: The classifier.
        attribute: The attribute's name.
        repeat: Which repeat of the questions.
    """
    questions = answered.questions
    wanted = (questions["attribute"] == attribute) & (questions["repeat"] == repeat) & questions["answered"]
    rows = np.flatnonzero(wanted.to_numpy(bool))
    part = SuiteAnswers(
        answered.dataset,
        answered.suite,
        questions.iloc[rows].reset_index(drop=True),
        answered.factual[rows],
        None,
        np.zeros(len(rows), dtype=bool),
        answered.images[rows],
    )
    predictions = predict(part, classifier)
    return Flips(
        rows=part.questions["index"].to_numpy(np.int64),
        factual=part.factual,
        images=part.images,
        label=part.questions["label"].to_numpy(np.int64),
        pred=predictions.before,
        target=predictions.goal,
        cf_pred=predictions.after,
        bkl=1.0 - predictions.goal_after,
        seeds=part.questions["seed"].to_numpy(np.int64),
    )


def change_map(factual: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns the map of changes: absolute differences summed over channels, scaled to a maximum of 255.

    Arguments:
        factual: The factual image, uint8 (C, H, W).
        image: The answer, uint8 (C, H, W).

    Returns:
        The map, uint8 (H, W); 0 everywhere if nothing changed.
    """
    change = np.abs(factual.astype(np.int64) - image.astype(np.int64)).sum(0)
    largest = int(change.max(initial=0))
    return (change * 255 // largest).astype(np.uint8) if largest else change.astype(np.uint8)


def summary_of(flips: Flips) -> dict[str, Any]:
    """Returns the summary with its published keys: means of BKL and l_1 and the number n, in total and per group.

    Arguments:
        flips: The answers, at least one.
    """
    correct, reached = flips.pred == flips.label, flips.cf_pred == flips.target

    def group(rows: np.ndarray) -> dict[str, float | int]:
        means = {
            name: float(values[rows].mean()) if rows.any() else 0
            for name, values in (("bkl", flips.bkl), ("l_1", flips.l_1))
        }
        return {**means, "n": int(rows.sum())}

    classes, counterfactuals = (
        {"class-cor": correct, "class-inc": ~correct},
        {"cf-cor": reached, "cf-inc": ~reached},
    )
    summary: dict[str, Any] = {
        name: {**group(rows), **{key: group(rows & those) for key, those in counterfactuals.items()}}
        for name, rows in classes.items()
    }
    summary |= {key: group(those) for key, those in counterfactuals.items()}
    summary |= {"clean acc": 100.0 * float(correct.mean()), "cf acc": float(reached.mean())}
    return summary | group(np.ones(len(flips), dtype=bool)) | {"FVA": 0, "MNAC": 0}


def write_experiment(flips: Flips, out: Path, name: str, noised: np.ndarray | None = None) -> Path:
    """Writes the originals and one experiment; the folder of the experiment is created atomically.

    Arguments:
        flips: The answers, at least one.
        out: The folder to write into.
        name: The experiment's name.
        noised: The noised images, uint8 (N, C, H, W), for explainers.

    Returns:
        The experiment's folder.

    Raises:
        UserError: If the experiment exists, or an original exists in the other folder of originals.
    """
    folder = out / "Results" / name
    if folder.exists():
        raise UserError(f"{folder}: exists already; delete it, or choose another --exp or --out")
    correct, reached = flips.pred == flips.label, flips.cf_pred == flips.target
    ids = [f"{row:07d}" for row in flips.rows.tolist()]
    for one, right in zip(ids, correct, strict=True):
        other = out / "Original" / ("Incorrect" if right else "Correct") / f"{one}.jpg"
        if other.exists():
            raise UserError(f"{other}: belongs to another attribute or classifier; choose another --out")
    for subfolder in ("Correct", "Incorrect"):
        (out / "Original" / subfolder).mkdir(parents=True, exist_ok=True)
    for one, right, image in zip(ids, correct, flips.factual, strict=True):
        with writing(out / "Original" / ("Correct" if right else "Incorrect") / f"{one}.jpg") as temporary:
            _save(temporary, image)
    partial = folder.with_name(f".{name}.{os.getpid()}.partial")
    try:
        for first, second in GROUPS:
            for kind in KINDS:
                (partial / first / second / kind).mkdir(parents=True)
        l_1 = flips.l_1
        for i, one in enumerate(ids):
            group = partial / ("CC" if correct[i] else "IC") / ("CCF" if reached[i] else "ICF")
            _save(group / "CF" / f"{one}.jpg", flips.images[i])
            _save(group / "SM" / f"{one}.jpg", change_map(flips.factual[i], flips.images[i])[None])
            if noised is not None:
                _save(group / "Noise" / f"{one}.jpg", noised[i])
            numbers = (flips.label[i], flips.pred[i], flips.target[i], flips.cf_pred[i])
            info: dict[str, float] = dict(
                zip(("label", "pred", "target", "cf pred"), map(int, numbers), strict=True)
            )
            info |= {"BKL": float(flips.bkl[i]), "l_1": float(l_1[i])}
            (group / "Info" / f"{one}.txt").write_text(
                "\n".join(f"{key}: {value}" for key, value in info.items()), encoding="ascii"
            )
        summary = summary_of(flips)
        (partial / "summary.yaml").write_text(yaml.safe_dump(summary), encoding="ascii")
        arrays: dict[str, Any] = {"l_1": l_1, "bkl": flips.bkl, "pred": flips.pred, "cf pred": flips.cf_pred}
        arrays |= {"target": flips.target, "label": flips.label, "n": summary["n"]}
        arrays |= {"flipped": summary["cf-cor"]["n"], "acc": summary["clean acc"]}
        np.savez(partial / "stats.npz", **arrays)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _save(path: Path, image: np.ndarray) -> None:
    """Saves a uint8 image (C, H, W) as RGB JPEG, because the published scripts read three channels."""
    image = np.repeat(image, 3, axis=0) if len(image) == 1 else image[:3]
    Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1))).save(path, format="JPEG")


def _noised(flips: Flips, meta: Path, settings: Any) -> np.ndarray:
    """Returns the noised images at the start of sampling, uint8 (N, C, H, W); noise depends on the question's seed."""
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
