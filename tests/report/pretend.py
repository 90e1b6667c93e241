"""Synthetic results in the formats of the workflow, for tests of the report."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.morphology import skeletonize

from counterfactory.data.dataset import Dataset, Variable, save_dataset
from counterfactory.report.figures import write_figures
from counterfactory.report.results import Results
from counterfactory.report.tables import write_tables

DATASET = Dataset(
    "morphomnist",
    (
        Variable("thickness", "continuous", "px", 0.88, 6.26),
        Variable("intensity", "continuous", "grey levels", 66.6, 254.9),
        Variable("digit", "categorical", classes=10),
    ),
    (("thickness", "intensity"),),
    (1, 32, 32),
    True,
)
INTERVENTIONS = ("thickness", "intensity", "digit", "random")
PROTOCOLS = ("marginal", "other_bin")
NO_TRUTH = "the true counterfactual image is not determined: it would be another handwritten image"
NO_ANSWER = "the method does not answer this question"
# method -> thickness error (px), intensity error (grey levels), accuracy under do(digit), L1 under null, milliseconds
QUALITY = {
    "copy": (0.71, 52.0, 0.02, 0.0, 0.01),
    "vae": (0.29, 9.4, 0.78, 1.9, 1.9),
    "hvae": (0.13, 3.4, 0.91, 0.4, 14.2),
    "truth": (0.06, 1.6, np.nan, 0.0, 3.1),
}


@cache
def _skeleton(digit: int) -> np.ndarray:
    """Returns the distance to a digit's skeleton, in px of the 28 x 28 image, 8 times as fine."""
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 190)
    image = Image.new("L", (224, 224))
    ImageDraw.Draw(image).text((112, 112), str(digit), 255, font, anchor="mm")
    return ndimage.distance_transform_edt(~skeletonize(np.asarray(image) > 127)) / 8.0


def render(digit: int, thickness: float, intensity: float, blur: float = 0.0) -> np.ndarray:
    """Returns a digit as a uint8 image (1, 32, 32)."""
    fine = (_skeleton(int(digit)) < thickness / 2).astype(float)
    small = fine.reshape(28, 8, 28, 8).mean((1, 3)) * intensity
    small = ndimage.gaussian_filter(small, blur) if blur else small
    return np.pad(np.clip(small, 0, 255).astype(np.uint8), 2)[None]


def _attributes(rng: np.random.Generator, n: int) -> pd.DataFrame:
    t = 0.5 + rng.gamma(10, 0.2, n)
    i = 64 + 191 / (1 + np.exp(-(0.5 * rng.normal(size=n) + 2 * t - 5)))
    return pd.DataFrame(
        {"index": np.arange(n), "digit": rng.integers(0, 10, n), "thickness": t, "intensity": i}
    )


def _questions(rng: np.random.Generator, test: pd.DataFrame, images: int) -> dict[str, pd.DataFrame]:
    def suite(name: str, blocks: list[tuple[str, str, int]]) -> pd.DataFrame:
        parts = []
        for intervention, protocol, cycles in blocks:
            part = test.head(images)[["index"]].copy()
            part[["suite", "intervention", "protocol", "cycles", "seed", "steps"]] = [
                name,
                intervention,
                protocol,
                cycles,
                0,
                "[]",
            ]
            new = _attributes(rng, len(part))
            for v in ("thickness", "intensity", "digit"):
                keep = name != "do" or v not in (intervention, "random" if intervention == "random" else v)
                part[f"true_{v}"] = (test.head(images) if keep else new)[v].to_numpy(float)
            parts.append(part)
        table = pd.concat(parts, ignore_index=True)
        table.insert(0, "question", np.arange(len(table)))
        return table

    return {
        "do": suite("do", [(what, protocol, 1) for what in INTERVENTIONS for protocol in PROTOCOLS]),
        "null": suite("null", [("none", "", 1), ("none", "", 10)]),
        "reverse": suite("reverse", [(what, "marginal", c) for what in INTERVENTIONS[:3] for c in (1, 10)]),
    }


