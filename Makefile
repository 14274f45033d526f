# The entry point for developers and CI. Each target installs what it needs; repeating it is cheap.
#   make demo [FILE=my.mp4] [EXIT=1]    make test    make thorough    make setup    make bench    make chaos [SEED=1] [DURATION=300]
#   make properties [EXAMPLES=20000]    make hostile [CASES=500] [SEED=1]    make fuzz [SECONDS=20]
#   make inputs [ONLY=text]    make planted [ONLY=name] [JSON=1]    make deaths [COUNT=150]
#   make power [CUTS=20] [BROKERS=3]

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := test

PYTHON ?= $(shell deploy/setup/interpreter)
export PYTHON := $(PYTHON)
BIN := .venv/bin
# Same path as in streams/broker/jvm.py.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kinolog/kafka-4.3.1
HLS := web/static/vendor/hls.min.js
HLS_MODULE := web/static/vendor/hls.min.mjs
TUS := .venv/tus.min.js
AXE := .venv/axe.min.js
# The parts of React that a browser needs, and what renders on a server: for the test of the React package.
REACT := .venv/react/19/node_modules
REACT_18 := .venv/react/18/node_modules
# Test files run in parallel, in the order named, the longest first: most tests wait for processes to start.
# Of the long ones, those of this commit's share: `make thorough` runs all.
PARALLEL = SHARE=$${SHARE-$$($(BIN)/python -m tests.shares)} $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test thorough lint types unit integration e2e chaos gpu secured deaths power upgrade bench simulate hostile inputs planted fuzz properties screenshot lock docs clean tools browser compiler clients

setup: tools browser compiler clients .venv/.ready .venv/.archive $(HLS) $(HLS_MODULE) $(TUS) $(AXE) $(REACT) $(REACT_18)

demo: tools .venv/.ready .venv/.archive $(HLS) $(HLS_MODULE)
	@$(BIN)/kinolog demo $(if $(FILE),--file '$(FILE)') $(if $(EXIT),--exit)

# All parts, cheapest first, until one fails.
test:
	@for part in setup lint types unit integration e2e; do \
	  printf '\n=== %s\n' "$$part"; began=$$SECONDS; \
	  $(MAKE) "$$part"; printf '=== %s: passed in %d s\n' "$$part" $$((SECONDS - began)); \
	done

# The same with every long test, where `make test` takes those of one share.
thorough:
	@$(MAKE) test SHARE=

lint: .venv/.ready
	@$(BIN)/ruff format --check --quiet --diff .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-logo > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

types: .venv/.ready
	@$(BIN)/mypy

unit: .venv/.ready
	@$(BIN)/pytest -q -n 2 tests/unit

integration: setup
	@$(PARALLEL) tests/hostile tests/inputs tests/abuse tests/integration

e2e: setup
	@$(PARALLEL) tests/chaos tests/e2e

# The models on a real GPU, on a machine that has one (pip install 'kinolog[gpu]' first).
gpu: .venv/.ready
	@$(BIN)/pytest -q -s tests/gpu

# The tests of the whole system once more, on a broker with TLS, users and ACLs.
secured: setup
	@TESTS_SECURED=1 $(BIN)/pytest -q $(addprefix tests/e2e/test_,$(SECURED:=.py))

SECURED = pipeline search messages resumable secrets warnings sound up page

# Injects faults for DURATION seconds on one broker, then on three; the printed seed repeats a run.
CHAOS = $(BIN)/python -m tests.chaos.run $(if $(SEED),--seed $(SEED)) --seconds $(or $(DURATION),300)

chaos: setup
	@$(CHAOS) --brokers 1
	@$(CHAOS) --brokers 3

# SIGKILL of control, executors, web and the broker, one a second or faster, until COUNT have died; adds to docs/deaths.md.
deaths: setup
	@$(BIN)/python -m tests.chaos.deaths $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

# Takes the power from a running system CUTS times, and looks for what was acknowledged; adds to docs/power.md.
power: setup
	@$(BIN)/python -m tests.chaos.power --cuts $(or $(CUTS),20) $(if $(SEED),--seed $(SEED)) \
	  $(if $(BROKERS),--brokers $(BROKERS))

# Replaces the parts of a running system of the version in the checkout FROM by this version's; BACK=1: and back.
upgrade: setup
	@$(BIN)/python -m tests.recorded.upgrade '$(FROM)' $(if $(BACK),--back)

# Measures, and writes docs/figures.md and README's lines.
bench: setup
	@$(BIN)/python -m tests.bench.figures

# The real reducer and dispatcher among simulated executors, in virtual time. With EXECUTORS or JOBS one run, its seed
# printed; without, every figure of docs/dispatch.md (SEED=1, some minutes).
simulate: .venv/.ready
	@$(BIN)/python -m tests.simulation $(if $(EXECUTORS),--executors $(EXECUTORS)) $(if $(JOBS),--jobs $(JOBS)) \
	  $(if $(SEED),--seed $(SEED))

