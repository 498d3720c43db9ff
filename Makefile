# `make help` lists what there is. `make train` and `make test` need nothing but Python 3.11+, pip and make.
PYTHON ?= python3
DATA ?= data/miml
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Present only while an installation runs: finding it means that the last one was interrupted.
INSTALLING := $(VENV)/.installing

.DEFAULT_GOAL := help
.PHONY: help setup train test test-all bench lint types package check lock clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv with the pinned versions (the other targets do it by themselves)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Polytag needs Python 3.11 or newer, and $(PYTHON) is older: make setup PYTHON=python3.11" >&2; exit 1; }
	@if [ -e $(INSTALLING) ]; then echo "The last set-up was interrupted: starting afresh."; rm -rf $(VENV); fi
	@[ -x $(BIN)/python ] || { rm -rf $(VENV); mkdir -p $(VENV); touch $(INSTALLING); $(PYTHON) -m venv $(VENV); }
	@touch $(INSTALLING)
	@[ -x $(BIN)/uv ] || { \
	  awk '/^[a-zA-Z]/{keep = /^uv==/} keep' requirements.lock > $(VENV)/uv.txt; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt; }
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@rm -f $(INSTALLING)
	@touch $@

train: $(READY)  ## train the built-in example (ARGS="..." adds overrides)
	$(BIN)/train $(ARGS)

test: $(READY)  ## the fast tests (ARGS="..." goes to pytest)
	$(BIN)/python -m pytest $(ARGS)

test-all: $(READY)  ## every test that this machine can run
	$(BIN)/python -m pytest -m "not slurm" $(ARGS)
	$(BIN)/python -m pytest -m slurm -n 0 $(ARGS)

lint: $(READY)  ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict, on src
	$(BIN)/mypy

bench: $(READY)  ## the short benchmarks (DATA=folder of MIML, which the README says how to get)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/input_rate.py --data $(DATA)
	$(BIN)/python benchmarks/step_overhead.py --data $(DATA)
	$(BIN)/python benchmarks/head_epochs.py --data $(DATA)

package: $(READY)  ## build a wheel and look whether it holds what it must
	$(BIN)/python tests/check_package.py

check: lint types package test  ## all of the above, as the workflow runs it

lock:  ## renew requirements.lock from pyproject.toml (hashes, no addresses)
	$(BIN)/uv lock --upgrade
	$(BIN)/uv export --quiet --no-emit-project --all-groups --all-extras --no-annotate --no-header -o requirements.lock

clean:  ## delete .venv and caches; logs and data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist
