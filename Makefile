# make demo   the environment, then the workflow on the datasets that come with it; the last line says where the report is
# make test   the environment, then every test
# make lint   style, types, the workflow's own checks
# make bench  speed and memory, beside other programs
# make lock   requirements.lock and environment.yml anew, from pyproject.toml (needs uv)
#
# Variables: PYTHON=python3.12, CORES=4, KELBENCH_TORCH=cpu|cuda|skip (see workflow/setup_environment.py),
# KELBENCH_CACHE and KELBENCH_MIRROR (where files of datasets are kept and looked for).

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1)
BIN := .venv/bin

.PHONY: demo test lint bench lock environment

environment:
	@$(PYTHON) workflow/setup_environment.py

demo: environment
	@$(BIN)/python -m snakemake --cores $(CORES)
	@echo "report: reports/quick/index.html"

test: environment
	@$(BIN)/python -m pytest

lint: environment
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(CURDIR)/$(BIN):$$PATH" snakefmt --check Snakefile workflow/rules
	$(BIN)/mypy
	$(BIN)/python -m snakemake --lint

bench: environment
	@$(BIN)/python benchmarks/run.py

lock: environment
	@$(BIN)/python workflow/write_lock.py
