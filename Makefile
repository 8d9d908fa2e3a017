# One vocabulary for a laptop, a hook and CI. `make` alone lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install lock format check test test-all docs bench demo up down clean

BIN := .venv/bin
READY := .venv/.ready
NO_PYTHON := no Python 3.11, 3.12 or 3.13 with venv was found. Install one, or name it: make install PYTHON=/path/to/python
USABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PROJECT ?= .tiltyard/demo
# Every process that the tests and the demo start would compile what it imports anew where the shell forbids bytecode.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/pytest -n 2 --dist loadfile

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(READY) ## make .venv from requirements.lock; instant when it is there

$(READY): requirements.lock pyproject.toml
	@set -eu; \
	if [ ! -x $(BIN)/python ]; then \
	  for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
	    if $$python -c '$(USABLE)' >/dev/null 2>&1; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$${found:-}" ]; then echo "make: $(NO_PYTHON)" >&2; exit 1; fi; \
	  $$found -m venv .venv; \
	fi; \
	if [ ! -x $(BIN)/uv ]; then \
	  awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.lock > .venv/uv.txt; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt; \
	fi
	$(BIN)/uv pip sync --quiet --system-certs --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --no-deps --editable .
	@touch $(READY)

lock: $(READY) ## resolve pyproject.toml again into requirements.lock
	$(BIN)/uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra dev pyproject.toml --output-file requirements.lock

format: $(READY) ## mend what can be mended by itself
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

check: $(READY) ## format, lint, import laws, types
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --cache-dir .import_linter_cache
	$(BIN)/mypy

test: check ## everything that must pass before a change lands
	$(PYTEST) -m "not exhaustive"

test-all: check ## the slow and thorough tests too
	$(PYTEST)

docs: $(READY) ## write the generated pages of docs/ again
	$(BIN)/python docs/generate.py

bench: $(READY) ## run the benchmarks; those on real tables when DATA names their folder; quiet machine wanted
	$(BIN)/python -m benchmarks.gate
	$(BIN)/python -m benchmarks.rollout
	$(BIN)/python benchmarks/tracking/logging_cost.py
	$(BIN)/python benchmarks/serving/request_cost.py
	$(BIN)/python -m benchmarks.orchestration
ifneq ($(DATA),)
	$(BIN)/python -m benchmarks.tuning --data $(DATA) --seconds 15 30 60 --seeds 0 1 2
	$(BIN)/python -m benchmarks.tables --data $(DATA)
	DATA=$(DATA) $(BIN)/python -m benchmarks.replay
endif

demo: $(READY) ## the whole story on the full stack: drift, alarm, retraining, swap, a question to you (make down ends it)
	$(BIN)/python examples/demo.py

up: $(READY) ## Prefect, MLflow, a worker and the model server for PROJECT (the demo's by default), in the background
	$(BIN)/tiltyard up --detach --project $(PROJECT)

down: ## stop what `make up` started, whatever became of it
	$(BIN)/tiltyard down --project $(PROJECT)

clean: ## stop the demo's stack; remove the environment, caches and the demo
	@[ ! -x $(BIN)/tiltyard ] || $(BIN)/tiltyard down --project $(PROJECT)
	rm -rf .venv .tiltyard .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
