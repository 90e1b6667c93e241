"""Writes the explorer: one HTML file that holds its data, its networks and their runtime, and needs no network.

One part answers questions: an image, interventions on one or several variables, dials, and the answers of each image
mechanism beside the true counterfactual, if there is one. The other part lists the answers of every method, sorted by
any score. Networks are evaluated in the browser
where both the runtime (:mod:`counterfactory.report.explorer.runtime`) and the exporter are available; otherwise the
page holds answers at fixed values and states that.
"""

import gzip
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ... import __version__
from ...core.errors import UserError, reading
from ...core.files import read_json, write_text
from ...data.dataset import load_dataset, load_split
from ..causal_graph import causal_graph
from ..html import icon
from ..vocabulary import CEILING, method_title
from .blobs import LONGER, gzipped, pack, pack_json, sheet, shrunk
from .browse import Shown, browse
from .content import Models, answers_at_values, described, examples, networks, not_exported
from .training_data import training_data

__all__ = ["LIMIT", "Stored", "write_explorer"]

FOLDER = Path(__file__).parent
SCRIPTS = ("lzma.js", "transport.js", "networks.js", "browse.js", "explorer.js")

LIMIT = 9_000_000
"""The size of the page in bytes up to which the part with all answers is filled; fewer are listed beyond it."""

FIXED = 150_000
"""More than the size of the texts, scripts and lists of the page in bytes."""


@dataclass(frozen=True)
class Stored:
    """The stored questions, answers and scores of a run.

    Arguments:
        questions: The folder of questions.
        answers: The folder of answers.
        rows: The scores of single questions, one table per metric and seed.
        seeds: The training seeds whose answers are listed; empty: that of the models.
        queries: The descriptions of queries, with their answers beside them.
    """

    questions: Path
    answers: Path
    rows: tuple[Path, ...]
    seeds: tuple[int, ...] = ()
    queries: tuple[Path, ...] = ()


def write_explorer(models: Models, stored: Stored, runtime: Path | None, out: Path | str) -> None:
    """Writes the page.

    Arguments:
        models: The data, the trained models and the methods of the run.
        stored: Its questions, answers and scores.
        runtime: The packed runtime of networks; None: without networks.
        out: The page.

    Raises:
        UserError: If a model, a table or the packed runtime is missing or damaged.
    """
    dataset = load_dataset(models.data)
    test = load_split(models.data, "test")
    rows = examples(dataset, test)
    packed, reason = _runtime(runtime)
    reason = reason or not_exported(models.settings)
    if not reason and not models.mechanisms:
        reason = "no method of this run has an image mechanism"
    sheets = {"examples": sheet(test.images[rows])}
    content: dict[str, Any] = {
        "dataset": described(dataset),
        "stickiness": float(models.settings.stickiness),
        "examples": {
            "rows": rows.tolist(),
            "parents": [
                {name: float(test.attributes[name].iloc[row]) for name in dataset.names} for row in rows
            ],
        },
        "truth": None,
        "networks": None,
        "precomputed": [],
    }
    content["training"], atypical = training_data(models.data, dataset)
    trained: dict[str, bytes] = {}
    if dataset.simulated and CEILING in models.methods:
        rendered = answers_at_values(CEILING, models, dataset, rows)
        if rendered is not None:
            sheets["truth"], answered, parents = rendered
            content["truth"] = {"answered": answered, "parents": parents}
    left_out: dict[str, str] = dict.fromkeys(models.mechanisms, reason)
    if not reason:
        content["networks"], trained, left_out = networks(models, dataset)
        if not trained:
            content["networks"], reason = None, "; ".join(dict.fromkeys(left_out.values()))
    for method, why in left_out.items():
        computed = answers_at_values(method, models, dataset, rows)
        if computed is not None:
            sheets[method], _, parents = computed
            one = {"name": method, "title": method_title(method), "parents": parents, "reason": why}
            content["precomputed"].append(one)
    content["sheets"] = list(sheets)
    data = {f"sheet-{name}": picture for name, picture in sheets.items()}
    data |= {name: gzipped(part) for name, part in (trained | atypical).items()}
    if trained:
        for part in ("script", "module", "wasm"):
            file = b64decode(packed[part])
            data[f"runtime-{part}"] = shrunk(gzip.decompress(file)) if part == "wasm" else file
    room = int((LIMIT - FIXED) / LONGER) - sum(map(len, data.values()))
    shown = Shown(models.methods, stored.seeds or (models.seed,), stored.queries, room)
    listed, binary = browse(models.data, stored.questions, stored.answers, stored.rows, dataset, shown)
    blobs = {"content": pack_json(content), "browse": pack_json(listed)}
    blobs |= {name: pack(part) for name, part in (data | binary).items()}
    foot = f"Written by counterfactory {__version__}."
    if trained:
        foot += f" Networks run in this page with onnxruntime-web {packed['version']} (MIT license)."
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("explorer.html.j2").render(
        dataset=dataset.name,
        icon=icon(),
        style=Markup((FOLDER / "explorer.css").read_text(encoding="utf-8")),
        scripts=[Markup((FOLDER / name).read_text(encoding="utf-8")) for name in SCRIPTS],
        graph=causal_graph(dataset),
        truth=content["truth"] is not None,
        reason=reason,
        precomputed=[] if reason else content["precomputed"],
        blobs={name: Markup(text) for name, text in blobs.items()},
        foot=foot,
    )
    write_text(out, page)


def _runtime(path: Path | None) -> tuple[dict[str, Any], str]:
    """Returns the packed runtime, and why networks cannot be evaluated in the page, or ``""``."""
    from .export import exporter_missing

    if path is None:
        return {}, "no runtime was given"
    with reading(path, "not a packed runtime", "delete it and run again"):
        packed = read_json(path)
        if not isinstance(packed, dict) or not (
            {"missing"} <= set(packed) or {"script", "wasm"} <= set(packed)
        ):
            raise UserError(f"{path}: not a packed runtime; delete it and run again")
    return packed, str(packed.get("missing", "")) or exporter_missing()
