# Two commands matter on a fresh machine: `make demo` and `make test`. Each needs only Python (3.11 or newer) and make.
# Everything installed goes into .venv; versions and hashes come from the lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# 0: never install anything with apt-get, only say what is missing.
TLSWEEP_INSTALL_SERVERS ?= 1
# Further arguments: make test PYTEST="-k nginx", make demo DEMO="--serve", make bench BENCH="--help", make torture TORTURE="kill --seed 7"
PYTEST ?=
DEMO ?=
BENCH ?=
TORTURE ?=

RUNTIME := $(VENV)/.runtime.stamp
DEV := $(VENV)/.dev.stamp
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
COMPILE := .venv-lock/bin/uv pip compile --no-config --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links --quiet --upgrade

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format schema lock bench torture torture-nightly clean python servers

help: ## this list
	@echo "make TARGET, where TARGET is one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## install into .venv, start the embedded fleet of broken servers, scan it, show what is wrong with each
	$(BIN)/tlsweep demo $(DEMO)

# The run of the whole suite. Skipped tests are listed with their reasons before pytest's last line.
test: servers $(DEV) ## install what the tests need (real servers from Debian where allowed), run them all
	$(BIN)/python -m pytest $(PYTEST)

lint: $(DEV) ## ruff (rules and format) and mypy --strict
	@status=0; \
	for check in "ruff check --output-format=concise ." "ruff format --check ." "mypy --strict scanner tests benchmarks scripts"; do \
		echo "$$check"; $(BIN)/$$check || status=1; \
	done; exit $$status

format: $(DEV) ## format the tree and apply the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(DEV) ## write again what is made from the code and the catalogue: JSON Schemas, the catalogue as JSON, pages in docs
	$(BIN)/python -m scripts.build_schema
	$(BIN)/python -m scripts.build_catalogue
	$(BIN)/python -m scripts.build_causes
	$(BIN)/python -m scripts.build_docs
	$(BIN)/python -m scripts.build_cli
	$(BIN)/python -m scripts.build_manual
	$(BIN)/python -m scripts.build_matrix

lock: python ## resolve the dependencies again and write both lock files
	test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install --quiet 'uv>=0.13,<0.14'; }
	$(COMPILE) --extra duckdb --extra postgres --extra report --group pyproject.toml:build pyproject.toml -o requirements.lock
	$(COMPILE) --group pyproject.toml:build --group pyproject.toml:dev -c requirements.lock pyproject.toml -o requirements-dev.lock

bench: $(DEV) ## measure against a local nginx, other scanners side by side (see benchmarks/README.md)
	$(BIN)/python -m benchmarks $(BENCH)

torture: servers $(DEV) ## stops, kills, outages, clock jumps, full disks, dying resolvers and hostile servers: true findings, none lost (15 minutes)
	$(BIN)/python -m tests.torture --minutes 13 $(TORTURE)

torture-nightly: servers $(DEV) ## the same as often as a release needs it (an hour or two)
	$(BIN)/python -m tests.torture --nightly --json benchmarks/results/torture.json $(TORTURE)

clean: ## remove the environments, caches and build products
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .hypothesis build dist ./*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets above stand on ---

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "tlsweep needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1);" \
			"name another one: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12" >&2; exit 1; }

servers:
	@TLSWEEP_INSTALL_SERVERS=$(TLSWEEP_INSTALL_SERVERS) scripts/install_test_servers.sh

$(VENV)/.made.stamp: | python
	@rm -rf $(VENV)
	@# Debian's Python is without ensurepip unless python3-venv is installed.
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) scripts/bootstrap_pip.py $(BIN)/python; then :; \
	else rm -rf $(VENV); \
		echo "'$(PYTHON)' cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; fi
	@touch $@

$(RUNTIME): requirements.lock pyproject.toml $(VENV)/.made.stamp
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
