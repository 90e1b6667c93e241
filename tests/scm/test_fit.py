import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyro.poutine as poutine
import pytest
import torch
from scipy import stats

from counterfactory.core.errors import UserError
from counterfactory.core.files import write_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import Dataset, Variable, save_dataset
from counterfactory.data.graph import descendants
from counterfactory.scm.fit import ParentsSCM, fit_scm, load_scm

# A chain with a collider at its end, whose effect is a class: age -> volume -> label <- sex.
CLINIC = Dataset(
    name="clinic",
    variables=(
        Variable("label", "categorical", classes=4),
        Variable("volume", "continuous", "ml", low=500.0, high=1500.0),
        Variable("sex", "categorical", classes=2),
        Variable("age", "continuous", "years", low=20.0, high=90.0),
    ),
    edges=(("age", "volume"), ("volume", "label"), ("sex", "label")),
    shape=(1, 4, 4),
    simulated=False,
)
DIGITS = Dataset(
    name="digits",
    variables=(
        Variable("thickness", "continuous", "px", low=0.9, high=6.0),
        Variable("intensity", "continuous", "grey levels", low=67.0, high=254.9),
        Variable("digit", "categorical", classes=10),
    ),
    edges=(("thickness", "intensity"),),
    shape=(1, 4, 4),
    simulated=True,
)
SETTINGS = SimpleNamespace(steps=100, bins=8, hidden=[16, 16])
ROWS = 300
SEEDS = np.arange(ROWS) + 1000


@pytest.fixture(scope="module")
def clinic() -> ParentsSCM:
    scm = ParentsSCM(CLINIC, bins=4, hidden=[8], seed=3)
    generator = torch.Generator().manual_seed(0)
    for parameter in scm.parameters():
        parameter.data += 0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return scm.requires_grad_(False)


@pytest.fixture(scope="module")
def factual(clinic) -> dict[str, torch.Tensor]:
    return clinic.sample(ROWS, seed=7)


