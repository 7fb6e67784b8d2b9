# Two commands do everything: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
TARGETS ?= all
# Nothing is left outside the checkout but pip's own cache, which is also used to fetch the data.
export PIP_CACHE_DIR := $(shell $(PYTHON) -m pip cache dir 2>/dev/null)
export XDG_CACHE_HOME := $(CURDIR)/.cache
export HF_HOME := $(CURDIR)/.cache/huggingface
export MTEB_CACHE := $(CURDIR)/.cache/mteb
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test test-clients test-slurm test-slurm-faults test-chaos lock lint setup clean help
.DEFAULT_GOAL := help

run: $(VENV)/ready ## set up, then run the embedded default from data to report (TARGETS=mine stops at a stage)
	snakemake --cores $(CORES) $(TARGETS)

test: $(VENV)/ready ## set up, then run unit, distributed, workflow and browser tests (these where a Chromium is)
	$(BIN)/python -m pytest -n 2 tests/unit
	$(BIN)/python -m pytest tests/distributed tests/workflow tests/browser

test-slurm: $(VENV)/ready ## the toy run on a real Slurm of two pretended nodes (installs Debian's slurm where it may)
	@command -v slurmctld > /dev/null || test "$$(id -u)" != 0 || tests/slurm/install.sh
	$(BIN)/python -m pytest -rs tests/slurm/test_cluster.py

test-slurm-faults: $(VENV)/ready ## the same through cancelled, killed and lost jobs, nodes, controller, snakemake (FIGURES=file.json)
	@command -v slurmctld slurmdbd mariadbd > /dev/null || test "$$(id -u)" != 0 || tests/slurm/install.sh slurmdbd mariadb-server
	$(BIN)/python -m pytest -rs tests/slurm/test_faults.py $(if $(FIGURES),--figures $(FIGURES))

test-chaos: $(VENV)/ready ## the toy run disturbed TIMES=30 times: kills, full disks, flipped bytes, clocks, two callers (SEED=0, FIGURES=.cache/chaos.json)
	$(BIN)/python tests/chaos/soak.py --times $(or $(TIMES),30) --seed $(or $(SEED),0) --output $(or $(FIGURES),.cache/chaos.json)

test-clients: $(VENV)/ready ## the exported model and tables in older transformers, sentence-transformers and datasets (MODEL=folder: this one too)
	F2LLM_MODEL=$(MODEL) $(BIN)/python -m pytest -s tests/clients

lock: $(VENV)/ready ## take the sources of today on purpose: fetch all again, write config/sources.lock.yaml
	f2llm lock --refresh

lint: $(VENV)/ready ## ruff, snakefmt and snakemake --lint, all clean
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

setup: $(VENV)/ready ## make the virtual environment with the pinned packages

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or newer is needed, $(PYTHON) is older; say make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock --editable '.[cpu]'
	touch $@

clean: ## delete results, logs and caches of this checkout (not the environment)
	rm -rf results logs .snakemake .cache .pytest_cache .ruff_cache .hypothesis

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 8
