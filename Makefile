# make demo and make test do all the set-up themselves, on a machine with nothing but Python.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
OUT ?= hemacells-demo
DATA ?= ../shared/data
SCREEN = $(if $(shell command -v xvfb-run),xvfb-run -a -s "-screen 0 1280x800x24")
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := $(VENV)-lowest
QUICK := -m 'not viewer and not realdata and not slow'

.PHONY: help setup system demo test lint tests fast lowest lowest-versions docs headless-demo screenshots bench structure clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP)  ## virtual environment .venv with everything (takes minutes the first time)

$(BIN)/python:
	scripts/create_venv.sh $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
		--editable '.[all,test,lint,docs]' </dev/null
	touch $@

system:
	scripts/system_libraries.sh

demo: $(STAMP)  ## the whole workflow on a synthetic smear; results in hemacells-demo/
	$(BIN)/hemacells demo --out $(OUT)

test: system $(STAMP)  ## lint, all tests, the documentation, and the demo without a display
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory docs
	$(MAKE) --no-print-directory tests
	$(MAKE) --no-print-directory headless-demo

lint: $(STAMP)  ## ruff, mypy, import-linter, the plugin's manifest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari-hemacells

tests: $(STAMP)
	$(BIN)/python -m pytest

fast: $(STAMP)  ## core and panels only: no viewer, no real data, no network weights
	$(BIN)/python -m pytest $(QUICK) tests/core tests/session tests/widgets tests/test_layers.py

lowest: | $(BIN)/python  ## tests with the oldest versions that pyproject.toml allows (Python 3.11)
	$(BIN)/python -m pip install --disable-pip-version-check --no-input uv </dev/null
	$(BIN)/uv venv --clear --python 3.11 $(LOWEST)
	$(BIN)/uv pip install --python $(LOWEST) --constraint constraints/lowest.txt \
		--editable '.[all,test]'
	$(LOWEST)/bin/python -m pytest $(QUICK) \
		tests/core tests/cli tests/session tests/samples tests/widgets tests/test_layers.py

lowest-versions: | $(BIN)/python  ## constraints/lowest.txt anew, after a change in pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check --no-input uv </dev/null
	$(BIN)/uv pip compile --resolution lowest-direct --python-version 3.11 \
		--python-platform linux --extra all --extra test --no-annotate \
		--custom-compile-command 'make lowest-versions' \
		--output-file constraints/lowest.txt pyproject.toml

headless-demo: $(STAMP)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		env -u DISPLAY -u WAYLAND_DISPLAY $(BIN)/hemacells demo --no-viewer --out "$$folder/demo"

docs: $(STAMP)  ## the documentation site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

structure: $(STAMP)  ## files, lines, import cycles and vague names of the source
	$(BIN)/python scripts/measure_structure.py

screenshots: system $(STAMP)  ## the pictures of the documentation
	$(SCREEN) $(BIN)/python docs/screenshots.py
	$(BIN)/python docs/screenshots_serve.py
	$(SCREEN) $(BIN)/python docs/screenshots_pictures.py $(DATA)/pbc

bench: system $(STAMP)  ## the figures of docs/figures.md (real data in DATA, ../shared/data)
	$(BIN)/python benchmarks/embedding_throughput.py
	$(SCREEN) $(BIN)/python benchmarks/click_to_colour.py
	$(SCREEN) $(BIN)/python benchmarks/pictures_in_the_dock.py $(DATA)/pbc
	$(BIN)/python benchmarks/bccd_five_clicks.py $(DATA)/bccd
	$(BIN)/python benchmarks/fewshot_folders.py $(DATA)
	$(BIN)/python benchmarks/detection_learned.py --data $(DATA)

clean:  ## everything that make has made
	rm -rf $(VENV) $(LOWEST) $(OUT) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
