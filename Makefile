# The two commands of the README are `make demo` and `make test`; each sets up .venv first if it is not there.
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
GPU_BIN := .venv-gpu/bin
GPU_READY := .venv-gpu/.ready
DOCS_BIN := .venv-docs/bin
DOCS_READY := .venv-docs/.ready

.PHONY: demo test test-fast cluster-test gpu-smoke tables chaos kills soak elastic fuzz mutations lint types docs site lock-cpu lock-gpu lock-docs check-gpu audit-deps start-checkpoint

demo: $(READY)  ## a real RL run on this machine's CPU
	$(BIN)/toolrl rl conf/demo.yaml $(ARGS)

test: $(READY)  ## every test that needs no GPU and no cluster: first the tier without Ray, then the real stack
	$(BIN)/python -m pytest -m "not stack and not gpu and not cluster" -n 2 --dist loadfile $(ARGS)
	$(BIN)/python -m pytest -m "stack and not gpu and not cluster" --timeout=600 -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(READY)  ## the tier without Ray
	$(BIN)/python -m pytest -m "not stack and not gpu and not cluster" -n 2 --dist loadfile $(ARGS)

cluster-test: $(READY)  ## several nodes on this machine: Ray nodes in networks of their own, a Slurm of two, jobs of a Ray cluster; as root, in a quarter of an hour
	$(BIN)/python -m pytest -m cluster -rs tests/cluster $(ARGS)

gpu-smoke: $(GPU_READY)  ## what no CPU can show, on two GPUs in ten minutes: NCCL, CUDA IPC, sleep, TP 2, attention kernels, short runs
	$(GPU_BIN)/python -m pytest -m gpu -rs --timeout=600 tests/gpu $(ARGS)

tables: $(READY)  ## Tables 3 and 4 of the paper at tiny size, on the demo task: on one warm engine, in under an hour; killed, it goes on
	$(BIN)/toolrl run recipes/table3.yaml recipes/table4.yaml size=tiny $(ARGS)

chaos: $(READY)  ## every accident in a real run each, for two seeds: an hour and a half on two cores; as root, a full disk too
	$(BIN)/python tests/chaos/matrix.py $(ARGS)

kills: $(READY)  ## kill -9 at twenty random moments of one run, and another that nobody disturbs: in twenty minutes
	$(BIN)/python tests/chaos/kills.py $(ARGS)

soak: $(READY)  ## a thousand steps: what a run holds meanwhile, and leaves behind
	$(BIN)/python tests/chaos/soak.py $(ARGS)

elastic: $(READY)  ## a run that goes on under other numbers of ranks and engines
	$(BIN)/python tests/chaos/elastic.py $(ARGS)

mutations: $(READY)  ## every way to break every file that a command reads, three times: a quarter of an hour
	PYTHONPATH=tests/mutations $(BIN)/python -m mutator $(ARGS)

fuzz: $(READY)  ## a million inputs for all that reads a model's text, and how time grows on hostile ones
	PYTHONPATH=tests/fuzz $(BIN)/python -m fuzzer $(ARGS)

lint: $(READY)
	$(BIN)/ruff check toolrl tests benchmarks
	$(BIN)/ruff format --check toolrl tests benchmarks

types: $(READY)
	$(BIN)/mypy

start-checkpoint: $(READY)  ## make the demo's start checkpoint again
	rm -rf runs/demo_sft
	$(BIN)/toolrl sft conf/demo_sft.yaml
	cp runs/demo_sft/final/* toolrl/testing/start/

docs: $(READY)  ## remake the generated pages
	$(BIN)/toolrl config --markdown > docs/settings.md
	$(BIN)/toolrl config --metrics > docs/metrics.md
	$(BIN)/toolrl config --commands > docs/commands.md

site: $(DOCS_READY)  ## the documentation as a site, in build/site; a link that leads nowhere fails it
	NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/mkdocs build --strict $(ARGS)

check-gpu: $(READY)  ## requirements/gpu.txt still resolves to itself
	$(BIN)/uv pip compile requirements/gpu.in -c requirements/gpu.txt $(GPU_RESOLVE) | diff - <(tail -n +2 requirements/gpu.txt)

ADVISORIES := https://api.osv.dev/v1/vulns/PYSEC-2021-66

audit-deps: $(READY)  ## known vulnerabilities of every pinned package; where the database of advisories cannot be reached, that is said
	@if ! $(BIN)/python -c "import urllib.request as r; r.urlopen('$(ADVISORIES)', timeout=20)" 2>/dev/null; then \
	  echo "audit-deps: skipped, api.osv.dev cannot be reached from here; run it where it can"; \
	else for list in cpu gpu; do \
	  $(BIN)/uv tool run pip-audit==2.10.1 --service osv --requirement requirements/$$list.txt --no-deps --disable-pip || exit 1; \
	done; fi

GPU_RESOLVE := --python-version 3.11 --python-platform x86_64-manylinux_2_34 --no-header --no-annotate --quiet

lock-gpu: $(READY)
	echo "# Resolved from gpu.in; remake with 'make lock-gpu'. CI resolves it, and does not install it." > requirements/gpu.txt
	$(BIN)/uv pip compile requirements/gpu.in $(GPU_RESOLVE) >> requirements/gpu.txt

lock-cpu: $(READY)
	head -4 requirements/cpu.txt > requirements/cpu.new
	$(BIN)/pip freeze --exclude-editable | grep -vE '^(torch|pip|setuptools|toolrl)==' | sort -f >> requirements/cpu.new
	mv requirements/cpu.new requirements/cpu.txt

lock-docs:
	rm -rf .venv-docs && $(PYTHON) -m venv .venv-docs
	$(DOCS_BIN)/pip install --quiet --disable-pip-version-check mkdocs-material
	head -1 requirements/docs.txt > requirements/docs.new
	$(DOCS_BIN)/pip freeze >> requirements/docs.new
	mv requirements/docs.new requirements/docs.txt
	touch $(DOCS_READY)

# The mark is written last: an interrupted set-up is done again.
$(READY): requirements/cpu.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "toolrl needs Python 3.11; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements/cpu.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

$(DOCS_READY): requirements/docs.txt
	@command -v $(PYTHON) >/dev/null || { echo "the site needs Python 3.11; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv-docs
	$(DOCS_BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements/docs.txt
	touch $(DOCS_READY)

# A GPU machine's own set-up, beside the one for CPU. flash-attn may be added by hand: its tests skip without it.
$(GPU_READY): requirements/gpu.txt pyproject.toml
	@command -v nvidia-smi >/dev/null || { echo "this machine has no NVIDIA driver; 'make test' is what runs without a GPU" >&2; exit 2; }
	$(PYTHON) -m venv .venv-gpu
	$(GPU_BIN)/pip install --quiet --disable-pip-version-check -r requirements/gpu.txt $$(grep -E '^(pytest|pytest-timeout|hypothesis)==' requirements/cpu.txt)
	$(GPU_BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(GPU_READY)
