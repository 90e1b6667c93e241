r"""Scores of the answers to a query, as functions of the stickiness.

Each answer is compared with its actual image: the test image, or the generated image if it was drawn.

- `valid`: whether the oracle, which no sampler uses, predicts the premise for the answer; higher is better;
- `l1` (grey levels), `lpips`, `fs` (cosine of the identity embeddings) and `fva` (whether `fs` is above the threshold):
  the distance or similarity to the actual image;
- `rest`: the share of the evidence outside the premise that the oracle still predicts for the answer;
- `moved_<variable>`: the measured change of a continuous variable, in its unit;
- `truth_l1` (grey levels): in simulated worlds, the L1 distance to the true counterfactual of the test image. The
  variable of the premise has the value that was set or, if the premise was only observed, the value that the answer
  shows;
- `log_evidence` (nats): :math:`\log P(e' \mid z)`, the log probability of the premise given the actual image;
- `reached`: whether the sampler returned a draw from its target distribution;
- `kept`: the share of the noise variables that were kept; `calls`: the number of likelihood evaluations.

`frechet` is a score of all answers at one stickiness: the Frechet distance, in the features of the oracle, to the real
test images for which the oracle predicts the premise and the rest of the evidence. At s = 0 an answer is independent of
the actual image; near s = 1 it can hardly differ from it.

Bootstrap intervals are over actual images; samples of one image are averaged first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from ..core.errors import BadFile
from ..core.files import read_json, read_table, write_table
from ..core.foreign.npy import load_npy
from ..core.noise import derive_seed
from ..data.dataset import Dataset, load_dataset, load_split
from ..data.worlds import undetermined, world
from ..models.classifier.model import AttributeClassifier, load_classifier
from ..models.identity.model import load_identity
from ..pretrained.lpips import load_lpips
from .axioms import l1_distance
from .bootstrap import bootstrap_interval
from .columns import require_columns
from .frechet import frechet_distance
from .identity import similarity
from .lpips import lpips_distance
from .resources import Resources

if TYPE_CHECKING:
    from ..config import BootstrapSettings

__all__ = ["COLUMNS", "holds", "score_query", "true_images"]

COLUMNS = ["query", "stickiness", "metric", "value", "low", "high", "n"]
"""The columns of the table."""


def score_query(name: str, folder: Path, resources: Resources, out: Path) -> None:
    """Scores the answers to one query and writes a tidy table, with one row per stickiness and score.

    Its columns are :data:`COLUMNS`. `stickiness` is NaN for `inversion_l1`, the distance between the test image and its
    reconstruction from the inferred noise. `n` is the number of actual images; for `frechet`, of answers. A query
    without answers has an empty table, and neither models nor data are read.

    Arguments:
        name: The name of the query.
        folder: The folder of its answers.
        resources: The settings `bootstrap`, `lpips` and `identity`, the data, the models and the device.
        out: The parquet file to write.

    Raises:
        UserError: If a file or a model is missing or damaged.
    """
    torch.set_num_threads(resources.threads)
    settings, device, threads = resources.settings, resources.device, resources.threads
    query, table = read_json(folder / f"{name}.json"), read_table(folder / f"{name}.parquet")
    if not len(table):
        write_table(out, pd.DataFrame([], columns=COLUMNS))
        return
    images = load_npy(folder / f"{name}.npy")
    dataset, test = load_dataset(resources.data), load_split(resources.data, "test")
    require_columns(
        folder / f"{name}.parquet", table, "the answers to a query", numbers=("index", "actual", "stickiness")
    )
    if len(images) != len(table) or images.shape[1:] != tuple(dataset.shape) or images.dtype != np.uint8:
        raise BadFile(
            f"{folder / name}.npy: not the images of these {len(table)} answers; delete it and run again"
        )
    oracle = load_classifier(resources.oracle, device, "oracle")
    own = table["stickiness"].isna().to_numpy()
    rows = table["index"].to_numpy(np.int64)
    actual = images[own][table["actual"].to_numpy(np.int64)]
    factual = np.where((rows >= 0)[:, None, None, None], test.images[np.maximum(rows, 0)], actual)
    made, answers, before = images[~own], table[~own].reset_index(drop=True), factual[~own]
    values = {key: answers[key].to_numpy(np.float64) for key in ("reached", "log_evidence", "kept", "calls")}
    values["valid"] = holds(oracle, made, query["premise"])
    rest = {fact: value for fact, value in query["given"].items() if fact not in query["premise"]}
    values["rest"] = holds(oracle, made, rest)
    values["l1"] = l1_distance(made, before)
    values["lpips"] = lpips_distance(load_lpips(resources.lpips, device), made, before)
    embed = load_identity(resources.identity, device)
    values["fs"] = similarity(embed(before), embed(made))
    threshold = embed.threshold if settings.identity.threshold is None else settings.identity.threshold
    values["fva"] = (values["fs"] > threshold).astype(np.float64)
    simulation = world(dataset.name)
    if simulation is not None:
        after, was = simulation.measure(made, threads), simulation.measure(before, threads)
        names = [one.name for one in dataset.variables if one.kind == "continuous" and one.name in after]
        moved = {one: np.nan_to_num(after[one]) - np.nan_to_num(was[one]) for one in names}
        values |= {f"moved_{one}": change for one, change in moved.items()}
        truth, known = true_images(query, answers, moved, dataset, test.attributes, oracle, resources)
        values["truth_l1"] = np.where(known, l1_distance(made, truth), np.nan)
    scores = _tidy(values, answers, settings.bootstrap)
    if (rows >= 0).all():
        scores += _tidy(
            {"inversion_l1": l1_distance(images[own], factual[own])}, table[own], settings.bootstrap
        )
    scores += _realism({**rest, **query["premise"]}, oracle, made, answers, test.images)
    write_table(out, pd.DataFrame(scores).assign(query=name))


def holds(model: AttributeClassifier, images: np.ndarray, facts: Mapping[str, float]) -> np.ndarray:
    """Returns the share of facts that a network predicts for each image, (N,); NaN if it predicts none of them.

    Arguments:
        model: The oracle or a classifier.
        images: Uint8 images with shape (N, C, H, W).
        facts: 0 or 1 for each attribute, the class for a categorical variable. Names that the network does not
            predict are left out.
    """
    predicted = model.predict(images)
    agree = [predicted[name] == value for name, value in facts.items() if name in predicted]
    return np.mean(agree, axis=0) if agree else np.full(len(images), np.nan)


def true_images(
    query: Mapping[str, Any],
    answers: pd.DataFrame,
    moved: Mapping[str, np.ndarray],
    dataset: Dataset,
    test: pd.DataFrame,
    model: AttributeClassifier,
    resources: Resources,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the true counterfactual of the test image of each answer.

    Arguments:
        query: The query, as in its JSON file.
        answers: The table of answers, N rows.
        moved: The measured change of each continuous variable, with shape (N,).
        dataset: The data set.
        test: The attributes of the test split.
        model: A classifier or oracle, for the variable of each attribute.
        resources: The folder of the data set and the number of CPU threads.

    Returns:
        Uint8 images with shape (N, C, H, W), and whether each is determined, bool (N,).
    """
    rows = answers["index"].to_numpy(np.int64)
    blank = np.zeros((len(answers), *dataset.shape), np.uint8)
    of = {model.attributes[name]["of"] if name in model.attributes else name for name in query["premise"]}
    simulation = world(dataset.name)
    unknown = {*undetermined(dataset)} if simulation is not None else set()
    if simulation is None or (rows < 0).any() or of & unknown or not of <= set(dataset.names):
        return blank, np.zeros(len(answers), dtype=bool)
    if not all(name in moved or name in query["premise"] or f"do_{name}" in answers for name in of):
        # An observed threshold on a class, or on a quantity that the world does not measure.
        return blank, np.zeros(len(answers), dtype=bool)
    factual = test.iloc[rows].reset_index(drop=True)
    do = {name: np.full(len(answers), np.nan) for name in dataset.names}
    for name in of:
        variable, was = dataset.variable(name), factual[name].to_numpy(np.float64)
        if variable.kind == "categorical":
            known = answers[f"do_{name}"] if f"do_{name}" in answers else query["premise"][name]
            do[name] = np.broadcast_to(np.asarray(known, np.float64), len(answers))
            continue
        # The change of a blank answer leaves the range of the world.
        low, high = np.minimum(was, variable.low), np.maximum(was, variable.high)
        wanted = answers[f"do_{name}"].to_numpy(np.float64) if f"do_{name}" in answers else was + moved[name]
        do[name] = np.clip(wanted, low, high)
    parents = simulation.counterfactual_parents(factual, do)
    return simulation.render_counterfactual(resources.data, factual, parents, resources.threads)


