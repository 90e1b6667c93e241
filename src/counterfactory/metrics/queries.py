r"""Scores of the answers to a query, along the stickiness.

Of each answer, against the actual image (the test image, or the generated one where it was drawn):

- `valid`: whether the held-out oracle, which no sampler has seen, says the premise of it;
- `l1` (grey levels), `lpips`, and `fs` and `fva`, the identity embedding's cosine and whether that is above its
  threshold: how near it stays;
- `rest`: the share of the evidence that is no part of the premise which the oracle still says of it;
- `moved_<variable>`: how far what the pixels show of a variable has moved;
- `truth_l1`: in simulated worlds, the L1 distance to the true counterfactual of the test image: at the value that was
  set, or, where the premise was only observed, at the value that this very answer shows;
- `log_evidence`: :math:`\log P(e' \mid z)`, how far-fetched the premise is for this actual world;
- `kept`: the share of noises that were kept; `calls`: likelihoods evaluated for it.

And of all answers at one stickiness, `frechet`: the Frechet distance in the oracle's features between them and the real
test images that the premise and the rest of the evidence are true of. At s = 0 an answer forgets the actual image, near
1 it can hardly move: which of the scores get better and which get worse along s is what the table is for.

Intervals are bootstrapped over actual images, samples of one averaged first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.files import read_json, read_table, write_table
from ..core.foreign.npy import load_npy
from ..core.noise import derive_seed
from ..data.dataset import Dataset, load_dataset, load_split
from ..data.worlds import world
from ..models.classifier.model import AttributeClassifier, load_classifier
from ..models.identity.model import load_identity
from ..pretrained.lpips import load_lpips
from .axioms import l1_distance
from .bootstrap import bootstrap_interval
from .frechet import frechet_distance
from .identity import identity_threshold, similarity
from .lpips import lpips_distance

__all__ = ["holds", "score_query", "true_images"]


def score_query(
    name: str,
    folder: Path | str,
    settings: Any,
    data: Path | str,
    models: Path | str,
    out: Path | str,
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Scores the answers to one query and writes a tidy table, one row a stickiness and metric.

    Its columns are `query`, `stickiness` (NaN for `inversion_l1`, the distance of the actual noise's own image from
    the test image), `metric`, `value`, `low`, `high` and `n`, the number of actual images (for `frechet`, of
    answers). Of a query without answers it has no row, and neither models nor data are read.

    Arguments:
        name: The query's name.
        folder: Where its answers are.
        settings: The section `scores`: `bootstrap`, the trunk of `lpips` and the threshold of `identity`.
        data: The data set's folder.
        models: The folder of the models.
        out: The table to write.
        device: Where networks run.
        threads: CPU threads.

    Raises:
        UserError: If a file or a model is missing or damaged.
    """
    import torch

    torch.set_num_threads(threads)
    folder, models = Path(folder), Path(models)
    query, table = read_json(folder / f"{name}.json"), read_table(folder / f"{name}.parquet")
    if not len(table):  # nothing to score, and so no model or data to read
        write_table(
            out, pd.DataFrame([], columns=["query", "stickiness", "metric", "value", "low", "high", "n"])
        )
        return
    images = load_npy(folder / f"{name}.npy")
    dataset, test = load_dataset(data), load_split(data, "test")
    oracle = load_classifier(models / "oracle", device)
    own = table["stickiness"].isna().to_numpy()
    rows = table["index"].to_numpy(np.int64)
    actual = images[own][table["actual"].to_numpy(np.int64)]
    factual = np.where((rows >= 0)[:, None, None, None], test.images[np.maximum(rows, 0)], actual)
    made, asked, before = images[~own], table[~own].reset_index(drop=True), factual[~own]
    values = {key: asked[key].to_numpy(np.float64) for key in ("reached", "log_evidence", "kept", "calls")}
    values["valid"] = holds(oracle, made, query["premise"])
    rest = {fact: value for fact, value in query["given"].items() if fact not in query["premise"]}
    values["rest"] = holds(oracle, made, rest)
    values["l1"] = l1_distance(made, before)
    values["lpips"] = lpips_distance(load_lpips(models / "lpips" / settings.lpips.net, device), made, before)
    embed = load_identity(models / "identity", device)
    values["fs"] = similarity(embed(before), embed(made))
    threshold = identity_threshold(settings.identity.threshold, models / "identity")
    values["fva"] = (values["fs"] > threshold).astype(np.float64)
    known = world(dataset.name)
    if known is not None:
        shown, was = known.measure(made, threads), known.measure(before, threads)
        names = [one.name for one in dataset.variables if one.kind == "continuous" and one.name in shown]
        moved = {one: np.nan_to_num(shown[one]) - np.nan_to_num(was[one]) for one in names}
        values |= {f"moved_{one}": change for one, change in moved.items()}
        truth, there = true_images(query, asked, moved, dataset, test.attributes, oracle, data, threads)
        values["truth_l1"] = np.where(there, l1_distance(made, truth), np.nan)
    scores = _tidy(values, asked, settings.bootstrap)
    if (rows >= 0).all():
        scores += _tidy(
            {"inversion_l1": l1_distance(images[own], factual[own])}, table[own], settings.bootstrap
        )
    scores += _realism({**rest, **query["premise"]}, oracle, made, asked, test.images)
    write_table(out, pd.DataFrame(scores).assign(query=name))


