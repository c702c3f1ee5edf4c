# Everything sets itself up: `make run` and `make test` need Python 3.11 or newer, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKSPACE ?= workspace
PARALLEL := --numprocesses auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install run test test-slow check audit bench fuzz ablation constraints clean

help: ## Say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[export,s3]' --group dev
	touch $@

install: $(VENV)/.installed ## Make .venv and install the project into it

run: install ## Run the whole pipeline on the sample data set and print where the report is
	$(BIN)/fourier-deepfake run --workspace $(WORKSPACE)

test: $(VENV)/.installed-dev ## Run the tests (under 10 minutes on two cores)
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-slow: $(VENV)/.installed-dev ## Run the slower tests too: whole pipelines, workers and clusters, label shuffles
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dask,ray]'
	$(BIN)/python -m pytest $(PARALLEL)

check: $(VENV)/.installed-dev ## Lint, types, import rules, packaging
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -rf build
	$(BIN)/python -m build --wheel --outdir build/wheel . > /dev/null
	$(BIN)/check-wheel-contents --toplevel flows,tasks,fourier_model,storage build/wheel

audit: $(VENV)/.installed-dev ## Look the pinned dependencies up in the database of known vulnerabilities (says so where it cannot be reached)
	$(BIN)/python .ci/audit.py

bench: $(VENV)/.installed-dev ## This project beside what people would otherwise use: WORKSPACE/bench/bench.md (half an hour)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m benchmarks --output $(WORKSPACE)/bench

fuzz: $(VENV)/.installed-dev ## Read 2,000 broken videos, and say what became of them
	$(BIN)/python -m tests.fuzz --mutants 2000 --seed 0

ablation: install ## What attention and the frequency branch are worth on the sample data set (half an hour)
	$(BIN)/python -m benchmarks.ablation sample --workspace $(WORKSPACE)/ablation

constraints: $(VENV)/.installed-dev ## Resolve the dependencies again into constraints.txt
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11 \
		pyproject.toml --extra azure --extra dask --extra export --extra gcs --extra ray --extra s3 --group dev --group bench --output-file constraints.txt

clean: ## Remove the environment and what tools left; the workspace stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
