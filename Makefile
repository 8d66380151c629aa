# `make` alone lists what there is. Everything is set up when it is missing or out of date, and not otherwise.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
HOME_FOLDER ?= prikkfri-home
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH

.PHONY: help run test check quality bench clean setup setup-tests

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: setup  ## Run everything on this machine, with demo data
	@$(BIN)/prikkfri serve --demo --home $(HOME_FOLDER)

# The slow tests start dozens of real processes on however few cores there are: one that fails is tried once more, alone.
test: setup-tests quality  ## Set up, then run every test
	$(BIN)/pytest -q --durations=10 || { echo "· once more, what failed"; $(BIN)/pytest -q --last-failed --last-failed-no-failures none; }

check: quality  ## Format, types, import contracts and unit tests: the quick part
	$(BIN)/pytest -q -m "not slow and not browser"

quality: .venv/.tests .pages
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.tests  ## Run the benchmarks (minutes), each with machine and date
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:  ## Remove what was built and installed, keep prikkfri-home
	rm -rf .venv node_modules src/prikkfri/web/vendor .pages .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		tests/interop/node_modules

setup: .venv/.run .pages

setup-tests: .venv/.tests .pages
	@bash .ci/machine

.venv/bin/python:
	@echo "· a virtual environment in .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Prikkfri needs Python 3.11 or newer; say make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.run: pyproject.toml constraints.txt | .venv/bin/python
	@echo "· Python packages (about a minute the first time)"
	@$(BIN)/pip install -q -c constraints.txt -e . 2> >(grep -v ^WARNING >&2)
	@touch $@

.venv/.tests: pyproject.toml constraints.txt | .venv/bin/python
	@echo "· Python packages for the tests"
	@$(BIN)/pip install -q -c constraints.txt -e '.[test]' 2> >(grep -v ^WARNING >&2)
	@touch .venv/.run $@

.pages: package.json package-lock.json src/prikkfri/web/vendor.mjs
	@echo "· browser parts by npm"
	@npm ci --silent
	@npm run --silent build
	@touch $@
