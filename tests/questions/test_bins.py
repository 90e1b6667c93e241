"""Bins of interventions: mean edges by hand, and the bins that the published code printed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.data.dataset import Dataset, Variable, load_split
from counterfactory.questions.bins import Bins, mean_edges
from counterfactory.questions.interventions import write_questions
from tests.fixtures.originals import check_value, values

LENGTH = Variable("length", "continuous", "px", 0.0, 9.0)
KIND = Variable("kind", "categorical", classes=3)
DATASET = Dataset("toy", (LENGTH, KIND), (), (1, 8, 8), True)


def test_edges_are_the_means_of_nine_equal_intervals():
    """Intervals of width 1; the third has no value, and 9 itself is in none."""
    lengths = np.array([0.1, 0.5, 1.2, 3.0, 4.5, 5.5, 6.5, 7.5, 8.1, 8.3, 9.0])
    np.testing.assert_allclose(mean_edges(LENGTH, lengths), [0.3, 1.2, 3.0, 4.5, 5.5, 6.5, 7.5, 8.2])
    bins = Bins(DATASET, pd.DataFrame({"length": lengths, "kind": 0}), "means")
    assert bins("length", np.array([0.0, 0.3, 0.4, 9.0])).tolist() == [0, 0, 1, 8]
    assert bins("length", np.array([0.0, 0.3, 0.4, 9.0]), drawn=True).tolist() == [0, 1, 1, 8]
    assert bins("kind", np.array([2, 0])).tolist() == [2, 0]
    equal = Bins(DATASET, pd.DataFrame({"length": lengths, "kind": 0}))
    assert equal("length", np.array([0.0, 0.99, 1.0, 9.0])).tolist() == [0, 0, 1, 8]


def test_bins_as_published():
    """The bins of six images, given the published edges in network units; one value at each edge makes the edges."""
    fixture = values("other_bin")
    for name, edges in fixture["edges"].items():
        variable = Variable(name, "continuous", "", -1.0, 1.0)
        check_value("other_bin", f"edges of {name}", mean_edges(variable, np.array(edges)), edges, 1e-12)
        bins = Bins(Dataset("m", (variable,), (), (1, 8, 8), True), pd.DataFrame({name: edges}), "means")
        rows = [row for row in fixture["factual"] if row["attribute"] == name]
        found = [int(bins(name, row["value"])) for row in rows]
        check_value("other_bin", f"bins of {name}", found, [row["bin"] for row in rows], 0.0)


def test_values_are_drawn_from_other_bins_of_the_means(squares, questions_settings, tmp_path):
    settings = questions_settings
    settings.do = SimpleNamespace(**{**vars(settings.do), "protocols": ["other_bin"], "bins": "means"})
    write_questions("do", settings, squares, tmp_path / "do.parquet")
    table = pd.read_parquet(tmp_path / "do.parquet")
    test = load_split(squares, "test").attributes
    from counterfactory.data.dataset import load_dataset

    bins = Bins(load_dataset(squares), test, "means")
    own = table[table["intervention"] == "size"]
    factual = test["size"].to_numpy()[own["index"]]
    drawn = own["true_size"].to_numpy()
    assert len(own) and (bins("size", drawn, drawn=True) != bins("size", factual)).all()
    assert np.isin(drawn, test["size"]).all()
    settings.do.bins = "equal"
    write_questions("do", settings, squares, tmp_path / "equal.parquet")
    assert not pd.read_parquet(tmp_path / "equal.parquet").equals(table)


@pytest.mark.parametrize("given", ["mean", 9, None])
def test_other_bins_are_refused(given):
    from counterfactory.config import load_settings
    from counterfactory.core.errors import UserError

    with pytest.raises(UserError, match=r"questions\.do\.bins"):
        load_settings({"questions": {"do": {"bins": given}}})