def _tidy(
    values: Mapping[str, np.ndarray], answers: pd.DataFrame, bootstrap: "BootstrapSettings"
) -> list[dict[str, Any]]:
    """Returns one row per stickiness and score: the mean over samples, then over actual images, with an interval."""
    rows = []
    for metric, scores in values.items():
        table = pd.DataFrame({"s": answers["stickiness"].to_numpy(), "actual": answers["actual"].to_numpy()})
        table["score"] = np.where(np.isfinite(scores), scores, np.nan)
        for s, part in table.dropna(subset="score").groupby("s", dropna=False):
            each = part.groupby("actual")["score"].mean().to_numpy()
            seed = derive_seed(bootstrap.seed, "queries", metric)
            low, high = bootstrap_interval(each, bootstrap.resamples, bootstrap.level, seed)
            rows.append(_row(s, metric, each.mean(), low, high, len(each)))
    return rows


def _realism(
    facts: Mapping[str, float],
    oracle: AttributeClassifier,
    made: np.ndarray,
    answers: pd.DataFrame,
    test: np.ndarray,
) -> list[dict[str, Any]]:
    """Returns the Frechet distance between the answers at each stickiness and the real images with the same facts."""
    agree = holds(oracle, test, facts) == 1.0
    real, found = oracle.embed(test[agree]), oracle.embed(made)
    rows = []
    for s in sorted(answers["stickiness"].unique()):
        chosen = (answers["stickiness"] == s).to_numpy()
        # The covariance of F features requires more than F images.
        if min(len(real), chosen.sum()) > found.shape[1]:
            rows.append(
                _row(s, "frechet", frechet_distance(real, found[chosen]), np.nan, np.nan, chosen.sum())
            )
    return rows


def _row(s: float, metric: str, value: float, low: float, high: float, n: int) -> dict[str, Any]:
    return {
        "stickiness": float(s), "metric": metric, "value": float(value), "low": float(low), "high": float(high),
        "n": int(n),
    }  # fmt: skip
