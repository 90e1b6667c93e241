# counterfactory: `make run` runs the whole workflow. `make help` lists the other commands.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?= python3
CORES ?= all
# PRESET=smoke applies workflow/presets/smoke.yaml on top of config.yaml.
PRESET ?=
# Further arguments of snakemake, such as ARGS=-n (list what would run) or ARGS="--configfile mine.yaml".
ARGS ?=
# Further arguments of pytest, such as PYTEST="-k config".
PYTEST ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLUSTER_STAMP := $(VENV)/.installed-cluster
DOCS_STAMP := $(VENV)/.installed-docs
MOVED := $(shell test -f $(STAMP) && [ "$$(cat $(STAMP))" != "$$(pwd)" ] && echo moved)
TORCH := $(shell sed -n 's/^\(torch==.*\)/\1/p' requirements.lock)
UV := $(shell sed -n 's/^\(uv==.*\)/\1/p' requirements.lock)
PRESET_FILE := $(if $(PRESET),workflow/presets/$(PRESET).yaml)
PRESETS := $(patsubst workflow/presets/%.yaml,%,$(wildcard workflow/presets/*.yaml))
SNAKEFILES := Snakefile $(wildcard workflow/rules/*.smk)
# Two `quiet` keep errors and drop progress messages.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
# uv does not read pip's settings: mirror, proxy and certificates are passed as its own variables.
UV_INSTALL := eval "$$($(BIN)/python envs/uv_settings.py)"; $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps

# Without bytecode files every process would compile all its imports again: seconds of CPU each.
export PYTHONDONTWRITEBYTECODE :=
# A user's setting would install outside of the environment.
export PIP_USER := 0

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'
	@echo "  make run PRESET=smoke  the whole workflow at a toy scale, about three minutes"

# Configuration files are merged in order: config.yaml, the preset, then those of ARGS. snakemake keeps only its last
# --configfile option, so the files of ARGS are collected here. Arguments that are not options are targets.
# snakemake answers a file that it cannot read with a traceback, so all files are checked first.
# snakemake requires a home where it can write its cache; without one, a temporary folder is used.
.PHONY: run
run: $(STAMP) ## create the environment, run the whole workflow, print the path of the report
	@$(if $(PRESET),test -f $(PRESET_FILE) || { echo "PRESET=$(PRESET): no such preset; choose one of $(PRESETS)" >&2; exit 2; })
	@words=($(ARGS)); files=($(PRESET_FILE)); rest=(); collecting=; \
	for word in "$${words[@]}"; do \
	  case "$$word" in \
	    --configfile|--configfiles) collecting=1 ;; \
	    --configfile=*|--configfiles=*) files+=("$${word#*=}"); collecting= ;; \
	    -*) rest+=("$$word"); collecting= ;; \
	    *.yaml|*.yml|*.json) if [ -n "$$collecting" ]; then files+=("$$word"); else rest+=("$$word"); fi ;; \
	    *) rest+=("$$word"); collecting= ;; \
	  esac; \
	done; \
	if [ $${#files[@]} -gt 0 ]; then \
	  $(BIN)/python -P -m counterfactory settings --syntax --config "$${files[@]}"; \
	  files=(--configfile "$${files[@]}"); \
	fi; \
	if [ -z "$${XDG_CACHE_HOME:-}$${HOME:-}" ] || ! mkdir -p "$${XDG_CACHE_HOME:-$${HOME:-}/.cache}/snakemake" 2>/dev/null; then \
	  export HOME=$$(mktemp -d); unset XDG_CACHE_HOME; trap 'rm -rf "$$HOME"' EXIT; \
	fi; \
	$(BIN)/snakemake "$${files[@]}" --cores $(CORES) "$${rest[@]}"

.PHONY: install
install: $(STAMP) ## only create the environment (.venv)

# pip installs torch first, because pip's settings select the build (CPU or CUDA) of this machine; uv then keeps it.
# The stamp holds this folder's path: scripts of an environment name it, so a moved checkout gets a new environment.
$(STAMP): pyproject.toml requirements.lock $(if $(MOVED),FORCE)
	@echo "Creating $(VENV): $(TORCH), then the $$(grep -c == requirements.lock) packages of requirements.lock"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12" >&2; exit 2; }
	@# An installation that was killed, or an environment that was moved, is created again.
	@if [ -n "$(MOVED)" ] || [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --clear $(VENV); fi
	@touch $(VENV)/.installing
	@$(PIP) install --no-compile $(TORCH)
	@$(PIP) install --no-compile $(UV)
	@$(UV_INSTALL) --requirement requirements.lock
	@$(UV_INSTALL) --no-build-isolation --editable .
	@rm $(VENV)/.installing
	@pwd > $@

.PHONY: FORCE
FORCE:

.PHONY: install-cluster
install-cluster: $(CLUSTER_STAMP) ## the environment with Snakemake's executors for clusters

$(CLUSTER_STAMP): $(STAMP) envs/cluster.lock
	@$(UV_INSTALL) --requirement envs/cluster.lock
	@touch $@

.PHONY: install-docs
install-docs: $(DOCS_STAMP) ## the environment with Sphinx

$(DOCS_STAMP): $(STAMP) envs/docs.lock
	@$(UV_INSTALL) --requirement envs/docs.lock
	@touch $@

.PHONY: docs
docs: $(DOCS_STAMP) ## build the documentation site into docs/_build/html (warnings are errors)
	@rm -rf docs/reference/api
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "Site: docs/_build/html/index.html"

.PHONY: test
test: $(STAMP) ## all tests except those on the cluster; includes the whole workflow at smoke scale
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not cluster" $(PYTEST)

.PHONY: test-fast
test-fast: $(STAMP) ## the fast tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not slow and not network and not cluster" $(PYTEST)

# Starts two nodes with emulated GPUs as ordinary processes in a temporary folder, and stops these processes.
.PHONY: cluster-test
cluster-test: $(CLUSTER_STAMP) ## the workflow on a local Slurm cluster, with jobs that are killed in many ways
	@tests/cluster/install.sh
	$(BIN)/python -m pytest -m cluster --durations 10 tests/cluster $(PYTEST)

.PHONY: lint
lint: $(STAMP) ## ruff, mypy, snakefmt and snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check $(SNAKEFILES)
	$(BIN)/snakemake --lint

.PHONY: format
format: $(STAMP) ## format sources and rules
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt $(SNAKEFILES)

.PHONY: schema
schema: $(STAMP) ## write the JSON schema of the configuration from the typed settings
	$(BIN)/counterfactory schema --out workflow/schemas/config.schema.json

# All lock files are written from one resolution in a new environment, so that they agree.
.PHONY: lock
lock: ## resolve pyproject.toml again into requirements.lock and the files of envs/
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv $$folder/venv; \
	$$folder/venv/bin/pip install --quiet --quiet --no-compile $(TORCH) $(UV); \
	$$folder/venv/bin/uv pip install --python $$folder/venv/bin/python $(TORCH) --requirement pyproject.toml --extra workflow --extra explorer --extra dev; \
	$$folder/venv/bin/uv pip freeze --python $$folder/venv/bin/python | grep -v '^pip==' | sed 's/+[a-z0-9.]*$$//' > $$folder/pins; \
	$$folder/venv/bin/uv pip install --quiet --python $$folder/venv/bin/python $(TORCH) --requirement pyproject.toml --extra workflow --extra explorer --extra dev --extra slurm --extra cluster-generic; \
	$$folder/venv/bin/uv pip freeze --python $$folder/venv/bin/python | grep -v '^pip==' | sed 's/+[a-z0-9.]*$$//' | grep -vxFf $$folder/pins > $$folder/executors; \
	$$folder/venv/bin/uv pip compile --quiet --no-annotate --no-header --constraint $$folder/pins --extra docs pyproject.toml | grep '==' | grep -vxFf $$folder/pins > $$folder/site; \
	{ sed -n '/^#/p' envs/docs.lock; cat $$folder/site; } > $$folder/docs; \
	{ sed -n '/^#/p' envs/cluster.lock; cat $$folder/executors; } > $$folder/cluster; \
	{ sed -n '/^#/p' requirements.lock; cat $$folder/pins; } > $$folder/lock; \
	{ sed '/- pip:/q' envs/counterfactory.yaml; sed 's/^/      - /' $$folder/pins; } > $$folder/env; \
	mv $$folder/lock requirements.lock; mv $$folder/env envs/counterfactory.yaml; mv $$folder/cluster envs/cluster.lock; mv $$folder/docs envs/docs.lock

.PHONY: clean
clean: ## delete results, caches and the environment
	rm -rf results $(VENV) .snakemake .pytest_cache .ruff_cache .mypy_cache build docs/_build docs/reference/config.rst docs/reference/cli.rst docs/reference/api src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
