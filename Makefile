# One small set of commands. `make run` and `make test` need Python 3.11+ and make, nothing else.

# The first one that is new enough; `make PYTHON=/path/to/python3` chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	{ echo "$$name"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PY := "$(BIN)/python"
STAMP := $(VENV)/.ready

.PHONY: help setup run test lint types docs bench servers check clean FORCE

help: ## this list
	@sed -n -E 's/^([a-z]+):.*## (.*)/\1	\2/p' Makefile | expand -t 10

setup: $(STAMP) ## a virtual environment with everything that development needs

# Made anew when what it is made from changes, or when its Python is gone.
$(STAMP): pyproject.toml constraints.txt $(if $(wildcard $(BIN)/python),,FORCE)
	@test -n "$(PYTHON)" || \
		{ echo 'test-rig needs Python 3.11 or newer: make PYTHON=/path/to/python3' >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'test-rig needs Python 3.11 or newer; $(PYTHON) is older, or none' >&2; exit 2; }
	@"$(PYTHON)" -m venv "$(VENV)" || \
		{ echo '$(PYTHON) cannot make a virtual environment;' \
			'on Debian and Ubuntu: apt install python3-venv' >&2; exit 2; }
	@echo 'installing into $(VENV) (once) ...'
	@$(PY) -m pip install -qq --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch "$(STAMP)"

run: $(STAMP) ## audit the two embedded databases; ends with a table and an HTML page
	@code=0; $(PY) -m test_rig audit || code=$$?; test $$code -le 1 || exit $$code

test: $(STAMP) ## all tests, with what servers there are
	@$(PY) -m pytest

lint: $(STAMP) ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(STAMP) ## mypy, strict
	@$(PY) -m mypy

docs: $(STAMP) ## the examples run, the links resolve, ARCHITECTURE.md is true
	@$(PY) -m pytest -q tests/unit/test_docs.py tests/unit/test_architecture.py

bench: $(STAMP) ## all benchmarks, one after the other
	@for file in benchmarks/[a-z]*.py; do \
		echo "== $$file"; $(PY) "$$file" || exit 1; done

servers: $(STAMP) ## fetch MySQL and seekdb for the tests, into .cache
	@$(PY) tests/servers/fetch.py

check: lint types docs test ## everything that CI runs

clean: ## remove what these commands made, results of audits excepted
	@rm -rf "$(VENV)" .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

FORCE:
