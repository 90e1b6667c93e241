"""The logs of a training: a row per validation in `log.csv`, and the same values for TensorBoard."""

import csv
from pathlib import Path

from ..core.files import writing

__all__ = ["Logs"]


class Logs:
    """Writes both logs.

    Arguments:
        out: The model's folder.
        rows: The rows of a resumed training; new rows are appended to this list.
    """

    def __init__(self, out: Path, rows: list[dict[str, float]]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path, self.rows = out / "log.csv", rows
        self.board = SummaryWriter(out / "tensorboard", purge_step=int(rows[-1]["step"]) + 1 if rows else 0)

    def add(self, row: dict[str, float]) -> None:
        """Appends the values of one validation; `step` is one of them."""
        self.rows.append(row)
        for name, value in row.items():
            if name != "step":
                self.board.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        """Writes `log.csv` and closes TensorBoard's file."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with writing(self.path) as temporary, open(temporary, "w", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(self.rows)
        self.board.close()