def _scores(
    rng: np.random.Generator, method: str, seed: int, questions: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    t, i, right, l1, _ = QUALITY[method]
    bad = {"copy": 1.0, "truth": 1.0}.get(method, 1.0 + 0.05 * seed)
    tables: dict[str, list[pd.DataFrame]] = {}

    def add(metric: str, name: str, rows: pd.DataFrame, values: np.ndarray | float, reason: str = "") -> None:
        part = rows[["question", "suite", "intervention", "protocol", "cycles"]].copy()
        part.insert(0, "dataset", "morphomnist")
        part.insert(1, "method", method)
        part.insert(2, "seed", seed)
        part["metric"], part["value"], part["reason"] = name, values, reason
        tables.setdefault(metric, []).append(part)

    do = questions["do"]
    for (what, protocol), rows in do.groupby(["intervention", "protocol"], sort=False):
        n = len(rows)
        untouched = method == "copy"
        wide = 1.15 if protocol == "other_bin" else 1.0
        set_t, set_i = what in ("thickness", "random"), what in ("thickness", "intensity", "random")
        et = (
            rng.gamma(2, (t if set_t else 0.07) * wide / 2, n)
            * (1 + 0.08 * (rows["true_thickness"] - 2.5) ** 2).to_numpy()
            * bad
        )
        ei = rng.gamma(2, (i if set_i else 1.9) * wide / 2, n) * bad
        share = right if what == "digit" else (0.5 + right / 2 if what == "random" else 0.985)
        lost = what == "digit" and method == "truth"
        acc = np.full(n, np.nan) if lost else (rng.random(n) < share).astype(float)
        reason = NO_ANSWER if lost else ""
        for name, values in (
            ("predicted_thickness", et),
            ("predicted_intensity", ei),
            ("predicted_digit", acc),
        ):
            add("effectiveness", name, rows, np.nan if lost else values, reason)
        add("measured", "measured_thickness", rows, np.nan if lost else np.hypot(et, 0.125), reason)
        add("measured", "measured_intensity", rows, np.nan if lost else np.hypot(ei, 0.5), reason)
        none = NO_TRUTH if what in ("digit", "random") else ""
        perfect = method == "truth"
        add("measured", "measured_thickness_truth", rows, np.nan if none else et * (not perfect), none)
        add("measured", "measured_intensity_truth", rows, np.nan if none else ei * (not perfect), none)
        add("truth", "truth_l1", rows, np.nan if none else (1.2 * et / 0.13 + ei / 3) * (not perfect), none)
        pt = et * 0 if (what != "thickness" or not untouched) else et
        add("truth", "parents_thickness", rows, np.nan if lost else pt, reason)
        add(
            "truth",
            "parents_intensity",
            rows,
            np.nan if lost else ei * (0.15 if not (untouched or perfect) else untouched),
            reason,
        )
        add("lpips", "truth_lpips", rows.head(40), np.nan if none else 0.02 * et[:40] * (not perfect), none)
    for suite in ("null", "reverse"):
        for (what, cycles), rows in questions[suite].groupby(["intervention", "cycles"], sort=False):
            lost = what == "digit" and method == "truth"
            base = l1 * (1 if suite == "null" else 1.8) * (1 if cycles == 1 else 3.1) * bad
            add(
                "axioms",
                "l1",
                rows,
                np.nan if lost else rng.gamma(3, base / 3 + 1e-12, len(rows)),
                NO_ANSWER if lost else "",
            )
            values = rng.gamma(3, 0.012 * base / 3 + 1e-12, len(rows))[:40]
            add("lpips", "lpips", rows.head(40), np.nan if lost else values, NO_ANSWER if lost else "")
    return {metric: pd.concat(parts, ignore_index=True) for metric, parts in tables.items()}


def _summary(tables: list[pd.DataFrame]) -> pd.DataFrame:
    keys = ["dataset", "method", "seed", "suite", "intervention", "protocol", "cycles", "metric"]
    rows = []
    for table in tables:
        for key, group in table.groupby(keys, sort=False):
            values = group["value"].dropna()
            half = 1.96 * values.std() / np.sqrt(max(1, len(values)))
            numbers = (values.mean(), max(0, values.mean() - half), values.mean() + half, len(values))
            rows.append(
                (*key, *(numbers if len(values) else (np.nan, np.nan, np.nan, 0)), group["reason"].iloc[0])
            )
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "n", "reason"])


