# Every target sets up first what it needs (see .ci/setup); the second time at once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
LOGS ?= logs
ARGS ?=
# Suites that share their name with a target below are run by run-suite only.
OWN := help setup demo web-demo test test-full lint format bench wheel clean run
SUITES := $(filter-out $(OWN),$(notdir $(patsubst %/,%,$(wildcard suites/*/))))

.PHONY: $(OWN) $(SUITES)

help:
	@echo 'make setup        install what is missing, make .venv, build the guest'
	@echo 'make demo         run suites/smoke on a real machine, into $(LOGS)/'
	@echo 'make web-demo     run suites/web-kiosk: type into a browser in a guest'
	@echo 'make test         run the tests; make test-full: the long ones too'
	@echo 'make lint         ruff, mypy, the schemas; make format: what ruff can mend'
	@echo 'make bench        measure; make wheel: build into dist/; make clean'
	@echo 'make SUITE run    run suites/SUITE, e.g. CASES=boot make smoke run;'
	@echo '                  ARGS="--jobs 2" goes to run-suite. There are:'
	@echo '                  $(SUITES)'

setup:
	@.ci/setup

demo: setup
	$(BIN)/run-suite suites/smoke --log-dir $(LOGS) $(ARGS)

# Its guest takes 600 MB of the cache and half a minute, so only this asks for it.
web-demo:
	@.ci/setup web-kiosk
	$(BIN)/run-suite suites/web-kiosk --log-dir $(LOGS) $(ARGS)

test: setup
	$(BIN)/python -m pytest -m 'not full' -n 2 --dist loadfile $(ARGS)

test-full: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/run-suite schema --check schemas

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m pytest -q -s -p no:cacheprovider tests/bench $(ARGS)

wheel: setup
	$(BIN)/python -m build --wheel --outdir dist

# Guest images and logs stay.
clean:
	rm -rf .venv .setup dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find runner plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(SUITES): setup
	$(BIN)/run-suite suites/$@ --log-dir $(LOGS) $(ARGS)

# `make smoke run`: the suite's own target has run it.
run: $(filter $(SUITES),$(MAKECMDGOALS))
	@$(if $(filter $(SUITES),$(MAKECMDGOALS)),:,echo 'make SUITE run: which of $(SUITES)?' >&2; exit 2)
