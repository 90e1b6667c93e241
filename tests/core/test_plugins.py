"""Data sets, methods and metrics of installed packages: a distribution on the path, as pip would install it."""

import os
import subprocess
import sys
import textwrap

import pytest

from counterfactory.core import plugins

PACKAGE = {
    "shiny/__init__.py": "",
    "shiny/method.py": '''
        """Inverts the image."""
        from counterfactory.core.noise import derive_seed
        from counterfactory.methods.registry import Method

        METHOD = Method("Inverted")

        def load(name, seed, data, models, settings, device):
            from counterfactory.methods import Answer
            return Answer(lambda batch: (255 - batch.images, batch.parents))
    ''',
    "shiny/metric.py": """
        from counterfactory.metrics.registry import Metric

        METRIC = Metric(("null",))

        def load(resources): ...
    """,
    "shiny/dataset.py": """
        from counterfactory.data.registry import DatasetEntry
        from counterfactory.data.variable import Variable

        ENTRY = DatasetEntry((Variable("shade", "continuous"),), "drawings", 100_000, 50_000)

        def synthesise(settings, confounded, digits, out, threads=1): ...
    """,
}
POINTS = """
[counterfactory.methods]
inverted = shiny.method:METHOD
[counterfactory.metrics]
glow = shiny.metric:METRIC
[counterfactory.datasets]
drawn_shades = shiny.dataset:ENTRY
"""


def install(folder, points=POINTS, files=PACKAGE):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    info = folder / "shiny-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    return folder


def run(folder, code):
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SHOW = """
    from counterfactory.config import load_settings
    from counterfactory.config.cross_checks import warnings_of
    from counterfactory.core.errors import UserError
    given = {given}
    try:
        settings = load_settings(given)
        print("\\n".join(warnings_of(settings)))
    except UserError as error:
        print(error)
"""


def test_entries_of_a_package_stand_after_our_own_and_can_be_configured(tmp_path):
    printed = run(
        install(tmp_path),
        """
        from counterfactory.config import load_settings
        from counterfactory.core.plugins import broken, clashes, imported
        from counterfactory.data.registry import DATASETS, module_of as dataset_module
        from counterfactory.data.worlds import world
        from counterfactory.methods.registry import METHODS, module_of
        from counterfactory.metrics.registry import METRICS, module_of as metric_module
        print(list(METHODS)[-1], list(METRICS)[-1], list(DATASETS)[-1], clashes(), broken())
        print(module_of("inverted"), metric_module("glow"), dataset_module("drawn_shades"), module_of("vae"))
        given = {"dataset": "drawn_shades", "methods": ["copy", "inverted"], "scores": {"metrics": ["glow"]}}
        print(load_settings(given).questions.do.interventions, world("drawn_shades"))
        print(imported(module_of("inverted")).METHOD.title)
        """,
    )
    assert printed.splitlines() == [
        "inverted glow drawn_shades () ()",
        "shiny.method shiny.metric shiny.dataset methods.dscm",
        "['shade', 'random'] None",
        "Inverted",
    ]


def test_a_name_that_two_packages_claim_is_refused_in_one_line(tmp_path):
    points = "[counterfactory.methods]\nvae = shiny.method:METHOD\n"
    printed = run(install(tmp_path, points), SHOW.format(given={})).splitlines()
    assert printed == [
        "config: counterfactory.methods: vae (shiny, shiny.method:METHOD): counterfactory has this name too; uninstall "
        "one, or rename it"
    ]


@pytest.mark.parametrize(
    "point, words",
    [
        (
            "lost = shiny.nowhere:METHOD",
            "lost (shiny, shiny.nowhere:METHOD): ModuleNotFoundError: No module named",
        ),
        ("lost = shiny.method:load", "is a function, not a Method"),
        ("Lost = shiny.method:METHOD", "small letters"),
        ("lost = shiny.metric:METRIC", "is a Metric, not a Method"),
    ],
)
def test_a_broken_package_is_named_in_one_line_and_blocks_nothing_else(tmp_path, point, words):
    folder = install(tmp_path, f"[counterfactory.methods]\n{point}\n")
    (warned,) = run(folder, SHOW.format(given={})).splitlines()
    assert words in warned and warned.endswith("it is not available")
    refused = run(folder, SHOW.format(given={"methods": ["copy", "lost"]})).splitlines()
    assert len(refused) == 2 and "'lost'" in refused[0] and words in refused[1]


HASH = """
    from counterfactory.core.code_hash import code_hash
    from counterfactory.core.plugins import code_of_plugin, without_plugins
    from counterfactory.methods.registry import module_of
    entries = ("methods.run:answer", f"{module_of('inverted')}:load")
    print(code_of_plugin(entries), code_hash(*without_plugins(entries)), without_plugins(entries)[1:])
    print(code_of_plugin(("methods.run:answer", "methods.copy:load")) == "")
"""


def test_the_code_of_a_package_is_hashed_with_what_it_imports_of_ours(tmp_path):
    before = run(install(tmp_path), HASH).splitlines()
    assert "core.noise:derive_seed" in before[0] and before[1] == "True"
    (tmp_path / "notes.txt").write_text("no code")
    assert run(tmp_path, HASH).splitlines() == before
    (tmp_path / "shiny" / "method.py").write_text(
        (tmp_path / "shiny" / "method.py").read_text().replace("255", "254")
    )
    after = run(tmp_path, HASH).splitlines()
    assert after[0].split()[0] != before[0].split()[0] and after[0].split()[1:] == before[0].split()[1:]


def test_no_package_is_a_plugin_of_another_group(monkeypatch):
    assert not plugins.is_plugin("methods.vae") and plugins.without_plugins(("data.folder",)) == (
        "data.folder",
    )