def _sweep(
    folder: Path, test: pd.DataFrame, images: int, methods: tuple[str, ...], seeds: tuple[int, ...]
) -> None:
    values = {
        "thickness": np.linspace(1.4, 4.4, 7),
        "intensity": np.linspace(80, 248, 7),
        "digit": np.arange(10),
    }
    rows = []
    for what, settings in values.items():
        for index in range(images):
            for value in settings:
                rows.append(
                    {"index": index, "intervention": what, "steps": json.dumps([{what: float(value)}])}
                )
    table = pd.DataFrame(rows)
    table.insert(0, "question", np.arange(len(table)))
    table = table.assign(suite="sweep", protocol="", cycles=1, seed=0)
    factual = test.iloc[table["index"]].reset_index(drop=True)
    for v in ("thickness", "intensity", "digit"):
        asked = [json.loads(steps)[0].get(v, np.nan) for steps in table["steps"]]
        table[f"true_{v}"] = np.where(np.isnan(asked), factual[v], asked)
    i_of_t = 64 + 191 / (1 + np.exp(-(2 * table["true_thickness"] - 5)))
    table["true_intensity"] = np.where(table["intervention"] == "thickness", i_of_t, table["true_intensity"])
    (folder / "questions").mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "questions" / "sweep.parquet", index=False)
    rng = np.random.default_rng(1)
    for method in methods:
        blur = {"vae": 0.8, "hvae": 0.3}.get(method, 0.0)
        for seed in seeds if method not in ("copy", "truth") else (0,):
            images_of, own = [], []
            for row, was in zip(table.itertuples(), factual.itertuples(), strict=True):
                d, t, i = row.true_digit, row.true_thickness, row.true_intensity
                lost = method == "truth" and row.intervention == "digit"
                if method == "copy":
                    d, t, i = was.digit, was.thickness, was.intensity
                t = t + (0.3 if method == "vae" else 0.1) * rng.normal() * (blur > 0)
                images_of.append(np.zeros((1, 32, 32), np.uint8) if lost else render(d, t, i, blur))
                own.append((np.nan,) * 3 if lost else (t, i, d))
            out = folder / "answers" / method / f"seed{seed}" / "sweep"
            out.mkdir(parents=True, exist_ok=True)
            half = len(table) // 2
            for start, stop in ((0, half), (half, len(table))):
                name = f"{start:06d}-{stop:06d}"
                np.save(out / f"{name}.npy", np.stack(images_of[start:stop]))
                part = table.iloc[start:stop].reset_index(drop=True)
                part["answered"] = [not np.isnan(o[0]) for o in own[start:stop]]
                part[["thickness", "intensity", "digit"]] = np.array(own[start:stop])
                part.to_parquet(out / f"{name}.parquet", index=False)


def _log(
    rng: np.random.Generator, end: float, steps: int, minutes: float, names: tuple[str, ...]
) -> pd.DataFrame:
    step = np.linspace(steps / 20, steps, 20).round().astype(int)
    loss = end * (1 + 1.6 * np.exp(-6 * step / steps)) + 0.004 * rng.normal(size=20)
    log = pd.DataFrame({"step": step, "seconds": 60 * minutes * step / steps, "learning_rate": 1e-3})
    for k, name in enumerate(("loss", *names)):
        share = (1.0, 0.75, 0.25)[k]
        log[f"train_{name}"] = loss * share * 0.99 + 0.006 * rng.normal(size=20)
        log[f"valid_{name}"] = loss * share
    return log


