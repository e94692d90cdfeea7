# One word for each habit. `make demo` and `make test` do all the set-up they need.
PYTHON ?= python3
export PYTHON
VENV := .venv/bin
# Two at a time, each file's tests in one process: what they share is made once.
PYTEST := $(VENV)/python -m pytest --numprocesses 2 --dist loadfile
CPP_SOURCES = $(shell git ls-files 'csrc/**.cpp' 'csrc/**.h' 'tests/**.cpp' 'tests/**.h')

.PHONY: help demo test nightly lint format setup clean

help:
	@echo 'make demo     set up and flash the demo to an emulated RK3399'
	@echo 'make test     set up, lint and run the tests'
	@echo 'make nightly  the long sweeps as well'
	@echo 'make lint     ruff, mypy, clang-format'
	@echo 'make format   rewrite the sources in the house format'
	@echo 'make clean    remove .venv and build output (caches stay: edgedeploy doctor names them)'

demo:
	@scripts/setup.sh demo
	$(VENV)/edgedeploy flash --board rk3399 --emulated

test: setup lint
	$(PYTEST) -m 'not nightly'

nightly: setup lint
	$(PYTEST)

lint: setup
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/clang-format --dry-run --Werror $(CPP_SOURCES)

format: setup
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .
	$(VENV)/clang-format -i $(CPP_SOURCES)

setup:
	@scripts/setup.sh test

clean:
	rm -rf .venv build dist *.egg-info edgedeploy/_resources
