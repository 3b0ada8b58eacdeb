# One command per need, the same here and in CI. `make` alone lists them.

PORT ?= 8765
PYTEST ?=
FANOUT ?=
QUEUE ?=
WORKERS ?= 2

BIN := .venv/bin
RUNS := .venv/.installed-run
DEVELOPS := .venv/.installed-dev
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --root-user-action=ignore

CHROMIUM = $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
NODE = $(shell command -v node 2>/dev/null)
NPM = $(shell command -v npm 2>/dev/null)
BORROWED := vendor/node_modules/.package-lock.json
MISSING = $(strip $(if $(CHROMIUM),,chromium) $(if $(NODE),,nodejs))
PAGE_TESTS = $(shell find tests/static -name '*.test.*js' -o -name '*[-_]test.*js' -o -name 'test[-_]*.*js' 2>/dev/null)
LOUD = *** NOT ALL TESTS RAN: $(MISSING) not found; get it with: apt-get install $(MISSING) ***

.PHONY: help install run test lint types bench bench-fanout bench-queue conformance chaos soak screenshots vendor clean
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

install: $(DEVELOPS) ## make .venv with all that developing needs

run: $(RUNS) ## serve the examples in the foreground; PORT=8765
	@exec $(BIN)/python run.py serve --tasks examples --port $(PORT)

test: $(DEVELOPS) $(if $(NPM),$(BORROWED)) ## all tests; PYTEST="-k word" hands options on, WORKERS=0 runs one at a time
	@if [ "$$CI" = true ] && [ -n "$(MISSING)" ]; then echo "$(LOUD)" >&2; exit 1; fi
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(if $(CHROMIUM),,-m "not browser") $(PYTEST)
	$(if $(and $(NODE),$(PAGE_TESTS)),node --test $(PAGE_TESTS))
	@if [ -n "$(MISSING)" ]; then echo "$(LOUD)" >&2; fi
	$(if $(NPM),,@echo "*** the types of the browser client were not checked: npm not found ***" >&2)

lint: $(DEVELOPS) ## style, format and the import ladder
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports setup.cfg --no-logo

types: $(DEVELOPS) ## mypy
	$(BIN)/mypy

bench: $(DEVELOPS) ## what a person feels, in figures; about a minute, loopback only
	$(BIN)/python benchmarks/felt.py

bench-fanout: $(DEVELOPS) ## fan-out against peers, fetched into .venvs; about 12 minutes, FANOUT=--quick two
	$(BIN)/python benchmarks/fanout.py $(FANOUT)

bench-queue: $(DEVELOPS) ## other job queues, fetched into .venvs; about 15 minutes, QUEUE=--quick two
	$(BIN)/python benchmarks/queues.py $(QUEUE)

conformance: $(DEVELOPS) ## Autobahn's cases against our WebSocket connection, fetched into .venvs; a few minutes
	$(BIN)/python benchmarks/conformance.py

chaos: $(DEVELOPS) ## faults on real processes, for long; ROUNDS=1000 SEED=7
	PYTHONPATH=tests:. $(BIN)/python -m chaos.run --rounds $(or $(ROUNDS),1000) $(if $(SEED),--seed $(SEED))

soak: $(DEVELOPS) ## the page with 5,000 rows: frame times, and memory for MINUTES=10
	$(BIN)/python benchmarks/page.py --minutes $(or $(MINUTES),10)

screenshots: $(DEVELOPS) ## the pictures of docs/screenshots, from a real server; two minutes; fonts-inter makes them look as intended
	$(BIN)/python docs/screenshots/take.py

vendor: $(BORROWED) ## bundle what the page borrows into static/vendor, as vendor/package-lock.json says; needs npm
	node vendor/make.mjs

clean: ## remove what make and the tools wrote; the jobs in .windsock stay
	rm -rf .venv vendor/node_modules .venvs/bench .venvs/conformance .venvs/bench-node .venvs/bench-queue .venvs/bench-queue-arq build dist *.egg-info .coverage .coverage.* .pytest_cache .hypothesis .mypy_cache .ruff_cache \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say that .venv holds what setup.cfg asks for; they age when it changes.

$(RUNS): setup.cfg pyproject.toml | .venv/.made
	@echo "installing what running needs into .venv"
	@$(PIP) -e '.[examples]'
	@touch $@

$(DEVELOPS): setup.cfg pyproject.toml | .venv/.made
	@echo "installing what developing needs into .venv"
	@$(PIP) -e '.[dev]'
	@touch $@ $(RUNS)

# What the page borrows, and the compiler that checks the types of the browser client.
$(BORROWED): vendor/package-lock.json
	npm --prefix vendor ci --no-audit --no-fund --silent
	@touch $@

# The first Python on PATH that is new enough.
.venv/.made:
	@for python in python3 python3.13 python3.12 python3.11; do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		$$python -c 'import ensurepip, venv' 2>/dev/null \
			|| { echo "$$python has no venv: apt-get install python3-venv" >&2; exit 1; }; \
		echo "making .venv with $$($$python --version)"; \
		$$python -m venv .venv && touch $@; exit; \
	done; echo "Windsock needs Python 3.11 or newer; found: $$(python3 --version 2>/dev/null || echo none)" >&2; exit 1
