PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := core crm delivery flows rich_menus bot admin server simulator tests bench alembic

.DEFAULT_GOAL := help

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(VENV)/.installed ## Put everything that runs into .venv, from the lock file

demo: install ## Run the demo: server, LINE stand-in and a phone in the browser
	@$(BIN)/okaeri demo

test: ## Run all tests: format, lint, types, layers, migrations, both databases, kill tests, browser
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python tests/browser_setup.py
	$(BIN)/pytest -n 2 --dist loadfile

check: lint ## The quick inner loop: lint, types, layers and the fast tests
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not slow" --sqlite-only

lint: $(VENV)/.installed-dev ## Format, lint, types and layer contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(wildcard $(SOURCES))
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev ## Measure speed as ratios against a floor in the same run
	$(BIN)/python -m bench

lock: $(VENV)/.installed-dev ## Make the lock files anew from pyproject.toml
	$(BIN)/python -m venv $(VENV)/uv && $(VENV)/uv/bin/pip install -q uv
	$(VENV)/uv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11 pyproject.toml -o requirements.lock
	$(VENV)/uv/bin/uv pip compile -q --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11 --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove the environment and everything that was built
	rm -rf $(VENV) *.egg-info build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Okaeri needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 install") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Okaeri into $(VENV) …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: help install demo test check lint format bench lock clean