def pretend_results(
    folder: Path,
    methods: tuple[str, ...] = tuple(QUALITY),
    seeds: tuple[int, ...] = (0,),
    images: int = 60,
    sweep: int = 2,
) -> Path:
    """Writes synthetic results of one data set into `folder` and returns it."""
    rng = np.random.default_rng(0)
    test = _attributes(rng, max(images, sweep, 20))
    save_dataset(folder / "data", DATASET)
    split = folder / "data" / "test"
    split.mkdir(parents=True, exist_ok=True)
    np.save(
        split / "images.npy", np.stack([render(r.digit, r.thickness, r.intensity) for r in test.itertuples()])
    )
    test.to_parquet(split / "attributes.parquet", index=False)
    questions = _questions(rng, test, images)
    (folder / "questions").mkdir(exist_ok=True)
    for name, table in questions.items():
        table.to_parquet(folder / "questions" / f"{name}.parquet", index=False)
    _sweep(folder, test, sweep, methods, seeds)

    tables, scored = [], {}
    for method in methods:
        for seed in seeds if method not in ("copy", "truth") else (0,):
            for metric, table in _scores(rng, method, seed, questions).items():
                scored.setdefault((metric, seed), []).append(table)
                tables.append(table)
            for suite, table in questions.items():
                out = folder / "answers" / method / f"seed{seed}" / suite
                out.mkdir(parents=True, exist_ok=True)
                made, calls = int(table["cycles"].sum()), {"vae": 4, "hvae": 4, "copy": 0, "truth": 0}[method]
                cost = {"questions": len(table), "answered": len(table), "images": made, "load_seconds": 0.8}
                cost |= {
                    "seconds": QUALITY[method][4] * made / 1000,
                    "network_calls": calls * made if calls else None,
                }
                cost |= {"peak_rss_mb": 412.3 if calls else 180.1, "device": "cpu", "threads": 1}
                (out / f"000000-{len(table):06d}.cost.json").write_text(json.dumps(cost))
    for (metric, seed), rows in scored.items():
        path = folder / "scores" / metric / f"seed{seed}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(rows, ignore_index=True).to_parquet(path, index=False)
    _summary(tables).to_csv(folder / "scores" / "scores.csv", index=False)

    for name, end, steps, minutes in (("vae", 0.55, 4000, 2.1), ("hvae", 0.49, 2000, 8.4)):
        for seed in seeds if name in methods else ():
            out = folder / "models" / name / f"seed{seed}"
            out.mkdir(parents=True, exist_ok=True)
            _log(rng, end, steps, minutes, ("nll", "kl")).to_csv(out / "log.csv", index=False)
            (out / "model.json").write_text(json.dumps({"training": {"seconds": 60 * minutes}, "seed": seed}))
    for seed in seeds:
        out = folder / "models" / "scm" / f"seed{seed}"
        out.mkdir(parents=True, exist_ok=True)
        nll = {"thickness": -0.0601 + 0.001 * seed, "intensity": -0.3461, "digit": 2.3011, "total": 1.8949}
        (out / "model.json").write_text(json.dumps({"nll": nll}))
        _log(rng, 1.89, 1500, 0.4, ()).to_csv(out / "log.csv", index=False)
    for name, key, error, unit in (
        ("thickness", "error", 0.081, "px"),
        ("intensity", "error", 2.31, "grey levels"),
        ("digit", "accuracy", 0.981, "share"),
    ):
        out = folder / "models" / "judges" / name
        out.mkdir(parents=True, exist_ok=True)
        errors = {split: {key: error, "unit": unit, "n": n} for split, n in (("valid", 1200), ("test", 2000))}
        (out / "model.json").write_text(
            json.dumps({"images": {"train": 10800, "valid": 1200}, "errors": errors})
        )
        _log(rng, 0.2 + error / 10, 1500, 0.9, (key,)).to_csv(out / "log.csv", index=False)

    (folder / "config.yaml").write_text(
        "results: results\ndataset: morphomnist\nseeds: [0]\nmethods: [copy, vae, hvae, truth]\n"
        "data: {train: 20000, valid: 2000, judges: 12000, test: 2000}\n"
        "questions:\n  do: {images: 1000, interventions: [thickness, intensity, digit, random]}\n"
        "answers: {latent_temperature: 1.0, residual_temperature: 1.0, effect: direct}\n"
    )
    provenance = {
        "revision": "3f9c2a1d7e",
        "changed": False,
        "python": "3.11.2",
        "platform": "Linux x86_64, 2 cores",
    }
    packages = {"counterfactory": "0.1.0", "torch": "2.13.0", "numpy": "2.4.0", "snakemake": "9.27.1"}
    (folder / "provenance.json").write_text(json.dumps(provenance | {"packages": packages}))
    benchmarks = folder / "benchmarks"
    for step, seconds, jobs in (
        ("synthesise", 41.2, 1),
        ("train", 310.4, 2),
        ("train_judge", 52.0, 3),
        ("answer", 12.5, 8),
    ):
        for job in range(jobs):
            path = benchmarks / step / f"{job}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f"s\th:m:s\tmax_rss\tcpu_time\n{seconds + job}\t0:00:10\t{300.5 + job}\t{seconds * 0.9}\n"
            )
    return folder


def make_tables(results: Path, out: Path, **changes) -> Path:
    """Writes the tables of synthetic results, with `changes` to the inputs, and returns their folder."""
    options = {name: changes.pop(name) for name in ("names", "published") if name in changes}
    inputs = {
        "scores": results / "scores" / "scores.csv",
        "data": results / "data",
        "judges": sorted(results.glob("models/judges/*/model.json")),
        "scm": sorted(results.glob("models/scm/*/model.json")),
        "costs": sorted(results.glob("answers/*/*/*/*.cost.json")),
        "models": sorted(results.glob("models/*vae/*/model.json")),
    }
    write_tables(Results(**(inputs | changes)), out, **options)
    return out


def make_figures(results: Path, out: Path, **changes) -> Path:
    """Writes the figures of synthetic results, with `changes` to the inputs, and returns their folder."""
    names = changes.pop("names", ())
    inputs = {
        "scores": results / "scores" / "scores.csv",
        "rows": sorted(results.glob("scores/*/*.parquet")),
        "questions": results / "questions",
        "answers": results / "answers",
        "data": results / "data",
        "judges": sorted(results.glob("models/judges/*/model.json")),
        "logs": sorted(results.glob("models/*/*/log.csv")),
        "costs": sorted(results.glob("answers/*/*/*/*.cost.json")),
    }
    write_figures(Results(**(inputs | changes)), out, names)
    return out