# docs/page.png and docs/pictures: every view in a browser, light, dark and on a phone, as the tests of the page have it.
screenshot: setup
	@$(BIN)/python -m tests.screenshot

# 500 hostile files through the real steps; CASES and SEED choose others, the seed is printed.
hostile: setup
	@$(BIN)/python -m tests.hostile $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED))

# Runs real inputs through the real steps and examines the results; a run of all of them writes docs/inputs.md.
inputs: setup
	@$(BIN)/python -m tests.inputs $(if $(ONLY),'$(ONLY)')

# Plants bugs in a copy of the code, and runs the tests that should notice; a run of all of them writes docs/planted.md.
planted: setup
	@nice -n 15 $(BIN)/python -m tests.planted $(if $(ONLY),--only '$(ONLY)') $(if $(JSON),--json)

# Fuzzes every decoder of external input with atheris, SECONDS each; crashing inputs are kept in tests/fuzz/seeds.
fuzz: .venv/.ready
	@$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS))

# Runs the property tests with EXAMPLES new examples each: an hour or two. `make test` always uses the same ones.
properties: .venv/.ready
	@$(BIN)/python -m tests.properties $(if $(EXAMPLES),--examples $(EXAMPLES))

# Generates docs/settings.md, docs/messages.md and docs/schemas.json from the sources.
docs: .venv/.ready
	@$(BIN)/python -m streams.reference

# Locks the latest versions that pyproject.toml allows, with hashes and without URLs.
lock: .venv/.ready
	@uv=$(BIN)/../bootstrap/bin/uv; \
	options="--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links -q"; \
	$$uv pip compile pyproject.toml --group dev $(foreach extra,embed redis transcribe,--extra $(extra)) --upgrade \
	  $$options -o requirements.lock; \
	echo 'nvidia-cublas-cu12<13' | $$uv pip compile - --no-annotate --upgrade $$options -o deploy/setup/gpu.lock; \
	echo uv | $$uv pip compile - --no-annotate --upgrade $$options -o deploy/setup/uv.lock
	@for folder in deploy/web deploy/web/react-18; do \
	  npm --prefix "$$folder" install --package-lock-only --ignore-scripts --no-audit --no-fund --silent; \
	done

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  deploy/web/node_modules $(HLS) $(HLS_MODULE)

tools:
	@deploy/setup/packages java mvn npm ffmpeg espeak-ng bwrap redis-server

browser:
	@deploy/setup/packages chromium

# For the test of a Java producer.
compiler:
	@deploy/setup/packages javac

# Clients and proxies of others, for their tests.
clients:
	@deploy/setup/packages kcat nginx

.venv/.ready: requirements.lock pyproject.toml deploy/setup/uv.lock deploy/setup/python | venv-module
	@echo "set up: Python packages"
	@deploy/setup/python
	@touch $@

.PHONY: venv-module
venv-module:
	@deploy/setup/packages venv

$(CACHE)/lib: | tools
	@echo "set up: the broker's jars"
	@deploy/setup/jars $@

.venv/.archive: streams/broker/jvm.py streams/broker/class_data.py $(CACHE)/lib | .venv/.ready
	@echo "set up: the broker's class-data archive"
	@$(BIN)/python -m streams.broker.class_data > /dev/null
	@touch $@

$(HLS) $(HLS_MODULE) $(TUS) $(AXE) $(REACT) &: deploy/web/package-lock.json | tools .venv/.ready
	@echo "set up: the page's player, and what its tests need"
	@npm --prefix deploy/web ci --ignore-scripts --no-audit --no-fund --silent
	@mkdir -p $(dir $(HLS) $(TUS))
	@cp deploy/web/node_modules/axe-core/axe.min.js $(AXE)
	@rm -rf $(REACT) && mkdir -p $(REACT)
	@cp -r deploy/web/node_modules/react deploy/web/node_modules/react-dom deploy/web/node_modules/scheduler $(REACT)
	@cp deploy/web/node_modules/tus-js-client/dist/tus.min.js $(TUS)
	@cp deploy/web/node_modules/hls.js/dist/hls.min.mjs $(HLS_MODULE).new && mv $(HLS_MODULE).new $(HLS_MODULE)
	@cp deploy/web/node_modules/hls.js/dist/hls.min.js $(HLS).new && mv $(HLS).new $(HLS)
	@rm -rf deploy/web/node_modules

$(REACT_18): deploy/web/react-18/package-lock.json | tools .venv/.ready
	@npm --prefix deploy/web/react-18 ci --ignore-scripts --no-audit --no-fund --silent
	@rm -rf $@ && mkdir -p $(dir $@)
	@mv deploy/web/react-18/node_modules $@
