# Everything a person types. `make help` lists it. The environment is made by itself on first use.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
MOVIEPY := $(VENV)/sdk/moviepy
OUT    ?= out
DIR    ?= manifests
# Some tests wait for a server or a clock: one more at work than processors; two more cost time.
JOBS   ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)))
DEMO   := manifests/aurora-bottle.yaml
BATCH   = $(wildcard $(patsubst %/,%,$(DIR))/*.yaml $(patsubst %/,%,$(DIR))/*.yml)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo validate estimate plan run animatic status batch test soak check format bench wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  MANIFEST="a.yaml b.yaml" names manifests, ARGS="--max-cost 2" passes further options,'
	@echo '  e.g. make run MANIFEST=$(DEMO) ARGS="--provider wavespeed --max-cost 1.50"'
	@echo '  make itself exits with 2 when a command fails; the exact code is in out/*/run.json.'

setup: $(STAMP) ## make the virtual environment (done by itself when needed)

# An ffmpeg on PATH is used; only where there is none is a package installed that carries one.
# The older of two SDKs with one import name lives beside the others, for a test that asks for it.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or newer is needed; name one with PYTHON=python3.x' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing into $(VENV) (once, a minute or so) ...'
	@if command -v ffmpeg >/dev/null 2>&1; then extras=dev; else extras=dev,ffmpeg; fi; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--constraint constraints.txt --editable ".[$$extras]"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--constraint constraints.txt --target $(VENV)/sdk/runware-0.5 'runware<0.6'
	@touch $@

need-manifest:
	@test -n '$(MANIFEST)' || { echo 'name a manifest, e.g. MANIFEST=$(DEMO)' >&2; exit 64; }

.PHONY: need-manifest

demo: $(STAMP) ## make the example ad on the free sandbox
	@$(BIN)/storyboard run --provider sandbox --out $(OUT) $(DEMO) $(ARGS)

validate: need-manifest $(STAMP) ## check MANIFEST
	@$(BIN)/storyboard validate $(MANIFEST) $(ARGS)

estimate: need-manifest $(STAMP) ## price MANIFEST
	@$(BIN)/storyboard estimate $(MANIFEST) $(ARGS)

plan: need-manifest $(STAMP) ## show what a run of MANIFEST would do
	@$(BIN)/storyboard plan --out $(OUT) $(MANIFEST) $(ARGS)

run: need-manifest $(STAMP) ## make the film of MANIFEST, or resume it
	@$(BIN)/storyboard run --out $(OUT) $(MANIFEST) $(ARGS)

animatic: need-manifest $(STAMP) ## make MANIFEST's film from the free sandbox, beside paid work
	@$(BIN)/storyboard animatic --out $(OUT) $(MANIFEST) $(ARGS)

status: need-manifest $(STAMP) ## show where MANIFEST stands
	@$(BIN)/storyboard status --out $(OUT) $(MANIFEST) $(ARGS)

batch: $(STAMP) ## make or resume every film of DIR, for a timer
	@test -n '$(BATCH)' || { echo 'no *.yaml or *.yml in $(DIR)' >&2; exit 66; }
	@$(BIN)/storyboard run --out $(OUT) $(BATCH) $(ARGS)

test: $(STAMP) ## run the tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

soak: $(STAMP) ## run every proof in full, for hours, and write docs/soak-report.md
	@$(BIN)/python tests/soak.py $(ARGS)

check: $(STAMP) ## format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(STAMP) ## put the code into the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) $(MOVIEPY)/.installed ## compare with plain ffmpeg and MoviePy: time, memory
	@$(BIN)/python tests/bench/bench.py $(ARGS)

# Only measured against; it wants an older Pillow than ours and so lies beside the others.
$(MOVIEPY)/.installed: tests/bench/moviepy.txt | $(STAMP)
	@echo 'Installing MoviePy into $(MOVIEPY) (once) ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(MOVIEPY) --requirement tests/bench/moviepy.txt
	@touch $@

wheel: $(STAMP) ## build a wheel into dist/
	@$(BIN)/python -m build --quiet --wheel --outdir dist .

clean: ## remove caches and the environment; never a film or a clip
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache *.egg-info
