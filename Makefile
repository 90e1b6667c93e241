# counterfactory: `make run` does everything. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?= python3
CORES ?= all
# PRESET=smoke or PRESET=paper lays workflow/presets/<PRESET>.yaml over config.yaml.
PRESET ?=
# More flags for snakemake, such as ARGS=-n (only say what would run).
ARGS ?=
# More flags for pytest, such as PYTEST="-k config".
PYTEST ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLUSTER_STAMP := $(VENV)/.installed-cluster
TORCH := $(shell sed -n 's/^\(torch==.*\)/\1/p' requirements.lock)
UV := $(shell sed -n 's/^\(uv==.*\)/\1/p' requirements.lock)
PRESET_FILE := $(if $(PRESET),workflow/presets/$(PRESET).yaml)
SNAKEFILES := Snakefile $(wildcard workflow/rules/*.smk)
# pip reads its own settings (mirrors, local wheels); two `quiet` keep errors and drop the chatter.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

# Where bytecode files are forbidden, every process would compile all it imports anew: seconds of CPU each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'
	@echo "  make run PRESET=smoke  the whole workflow at a toy scale, about three minutes"

.PHONY: run
run: $(STAMP) ## make the environment, run the whole workflow, name the report
	@$(if $(PRESET),test -f $(PRESET_FILE) || { echo "PRESET=$(PRESET): no such preset; choose one of $(patsubst workflow/presets/%.yaml,%,$(wildcard workflow/presets/*.yaml))" >&2; exit 2; })
	@mkdir -p .snakemake
	@# The lock dies with its holder, so a run killed at any moment is taken up by typing the same again;
	@# a killed one may take some seconds to be gone.
	@rc=0; flock --timeout 20 --conflict-exit-code 75 .snakemake/run.lock \
	  $(BIN)/snakemake --cores $(CORES) --nolock $(if $(PRESET),--configfile $(PRESET_FILE)) $(ARGS) || rc=$$?; \
	if [ $$rc = 75 ]; then echo "another 'make run' is at work in this folder; wait for it or stop it" >&2; fi; \
	exit $$rc
	@results=$$($(BIN)/counterfactory settings results $(if $(PRESET),--config config.yaml $(PRESET_FILE))); \
	if [ -f "$$results/report.html" ]; then echo "Report: $$results/report.html"; fi

.PHONY: install
install: $(STAMP) ## only make the environment (.venv)

# torch goes first and by pip: uv then finds it there, whichever build (CPU, CUDA) this machine's pip is set up for.
$(STAMP): pyproject.toml requirements.lock
	@echo "Making $(VENV): $(TORCH) first, then the $$(grep -c == requirements.lock) packages of requirements.lock"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; give a newer one: make PYTHON=python3.12" >&2; exit 2; }
	@# What a killed installation left may lack anything: then from the start.
	@if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --clear $(VENV); fi
	@touch $(VENV)/.installing
	@$(PIP) install --no-compile $(TORCH)
	@$(PIP) install --no-compile $(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --requirement requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm $(VENV)/.installing
	@touch $@

.PHONY: install-cluster
install-cluster: $(CLUSTER_STAMP) ## the environment with Snakemake's executors for clusters

$(CLUSTER_STAMP): $(STAMP) envs/cluster.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --requirement envs/cluster.lock
	@touch $@

.PHONY: test
test: $(STAMP) ## all tests but those of the cluster, the whole workflow at smoke scale included
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not cluster" $(PYTEST)

.PHONY: test-fast
test-fast: $(STAMP) ## the tests that take seconds
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not slow and not network and not cluster" $(PYTEST)

# Starts two nodes with pretended GPUs as ordinary processes in a temporary folder, and stops exactly those.
.PHONY: cluster-test
cluster-test: $(CLUSTER_STAMP) ## the workflow on a real Slurm of this machine's own, jobs dying in every way
	@tests/cluster/install.sh
	$(BIN)/python -m pytest -m cluster --durations 10 tests/cluster $(PYTEST)

.PHONY: lint
lint: $(STAMP) ## ruff, snakefmt and snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check $(SNAKEFILES)
	$(BIN)/snakemake --lint

.PHONY: format
format: $(STAMP) ## rewrite sources and rules in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt $(SNAKEFILES)

.PHONY: config
config: $(STAMP) ## rewrite the JSON schema of config.yaml from the typed models
	$(BIN)/counterfactory schema --out workflow/schemas/config.schema.json

# Both files are written from one resolution in a new environment, so that they cannot differ.
.PHONY: lock
lock: ## resolve pyproject.toml anew into requirements.lock, envs/counterfactory.yaml and envs/cluster.lock
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv $$folder/venv; \
	$$folder/venv/bin/pip install --quiet --quiet --no-compile $(TORCH) $(UV); \
	$$folder/venv/bin/uv pip install --python $$folder/venv/bin/python $(TORCH) --requirement pyproject.toml --extra dev; \
	$$folder/venv/bin/uv pip freeze --python $$folder/venv/bin/python | grep -v '^pip==' | sed 's/+[a-z0-9.]*$$//' > $$folder/pins; \
	$$folder/venv/bin/uv pip install --quiet --python $$folder/venv/bin/python $(TORCH) --requirement pyproject.toml --extra dev --extra slurm --extra cluster-generic; \
	$$folder/venv/bin/uv pip freeze --python $$folder/venv/bin/python | grep -v '^pip==' | sed 's/+[a-z0-9.]*$$//' | grep -vxFf $$folder/pins > $$folder/executors; \
	{ sed -n '/^#/p' envs/cluster.lock; cat $$folder/executors; } > $$folder/cluster; \
	{ sed -n '/^#/p' requirements.lock; cat $$folder/pins; } > $$folder/lock; \
	{ sed '/- pip:/q' envs/counterfactory.yaml; sed 's/^/      - /' $$folder/pins; } > $$folder/env; \
	mv $$folder/lock requirements.lock; mv $$folder/env envs/counterfactory.yaml; mv $$folder/cluster envs/cluster.lock

.PHONY: clean
clean: ## delete results, caches and the environment
	rm -rf results $(VENV) .snakemake .pytest_cache .ruff_cache build src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