def holds(model: AttributeClassifier, images: np.ndarray, facts: Mapping[str, float]) -> np.ndarray:
    """Returns the share of facts that a network says of each image, (N,); NaN if it knows none of them.

    Arguments:
        model: The oracle or a classifier.
        images: Uint8 images with shape (N, C, H, W).
        facts: For each attribute 0 or 1, for the categorical variable the class; names it does not know are left out.
    """
    said = model.predict(images)
    agree = [said[name] == value for name, value in facts.items() if name in said]
    return np.mean(agree, axis=0) if agree else np.full(len(images), np.nan)


def true_images(
    query: Mapping[str, Any],
    asked: pd.DataFrame,
    moved: Mapping[str, np.ndarray],
    dataset: Dataset,
    test: pd.DataFrame,
    model: AttributeClassifier,
    data: Path | str,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the true counterfactual of each answer's test image, uint8 (N, C, H, W), and which there are, (N,).

    Arguments:
        query: The query, as its JSON holds it.
        asked: The table of answers, N rows.
        moved: The measured change of each continuous variable, with shape (N,).
        dataset: The data set.
        test: The attributes of the test split.
        model: What knows which quantity an attribute is of.
        data: The data set's folder.
        threads: CPU threads.
    """
    rows = asked["index"].to_numpy(np.int64)
    blank = np.zeros((len(asked), *dataset.shape), np.uint8)
    of = {model.attributes[name]["of"] if name in model.attributes else name for name in query["premise"]}
    classes = {one.name for one in dataset.variables if one.classes}
    if (rows < 0).any() or of & classes or not of <= set(dataset.names):
        return blank, np.zeros(len(asked), dtype=bool)
    factual = test.iloc[rows].reset_index(drop=True)
    do = {name: np.full(len(asked), np.nan) for name in dataset.names}
    for name in of:
        variable, was = dataset.variable(name), factual[name].to_numpy(np.float64)
        # A blank answer has moved further than the world goes.
        low, high = np.minimum(was, variable.low), np.maximum(was, variable.high)
        wanted = asked[f"do_{name}"].to_numpy(np.float64) if f"do_{name}" in asked else was + moved[name]
        do[name] = np.clip(wanted, low, high)
    known = world(dataset.name)
    return known.render_counterfactual(data, factual, known.counterfactual_parents(factual, do), threads)


def _tidy(values: Mapping[str, np.ndarray], asked: pd.DataFrame, bootstrap: Any) -> list[dict[str, Any]]:
    """Returns a row a stickiness and metric: means over samples, then over actual images, with intervals."""
    rows = []
    for metric, scores in values.items():
        table = pd.DataFrame({"s": asked["stickiness"].to_numpy(), "actual": asked["actual"].to_numpy()})
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
    asked: pd.DataFrame,
    test: np.ndarray,
) -> list[dict[str, Any]]:
    """Returns the Frechet distance of each stickiness from the real images that the facts are true of."""
    agree = holds(oracle, test, facts) == 1.0
    real, found = oracle.embed(test[agree]), oracle.embed(made)
    rows = []
    for s in sorted(asked["stickiness"].unique()):
        mine = (asked["stickiness"] == s).to_numpy()
        # A covariance of F features needs more images than that.
        if min(len(real), mine.sum()) > found.shape[1]:
            rows.append(_row(s, "frechet", frechet_distance(real, found[mine]), np.nan, np.nan, mine.sum()))
    return rows


def _row(s: float, metric: str, value: float, low: float, high: float, n: int) -> dict[str, Any]:
    return {
        "stickiness": float(s), "metric": metric, "value": float(value), "low": float(low), "high": float(high),
        "n": int(n),
    }  # fmt: skip