def draw_digits(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    thickness = 0.5 + rng.gamma(10.0, 0.2, rows)
    intensity = 64.0 + 191.0 / (1.0 + np.exp(-(2.0 * (thickness - 2.5) + 0.5 * rng.normal(size=rows))))
    return pd.DataFrame({"thickness": thickness, "intensity": intensity, "digit": rng.integers(0, 10, rows)})


def write_splits(folder: Path, dataset: Dataset, tables: dict[str, pd.DataFrame]) -> Path:
    save_dataset(folder, dataset)
    for split, table in tables.items():
        write_table(folder / split / "attributes.parquet", table)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    sizes = {"train": 6000, "valid": 1000, "test": 4000}
    tables = {split: draw_digits(rows, seed) for seed, (split, rows) in enumerate(sizes.items())}
    return write_splits(tmp_path_factory.mktemp("digits") / "data", DIGITS, tables)


@pytest.fixture(scope="module")
def fitted(digits) -> Path:
    fit_scm(SETTINGS, Run("scm", digits, digits / "parents", digits / "parents", seed=0))
    return digits / "parents"


# Abduction, action, prediction


def test_abduction_then_prediction_is_the_identity(clinic, factual):
    after = clinic.predict(clinic.abduct(factual, SEEDS))
    for variable in CLINIC.variables:
        scale = variable.high - variable.low
        error = (after[variable.name] - factual[variable.name]).abs().max() / scale
        assert error < 1e-10 if variable.kind == "continuous" else error == 0


def test_extreme_values_return_too(clinic):
    # Five ranges beyond the data at either end.
    extreme = {
        "age": torch.linspace(-330.0, 440.0, ROWS, dtype=torch.float64),
        "volume": torch.linspace(6500.0, -4500.0, ROWS, dtype=torch.float64),
        "sex": torch.arange(ROWS) % 2,
        "label": torch.arange(ROWS) % 4,
    }
    after = clinic.predict(clinic.abduct(extreme, SEEDS))
    assert (after["age"] - extreme["age"]).abs().max() < 1e-5 * 70
    assert (after["volume"] - extreme["volume"]).abs().max() < 1e-5 * 1000
    assert torch.equal(after["label"].long(), extreme["label"])
    assert torch.equal(after["sex"].long(), extreme["sex"])


def test_null_intervention_returns_the_factual_bits(clinic, factual):
    nothing = torch.full((ROWS,), torch.nan)
    for do in ({}, {name: nothing for name in CLINIC.names}):
        after = clinic.counterfactual(factual, do, SEEDS)
        assert all(torch.equal(after[name], factual[name]) for name in CLINIC.names)


@pytest.mark.parametrize(("name", "value"), [("age", 71.0), ("volume", 901.5), ("sex", 1.0), ("label", 2.0)])
def test_do_changes_descendants_only(clinic, factual, name, value):
    after = clinic.counterfactual(factual, {name: torch.full((ROWS,), value)}, SEEDS)
    assert (after[name] == value).all()
    for other in set(CLINIC.names) - {name}:
        if other in descendants(CLINIC, name):
            assert not torch.equal(after[other], factual[other])
        else:
            assert torch.equal(after[other], factual[other])


def test_do_cuts_the_mechanism_of_what_is_set(clinic, factual):
    do = {"volume": torch.full((ROWS,), 1000.0), "age": torch.full((ROWS,), 30.0)}
    both = clinic.counterfactual(factual, do, SEEDS)
    volume = clinic.counterfactual(factual, {"volume": do["volume"]}, SEEDS)
    assert torch.equal(both["volume"], do["volume"].double())
    assert torch.equal(both["label"], volume["label"])


def test_a_batch_mixes_interventions(clinic, factual):
    rng = np.random.default_rng(0)
    given = {
        "age": rng.uniform(20, 90, ROWS),
        "volume": rng.uniform(500, 1500, ROWS),
        "sex": rng.integers(0, 2, ROWS).astype(float),
        "label": rng.integers(0, 4, ROWS).astype(float),
    }
    do = {name: np.where(rng.random(ROWS) < 0.4, value, np.nan) for name, value in given.items()}
    together = clinic.counterfactual(factual, do, SEEDS)
    for row in range(0, ROWS, 7):
        one = {name: value[row : row + 1] for name, value in factual.items()}
        act = {name: value[row : row + 1] for name, value in do.items() if not np.isnan(value[row])}
        alone = clinic.counterfactual(one, act, SEEDS[row : row + 1])
        for name in CLINIC.names:
            torch.testing.assert_close(alone[name], together[name][row : row + 1], rtol=1e-12, atol=1e-9)


def test_noise_of_a_class_is_a_function_of_the_rows_seed(clinic, factual):
    do = {"volume": torch.full((ROWS,), 1400.0)}
    first, again, other = (
        clinic.counterfactual(factual, do, seeds)["label"] for seeds in (SEEDS, SEEDS, SEEDS + 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_numpy_goes_in_and_out(clinic, factual):
    do = {"age": np.full(ROWS, 60.0)}
    table = {name: value.numpy() for name, value in factual.items()}
    after = clinic.counterfactual_table(table, do, SEEDS)
    expected = clinic.counterfactual(factual, do, SEEDS)
    for name in CLINIC.names:
        assert after[name].dtype == np.float64
        assert np.array_equal(after[name], expected[name].numpy())


# Distributions


def test_exogenous_noises_of_samples_have_their_prior(clinic):
    rows = 4000
    noises = clinic.abduct(clinic.sample(rows, seed=1), np.arange(rows))
    for name in ("age", "volume"):
        assert stats.kstest(noises[name].numpy(), "norm").pvalue > 0.01
    for name in ("sex", "label"):
        for column in noises[name].numpy().T:
            assert stats.kstest(column, "gumbel_r").pvalue > 0.01


def test_counterfactuals_of_samples_have_the_interventional_distribution(clinic):
    rows = 4000
    do = {"age": torch.full((rows,), 75.0)}
    after = clinic.counterfactual(clinic.sample(rows, seed=1), do, np.arange(rows))
    sampled = clinic.sample(rows, seed=2, do=do)
    assert stats.ks_2samp(after["volume"].numpy(), sampled["volume"].numpy()).pvalue > 0.01
    counts = [np.bincount(table["label"].numpy().astype(int), minlength=4) for table in (after, sampled)]
    assert stats.chi2_contingency(counts).pvalue > 0.01


def test_log_density_is_that_of_the_pyro_program(clinic):
    trace = poutine.trace(clinic.model).get_trace(20)
    trace.compute_log_prob()
    log_prob = clinic.log_prob(trace.nodes["_RETURN"]["value"])
    for name in CLINIC.names:
        torch.testing.assert_close(log_prob[name], trace.nodes[name]["log_prob"])


# Bad input


def test_bad_columns_are_refused(clinic, factual):
    fine = {name: torch.full((ROWS,), torch.nan) for name in ("age", "label")}
    cases = [
        (factual, {"weight": fine["age"]}, "weight: not a variable of clinic"),
        (factual, {"label": torch.full((ROWS,), 4.0)}, "label: 4 is not a class; classes are 0 to 3"),
        (factual, {"sex": torch.full((ROWS,), 0.5)}, "sex: 0.5 is not a class"),
        (factual, {"age": torch.full((ROWS,), torch.inf)}, "age: contains an infinite value"),
        (factual, {"age": torch.ones(ROWS, 1)}, r"age: has shape \(300, 1\)"),
        ({**factual, "age": fine["age"]}, {}, "age: contains NaN"),
        ({**factual, "age": factual["age"][:5]}, {}, "age: has 5 rows"),
        ({"age": factual["age"]}, {}, "label: missing"),
    ]
    for parents, do, message in cases:
        with pytest.raises(UserError, match=message):
            clinic.counterfactual(parents, do, SEEDS)


# Fitting


def test_fit_comes_close_to_the_true_process(digits, fitted):
    scm = load_scm(fitted, DIGITS)
    test = pd.read_parquet(digits / "test" / "attributes.parquet")
    table = {name: test[name].to_numpy(dtype=float) for name in DIGITS.names}
    t, s = table["thickness"], (table["intensity"] - 64.0) / 191.0
    z = np.log(s / (1.0 - s))
    halves = [(variable.high - variable.low) / 2 for variable in DIGITS.variables[:2]]
    true = {
        "thickness": stats.gamma(10, scale=0.2).logpdf(t - 0.5).mean() + np.log(halves[0]),
        "intensity": (stats.norm(2.0 * (t - 2.5), 0.5).logpdf(z) - np.log(191.0 * s * (1 - s))).mean()
        + np.log(halves[1]),
    }
    nll = json.loads((fitted / "model.json").read_text())["nll"]
    assert abs(nll["thickness"] + true["thickness"]) < 0.006
    assert abs(nll["intensity"] + true["intensity"]) < 0.003
    assert abs(nll["digit"] - np.log(10)) < 0.005
    assert nll["total"] == pytest.approx(nll["thickness"] + nll["intensity"] + nll["digit"])
    assert nll["total"] == pytest.approx(-float(sum(scm.log_prob(table).values()).mean()))

    value = np.random.default_rng(0).permutation(t)
    after = scm.counterfactual_table(table, {"thickness": value}, np.arange(len(t)))
    truth = 64.0 + 191.0 / (1.0 + np.exp(-(z + 2.0 * (value - t))))
    assert np.abs(after["intensity"] - truth).mean() < 0.5
    noise = scm.abduct(table, np.arange(len(t)))["intensity"].numpy()
    assert np.corrcoef(noise, 2.0 * (z - 2.0 * (t - 2.5)))[0, 1] > 0.999


def test_fit_gives_the_same_bits_on_any_number_of_threads(digits, fitted, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit_scm(SETTINGS, Run("scm", digits, tmp_path, tmp_path, seed=0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert (tmp_path / "model.safetensors").read_bytes() == (fitted / "model.safetensors").read_bytes()


def test_log_has_the_curve(fitted):
    log = pd.read_csv(fitted / "log.csv")
    assert list(log) == ["step", "train_nll", "valid_nll", "seconds"]
    assert log["step"].iloc[0] == 10
    assert (log["step"].diff().dropna() == 10).all()
    assert log["step"].iloc[-1] <= SETTINGS.steps
    assert log["valid_nll"].iloc[-1] < log["valid_nll"].iloc[0]


def test_fit_of_classes_with_causes_comes_close_to_the_teacher(clinic, tmp_path):
    sizes = {"train": 4000, "valid": 1000, "test": 3000}
    tables = {split: clinic.sample(rows, seed) for seed, (split, rows) in enumerate(sizes.items())}
    data = write_splits(tmp_path, CLINIC, {split: pd.DataFrame(table) for split, table in tables.items()})
    fit_scm(SETTINGS, Run("scm", data, tmp_path / "parents", tmp_path / "parents", seed=0))
    scm = load_scm(tmp_path / "parents", CLINIC)
    for name, teacher in clinic.log_prob(tables["test"]).items():
        assert float((teacher - scm.log_prob(tables["test"])[name]).mean()) < 0.01


def test_a_model_of_another_graph_or_scale_is_refused(fitted, tmp_path):
    with pytest.raises(UserError, match="was fitted to other variables or edges than clinic's"):
        load_scm(fitted, CLINIC)
    rescaled = Dataset(
        "digits",
        (*DIGITS.variables[:2], Variable("digit", "categorical", classes=9)),
        DIGITS.edges,
        (1, 4, 4),
        True,
    )
    with pytest.raises(UserError, match="was fitted to other variables"):
        load_scm(fitted, rescaled)
    with pytest.raises(UserError, match="no such file"):
        load_scm(tmp_path, DIGITS)


def test_a_split_without_a_variable_or_without_spread_is_refused(digits, tmp_path):
    tables = {split: draw_digits(50, 0) for split in ("train", "valid", "test")}
    data = write_splits(
        tmp_path / "missing", DIGITS, {**tables, "valid": tables["valid"].drop(columns="digit")}
    )
    with pytest.raises(UserError, match="attributes.parquet: has no column digit"):
        fit_scm(SETTINGS, Run("scm", data, tmp_path / "out", tmp_path / "out", seed=0))
    data = write_splits(
        tmp_path / "broken", DIGITS, {**tables, "train": tables["train"].assign(thickness=np.nan)}
    )
    with pytest.raises(UserError, match="thickness: contains NaN"):
        fit_scm(SETTINGS, Run("scm", data, tmp_path / "out", tmp_path / "out", seed=0))
    assert not (tmp_path / "out").exists()


def test_a_fit_that_converged_early_ends_at_100_percent(digits, tmp_path, capsys):
    fit_scm(SimpleNamespace(steps=5000, bins=2, hidden=[2]), Run("scm", digits, tmp_path, tmp_path / "scm"))
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "100 %  converged" in last
