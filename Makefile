# make demo | test | check | format | setup | clean
#
# Needs make and Python 3.10 or newer. Everything is installed into .venv; nothing outside this folder is touched.
#   PYTHON=python3.12           another Python
#   TORCH="torch --index-url ADDRESS"   the small build without CUDA (address: PyTorch's installation page, "CPU")
#   PYTEST_ARGS="-k media"      a part of the tests

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
JOBS ?= 2
DEMO ?= out/demo.mp4

BIN := $(VENV)/bin
# One thread per process: the tests run side by side, and small tensors are slower on many threads.
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: help demo test check format setup clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a person in new motion: installs into $(VENV), writes $(DEMO)"
	@echo "make test    installs the development tools too and runs all tests"
	@echo "make check   ruff, mypy --strict and all tests"
	@echo "make format  put the code into shape"
	@echo "make clean   remove $(VENV)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12") if sys.version_info < (3, 10) else None'
	$(PYTHON) -m venv $(VENV)

# Stamps: an installation is repeated when pyproject.toml changes.
$(VENV)/.package: pyproject.toml | $(BIN)/python
	@echo "Installing PyTorch and the rest into $(VENV): some minutes, as fast as the network is ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

setup: $(VENV)/.dev

demo: $(VENV)/.package
	$(BIN)/liquidwarp demo --out $(DEMO)
	@echo "The video is $(CURDIR)/$(DEMO)"

test: $(VENV)/.dev
	$(THREADS) $(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(THREADS) $(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)
