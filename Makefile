# `make` alone lists what there is. Everything is set up when it is missing or out of date, and not otherwise.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
HOME_FOLDER ?= prikkfri-home
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH

.PHONY: help run test check quality mutants bench clean setup setup-tests

# Most tests wait for processes that they started: three at a time keep two cores busy. A file stays in one of them, with
# its installation or its browser, and the longest begin first: tests/conftest.py.
SIDE_BY_SIDE ?= -n 3 --dist loadfile --no-loadscope-reorder

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: setup  ## Run everything on this machine, with demo data
	@$(BIN)/prikkfri serve --demo --home $(HOME_FOLDER)

test: setup-tests quality  ## Set up, then run every test
	$(BIN)/pytest -q $(SIDE_BY_SIDE) --durations=10

check: quality  ## Format, types, import contracts and unit tests: the quick part
	$(BIN)/pytest -q $(SIDE_BY_SIDE) -m "not slow and not browser"

quality: .venv/.tests .pages
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports

mutants: .venv/.mutants  ## What no quick test notices when it changes (hours; goes on where it stopped)
	$(BIN)/python tests/mutants.py run

bench: .venv/.tests  ## Run the benchmarks (minutes), each with machine and date
	@$(BIN)/prikkfri bench sms
	@$(BIN)/prikkfri bench signin
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:  ## Remove what was built and installed, keep prikkfri-home
	rm -rf .venv node_modules src/prikkfri/web/vendor .pages .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.mutants tests/interop/node_modules

setup: .venv/.run .pages

setup-tests: .venv/.tests .pages tests/interop/node_modules/.done
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

.venv/.mutants: pyproject.toml constraints.txt .venv/.tests
	@echo "· what changes the code, to see whether the tests notice"
	@$(BIN)/pip install -q -c constraints.txt -e '.[test,mutants]' 2> >(grep -v ^WARNING >&2)
	@touch .venv/.run .venv/.tests $@

# Foreign SMPP peers and a foreign status page client; nothing of it is shipped.
tests/interop/node_modules/.done: tests/interop/package.json tests/interop/package-lock.json
	@echo "· foreign peers for the tests, by npm"
	@cd tests/interop && npm ci --silent
	@touch $@

.pages: package.json package-lock.json src/prikkfri/web/vendor.mjs
	@echo "· browser parts by npm"
	@npm ci --silent
	@npm run --silent build
	@touch $@
