# Everything is installed into .venv; nothing outside this folder is touched.
# The core install screens a CT without torch; tests and training need the extras dev and train (5.4 GB, torch).

PYTHON ?= python3.11
BIN := .venv/bin
CT ?= out/demo/ct
RUNS ?= 3
RECIPE ?= house
JOBS ?= 2
VIEWER := src/trabecula/serving/web/static/vendor/niivue.js
OHIF := tests/export/vendor/ohif/index.html

.DEFAULT_GOAL := help
.PHONY: help setup demo web test check docs format train bench clean

help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.made:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.core: pyproject.toml | .venv/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/.web: pyproject.toml | .venv/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[web]'
	@touch $@

$(VIEWER): tools/niivue.sh
	bash tools/niivue.sh

$(OHIF): tools/ohif.sh
	bash tools/ohif.sh
	@touch $@

.venv/.dev: pyproject.toml | .venv/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train,web,dev]'
	@touch $@

setup: .venv/.core .venv/.dev $(VIEWER) ## Install what screening, the web page, tests and training need into .venv

demo: .venv/.core ## Simulate a patient, screen the CT, say where the report is (core install only)
	@rm -rf out/demo
	$(BIN)/trabecula demo --out out/demo

web: .venv/.web $(VIEWER) ## Serve the web page at http://127.0.0.1:8000; studies are kept in ./trabecula-data
	$(BIN)/trabecula serve

test: .venv/.dev $(VIEWER) $(OHIF) ## Run the tests: make test JOBS=4
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

check: .venv/.dev ## Style, types, the direction of imports, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports
	$(BIN)/python tools/reasons.py --check
	$(BIN)/python tools/recipes.py --check
	$(BIN)/python tools/languages.py --check
	$(BIN)/python -m mkdocs build --strict --quiet

docs: .venv/.dev ## Build the documentation site into build/site
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo "The site: build/site/index.html"

format: .venv/.dev ## Put the source in the house style, write docs/reasons.md and the list of recipes anew
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/reasons.py
	$(BIN)/python tools/recipes.py
	$(BIN)/python tools/languages.py

train: .venv/.dev ## Train a recipe's networks on virtual patients, export and judge them: make train RECIPE=niu2023
	bash runs/$(RECIPE)/train.sh

bench: .venv/.core ## Seconds and peak memory for one CT: make bench CT=folder RUNS=3
	$(BIN)/python benchmarks/screen.py $(CT) --runs $(RUNS)

clean: ## Remove what runs and tools left behind; .venv stays
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
