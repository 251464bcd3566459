# Every target stands alone on a fresh machine: it needs Python 3.11+ and a package index, and makes .venv itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SOAK ?= 10
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test soak check format bench clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sift-rag needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## Ingest Python's language reference and ask it a question
	@$(BIN)/python examples/demo.py

test: $(INSTALLED) ## All tests, offline
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

soak: $(INSTALLED) ## Kills, random operations, faults: SOAK=10 times as long as in the tests, from SEED=0 on
	HF_HUB_OFFLINE=1 SIFT_RAG_TEST_SOAK=$(SOAK) SIFT_RAG_TEST_SEED=$(SEED) $(BIN)/python -m pytest --durations=0 tests/reliability

check: $(INSTALLED) ## Format, lint, strict types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED) ## Speed against peers: see benchmarks/README.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.speed.select_vs_peers --batch
	$(BIN)/python -m benchmarks.speed.cold_start
	$(BIN)/python -m benchmarks.speed.retrieve_vs_embed
	$(BIN)/python -m benchmarks.speed.ingest_vs_bare_encode
	$(BIN)/python -m benchmarks.speed.embedded_store_vs_peers
	$(BIN)/python -m benchmarks.speed.server_client_vs_qdrant

clean: ## Remove what make made
	rm -rf $(VENV) .demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
