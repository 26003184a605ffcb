# Two commands: `make demo` and `make test`. Both make what they need.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo

.PHONY: setup demo test lint bench clean

setup: .venv/all .venv-server/all

# The lean core: what a machine that composites needs.
.venv/core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed; name it: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

# ... and what trains.
.venv/training: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[training]'
	@touch $@

# All extras, for the tests.
.venv/all: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[training,annotation,dev]'
	@touch $@

# The Label Studio server, apart from everything else. Its pages are compiled when they are needed.
.venv-server/all: annotation/server-requirements.txt
	test -x .venv-server/bin/python || $(PYTHON) -m venv .venv-server
	.venv-server/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
		-r annotation/server-requirements.txt
	@touch $@

demo: .venv/core .venv/training
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
test: .venv/all .venv-server/all
	$(BIN)/python -c 'import pymatting'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadgroup

# An idle machine and the real sources in ../shared/data.
bench: .venv/all .venv-server/all
	$(BIN)/python -m tests.bench.compose
	$(BIN)/python -m tests.bench.sharpness
	$(BIN)/python -m tests.bench.crude
	$(BIN)/python -m tests.bench.loader
	$(BIN)/python -m tests.bench.brush
	$(BIN)/python -m tests.bench.annotate

clean:
	rm -rf .venv .venv-server $(DEMO) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
