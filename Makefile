# One word for each habit. `make demo` and `make test` do all the set-up they need.
PYTHON ?= python3
export PYTHON
# Where this is set, each command compiles all of its modules anew, which takes as long as many commands do.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv/bin
# Two at a time, each file's tests in one process: what they share is made once. In their order: twins come first.
PYTEST := $(VENV)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
FUZZ_SECONDS ?= 60
CPP_SOURCES = $(shell git ls-files 'csrc/**.cpp' 'csrc/**.h' 'tests/**.cpp' 'tests/**.h')

.PHONY: help demo test nightly fuzz lint format setup clean

help:
	@echo 'make demo     set up and flash the demo to an emulated RK3399'
	@echo 'make test     set up, lint and run the tests'
	@echo 'make nightly  the long sweeps as well, and make fuzz'
	@echo 'make fuzz     the coverage-guided fuzzer, FUZZ_SECONDS on each reader of files (docs/fuzzing.md)'
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
	$(MAKE) fuzz

# Where atheris has no wheel for this Python, guided.py says so and what to do.
fuzz: setup
	-$(VENV)/python -m pip install --quiet --disable-pip-version-check --only-binary atheris -c constraints.txt atheris
	$(VENV)/python tests/fuzz/guided.py --seconds $(FUZZ_SECONDS)

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
