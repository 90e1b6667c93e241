"""Writes explorers of the tiny run, opens them and asks them."""

import json

from counterfactory.config import load_settings
from counterfactory.report.explorer.content import Models
from counterfactory.report.explorer.page import LIMIT, Stored, write_explorer

READY = "document.body && document.body.dataset.ready === 'yes' && document.body.dataset.busy === 'no'"

METHODS = ["copy", "vae", "truth"]


def write(run, out, runtime, methods=METHODS, seeds=(0,), config=None):
    settings = load_settings(config or {}).answers
    models = Models(run / "data", run / "models", methods, 0, settings)
    rows = tuple(sorted(run.glob("scores/*/seed*.parquet")))
    queries = tuple(sorted(run.glob("queries/seed*/*.json")))
    write_explorer(models, Stored(run / "questions", run / "answers", rows, seeds, queries), runtime, out)
    assert out.stat().st_size < LIMIT
    return out


def opened(page, window, fragment=""):
    window.open(page, fragment)
    window.wait(READY)


def asked(window):
    """Returns the addresses that the page asked for, without those that hold their data themselves."""
    return [url for url in window.requests if not url.startswith(("data:", "blob:", "file:"))]


def answered(window, number, action, noise):
    """Returns the parents after an action on an example, and the answer of the first method to it, as a list of levels.

    Arguments:
        window: A page that is opened.
        number: The number of the example.
        action: The values that variables are set to.
        noise: The noise of the latents.
    """
    return window.evaluate(
        f"""(async () => {{
            const image = explorer.sheets.examples.tile({number}), before = explorer.content.examples.parents[{number}];
            const after = await explorer.networks.parents(before, {json.dumps(action)});
            const method = explorer.content.networks.methods[0];
            const noise = Float32Array.from({json.dumps(noise.tolist())});
            const dials = {{ ...explorer.dials, ...method.dials }};
            return [after, [...await explorer.networks.answer(method, image, before, after, dials, 0, noise)]];
        }})()"""
    )
