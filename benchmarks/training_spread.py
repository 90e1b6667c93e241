"""Writes the scores of several training seeds into the package, which the tables `spread` and `spread_flip` show.

    make run ARGS="--config seeds=[0,1,2]"
    python benchmarks/training_spread.py --machine "2 CPU cores, no GPU" \\
        --command 'make run ARGS="--config seeds=[0,1,2]"'

Requires a finished run with at least three training seeds and the default trainings; methods with fewer seeds are left
out. Prints both tables.
"""

import argparse
from pathlib import Path

from finished import open_run

from counterfactory.config.load import is_default
from counterfactory.core.provenance import revision
from counterfactory.report.cells import read_scores
from counterfactory.report.training_spread import RELEASED, released_rows, spread_tables, write_released
from counterfactory.report.write import to_markdown


def main() -> None:
    """Writes `<dataset>.csv` and `<dataset>.yaml`, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")])
    parser.add_argument("--machine", required=True, help="kind of machine, such as '2 CPU cores, no GPU'")
    parser.add_argument("--command", required=True, help="command that computed the scores")
    parser.add_argument("--out", type=Path, default=RELEASED, help="folder (default: in the package)")
    arguments = parser.parse_args()
    run = open_run(arguments.config)
    if arguments.out == RELEASED and not is_default(run.settings, "data", "judges", "models"):
        parser.error(
            "--config: the package contains scores of default trainings only; write to another --out"
        )
    scores = read_scores(run.results / "scores" / "scores.csv")
    about = {"command": arguments.command, "revision": revision(), "machine": arguments.machine}
    write_released(released_rows(scores.table), about, run.dataset.name, arguments.out)
    print(to_markdown(spread_tables(scores, run.dataset, arguments.out)))


if __name__ == "__main__":
    main()
