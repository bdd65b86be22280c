# Everything starts here; each target sets up .venv where needed and can be run again.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The tests and the demo use both cores of a small machine, not all of a large one.
export OMP_NUM_THREADS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint types docs examples bench scatter clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sciml needs Python 3.11 or newer")'
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $(STAMP)

setup: $(STAMP)  ## make .venv and install everything

demo: $(STAMP)  ## train a Fourier neural operator on real Darcy data, print errors, draw a picture
	$(BIN)/sciml fit examples/darcy.yaml --overwrite

test: $(STAMP)  ## run all tests and doctests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-fast: $(STAMP)  ## run the tests that take seconds
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not distributed"

lint: $(STAMP)  ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## check types
	$(BIN)/mypy

docs: $(STAMP)  ## build the documentation into docs/_build/html, warnings are errors
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

examples: $(STAMP)  ## run every example at reduced size
	SCIML_REDUCED=1 $(BIN)/python examples/run_all.py

bench: $(STAMP)  ## measure start-up and trainer overhead against their gates
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/trainer_overhead.py

scatter: $(STAMP)  ## compile the optional torch-scatter, about six minutes
	$(BIN)/pip install --no-build-isolation torch-scatter

clean:  ## remove caches and build results, keep .venv and runs
	rm -rf .pytest_cache .mypy_cache .ruff_cache docs/_build docs/gallery docs/api/generated dist build
