"""The lock pins every dependency of pyproject.toml, and all files of the environment have the same pins."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import counterfactory

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def extras(name: str) -> list[str]:
    return PROJECT["optional-dependencies"][name]


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins)
    return {canonicalize_name(name): version for name, version in pins}


def test_the_lock_pins_every_dependency_within_its_bounds():
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier, f"{requirement.name} is not bounded"
        assert locked()[canonicalize_name(requirement.name)] in requirement.specifier


def test_torch_and_torchvision_are_a_pair():
    assert (locked()["torch"], locked()["torchvision"]) == ("2.13.0", "0.28.0")


def test_the_conda_environment_has_the_same_pins():
    dependencies = yaml.safe_load((ROOT / "envs" / "counterfactory.yaml").read_text())["dependencies"]
    pins = next(part["pip"] for part in dependencies if isinstance(part, dict))
    assert {
        canonicalize_name(name): version for name, version in (pin.split("==") for pin in pins)
    } == locked()
    python = next(part for part in dependencies if isinstance(part, str) and part.startswith("python="))
    assert python.removeprefix("python=") in Requirement(f"python{PROJECT['requires-python']}").specifier


def test_the_executors_for_clusters_are_pinned_within_their_bounds():
    lines = (ROOT / "envs" / "cluster.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for requirement in map(Requirement, extras("slurm") + extras("cluster-generic")):
        assert pins.pop(requirement.name) in requirement.specifier
    # Only packages that are not in requirements.lock.
    assert set(pins) == {"snakemake-executor-plugin-slurm-jobstep"}
    assert not set(pins) & set(locked())


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_containers_have_the_same_pins(name):
    text = (ROOT / "envs" / name).read_text()
    assert "--no-deps --requirement /opt/requirements.lock --requirement /opt/cluster.lock" in text
    assert "requirements.lock" in re.search(r"^(COPY|%files).*?(?=^\S)", text, re.M | re.S)[0]
    # The Python of the conda environment, and no package versions other than those of the lock files.
    environment = yaml.safe_load((ROOT / "envs" / "counterfactory.yaml").read_text())["dependencies"]
    python = next(part for part in environment if isinstance(part, str) and part.startswith("python="))
    assert re.search(rf"(FROM|From:) python:{re.escape(python.removeprefix('python='))}-", text)
    assert not re.search(r"[a-z]==\d", text)


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == counterfactory.__version__
    assert citation["license"] == PROJECT["license"]


def test_rules_use_that_environment():
    rules = [path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")]
    steps = sum(text.count("\nrule ") for text in rules)
    assert steps
    assert sum(text.count('conda:\n        "../../envs/counterfactory.yaml"') for text in rules) == steps


def test_pre_commit_runs_the_locked_tools():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    for tool in ("ruff", "snakefmt"):
        assert f"[{tool}=={locked()[tool]}]" in hooks


def test_version_is_in_the_changelog():
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changes or f"## [{counterfactory.__version__}]" in changes


def test_every_data_file_is_part_of_the_wheel():
    """Templates, style sheets, scripts, kernels and the shipped models."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["counterfactory"]
    package = ROOT / "src" / "counterfactory"
    listed = {path for pattern in patterns for path in package.glob(pattern) if path.is_file()}
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in files if path.suffix != ".py"} <= listed
    assert package / "bundles" / "morphomnist" / "models" / "hvae" / "seed0" / "model.safetensors" in listed
    assert package / "bundles" / "morphomnist" / "LICENSE" in listed and package / "py.typed" in listed
