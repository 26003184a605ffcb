# `make` lists the targets. Each makes the environment that it needs.

PYTHON ?= python3
# What `make newest` runs on: the first of these that this machine has.
NEWEST_PYTHON ?= $(firstword $(foreach minor,15 14 13 12 11,$(shell python3.$(minor) -c 'import sys; print(sys.executable)' 2>/dev/null)))
BIN := .venv/bin
NEWEST := .venv-newest/bin
LOWEST := .venv-lowest/bin
PIP := -m pip install --disable-pip-version-check
DEMO := demo

.PHONY: help setup demo quick test campaign newest lowest lint bench picture clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## */\1	/p' $(MAKEFILE_LIST) | expand -t 9

setup: .venv/all .venv-server/all  ## make both environments: all extras, and the Label Studio server

demo: .venv/core .venv/training  ## sources, shards, statistics, a small model and an alpha, in demo/ (2 minutes)
	rm -rf $(DEMO)
	$(BIN)/datagen synth --out $(DEMO)/sources --fg 40 --bg 60 --size 640
	$(BIN)/datagen compose --fg $(DEMO)/sources/fgs --bg $(DEMO)/sources/bgs --out $(DEMO)/shards \
		--samples 400 --size 512 --shard-size 100 --holdout-fg 8 --holdout-bg 10
	$(BIN)/datagen stats --shards $(DEMO)/shards --by-transparency --plot $(DEMO)/stats.png
	$(BIN)/datagen preview --shards $(DEMO)/shards --out $(DEMO)/preview.png
	$(BIN)/datagen verify --shards $(DEMO)/shards
	$(BIN)/train --shards $(DEMO)/shards --out $(DEMO)/run --iterations 40 --batch-size 8 \
		--crop-size 160 --lr 1e-3 --precision bf16 --validation-samples 8
	$(BIN)/datagen replay val-00000000 --shards $(DEMO)/shards --fg $(DEMO)/sources/fgs \
		--bg $(DEMO)/sources/bgs --out $(DEMO)/sample
	mkdir -p $(DEMO)/images $(DEMO)/trimaps
	cp $(DEMO)/sample/val-00000000.image.jpg $(DEMO)/images/sample.jpg
	cp $(DEMO)/sample/val-00000000.crude_trimap.png $(DEMO)/trimaps/sample.png
	$(BIN)/matte predict --checkpoint $(DEMO)/run --images $(DEMO)/images \
		--trimaps $(DEMO)/trimaps --out $(DEMO)/alphas

# pymatting compiles itself when it is first imported: once, before two processes would do it.
quick: .venv/all lint  ## lint, types and the fast tests, without a server or a browser (2 minutes)
	@$(BIN)/python -c 'import pymatting'
	$(BIN)/pytest -n 2 -m "not slow and not server and not browser"

test: .venv/all .venv-server/all lint  ## lint, types and every test, with a real server and browser (12 to 16 minutes)
	@$(BIN)/python -c 'import pymatting'
	$(BIN)/pytest -n 3  # on two cores: the tests of annotation wait for their server most of the time

campaign: .venv/all .venv-server/all  ## what tests try at random, for an hour: signals at many moments, five people at once, damaged files
	STORMS=100 $(BIN)/pytest tests/annotation/test_storm.py
	MOMENTS=60 $(BIN)/pytest tests/datagen/test_signals.py
	$(BIN)/python -m tests.fuzz --seconds 120
	$(BIN)/python -m tests.faults --minutes 60

newest: .venv-newest/all  ## the tests of all but annotation, on the newest Python and packages to be had
	@$(NEWEST)/python -c 'import pymatting'
	$(NEWEST)/pytest -n 2 tests/manifests tests/classical tests/datagen tests/training

lowest: .venv-lowest/all  ## the same tests, on the lowest versions of packages that pyproject.toml allows
	@$(LOWEST)/python -c 'import pymatting'
	$(LOWEST)/pytest -n 2 tests/manifests tests/classical tests/datagen tests/training

lint: .venv/all  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/all .venv-server/all  ## the benchmarks of docs/results.md; needs an idle machine and ../shared/data
	$(BIN)/python -m tests.bench.compose
	$(BIN)/python -m tests.bench.sharpness
	$(BIN)/python -m tests.bench.crude
	$(BIN)/python -m tests.bench.loader
	$(BIN)/python -m tests.bench.verify
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.brush
	$(BIN)/python -m tests.bench.annotate
	$(BIN)/python -m tests.bench.assist

picture: .venv/core .venv/training  ## draw docs/samples.jpg and docs/alphas.jpg, the pictures of the pages
	$(BIN)/python docs/picture.py

clean:  ## remove the environments, the demo and all caches
	rm -rf .venv .venv-server .venv-newest .venv-lowest $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# ---- environments: made when they are missing, or when what they are made of has changed

# The lean core: what a machine that composites needs.
.venv/core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed; name it: make PYTHON=python3.12 ...")'
	@echo "Installing the core packages into .venv (about two minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP) -c constraints.txt -e .
	@touch $@

# ... and what trains.
.venv/training: .venv/core
	@echo "Installing PyTorch and the packages for training into .venv (about two minutes) ..."
	@$(BIN)/python $(PIP) -c constraints.txt -e '.[training,plot]'
	@touch $@

# All extras, for the tests.
.venv/all: .venv/core
	@echo "Installing the packages for training, annotation and tests into .venv (about two minutes) ..."
	@$(BIN)/python $(PIP) -c constraints.txt -e '.[training,annotation,dev]'
	@touch $@

# No constraints, and not the extra `annotation`, which holds OpenCV and numpy back.
.venv-newest/all: pyproject.toml
	@echo "Installing the newest packages into .venv-newest (about two minutes) ..."
	@test -x $(NEWEST)/python || $(NEWEST_PYTHON) -m venv .venv-newest
	@$(NEWEST)/python $(PIP) --upgrade --upgrade-strategy eager -e '.[training,test]'
	@$(NEWEST)/python -c 'import cv2, numpy, sys; print("Python", sys.version.split()[0], "numpy", numpy.__version__, "OpenCV", cv2.__version__)'
	@touch $@

# What users install has the lowest versions; the tools of the tests and what others need are free.
.venv-lowest/all: pyproject.toml tests/lowest.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed, the lowest; name it: make PYTHON=python3.11 ...")'
	@echo "Installing the lowest packages into .venv-lowest (about two minutes) ..."
	@test -x $(LOWEST)/python || $(PYTHON) -m venv .venv-lowest
	@$(LOWEST)/python -m tests.lowest plot training annotation > .venv-lowest/constraints.txt
	@$(LOWEST)/python $(PIP) -c .venv-lowest/constraints.txt -e '.[training,annotation,test]'
	@touch $@

# The Label Studio server, apart from everything else. Its pages are compiled when they are needed.
.venv-server/all: annotation/server-requirements.txt
	@echo "Installing the Label Studio server into .venv-server (1 GB, about two minutes) ..."
	@test -x .venv-server/bin/python || $(PYTHON) -m venv .venv-server
	@.venv-server/bin/python $(PIP) --no-deps --no-compile -r annotation/server-requirements.txt
	@touch $@
