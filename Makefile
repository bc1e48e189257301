# Every target makes the clone ready first; on a machine that is ready this takes no time.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

PYTHON := .venv/bin/python
SOURCES := shared/src infra/local/src $(wildcard services/*/src)

# make demo DATA=file.parquet SPEED=20 DEMO_SECONDS=60 SOURCE=auto|live|sample STACK=processes|containers
DATA ?=
SPEED ?=
DEMO_SECONDS ?=
SOURCE ?=
STACK ?= processes
FILE ?=
SERVICE ?=
PYTEST_ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Run the whole platform on real prices, paper money (DATA=file SPEED=20 DEMO_SECONDS=60 STACK=containers)
	@infra/bootstrap.sh $(if $(filter containers,$(STACK)),,servers)
	exec .venv/bin/sigmax demo --stack $(STACK) $(if $(DATA),--data "$(DATA)") $(if $(SPEED),--speed "$(SPEED)") \
		$(if $(DEMO_SECONDS),--seconds "$(DEMO_SECONDS)") $(if $(SOURCE),--source "$(SOURCE)")

.PHONY: demo-clean
demo-clean: ## Stop a running stack and remove its data
	@if [ -x .venv/bin/sigmax ]; then .venv/bin/sigmax down --clean; else rm -rf .sigmax; fi

.PHONY: setup
setup: ## Make the clone ready: .venv from requirements.lock, servers from the system's packages
	@infra/bootstrap.sh servers

.PHONY: check format lint types imports examples manifests
check: format lint types imports examples manifests ## Format, lint, types, import contracts, message examples, manifests

format: ready
	@$(PYTHON) -m ruff format --check .
lint: ready
	@$(PYTHON) -m ruff check .
types: ready
	@$(PYTHON) -m mypy $(SOURCES)
imports: ready
	@.venv/bin/lint-imports
examples: ready
	@$(PYTHON) -m pytest -q tests/contracts
manifests: ready
	@$(PYTHON) -m sigmax_local.manifests check

.PHONY: ready
ready:
	@infra/bootstrap.sh

.PHONY: test
test: ## Run all tests, two at a time; those on real servers need PostgreSQL, Redis, and RabbitMQ
	@infra/bootstrap.sh servers-maybe
	$(PYTHON) -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

# The installed servers are one version of many; these are the others.
ON_OTHER_SERVERS := shared/tests/integration infra/local/tests/test_local_rights_on_servers.py \
	services/collector/tests/integration services/order-worker/tests/integration

.PHONY: test-versions
test-versions: ready ## Tests on PostgreSQL 17, Redis 8, RabbitMQ 4 in containers, and on Python 3.13
	@infra/images/ready.sh
	SIGMAX_TEST_SERVERS=containers $(PYTHON) -m pytest -q $(ON_OTHER_SERVERS) $(PYTEST_ARGS)
	infra/test-python.sh 3.13

.PHONY: test-containers
test-containers: ready ## The containers as a whole: scaling, kill -9, pauses, cut networks, restarts, backup, hardening
	@infra/images/ready.sh
	SIGMAX_TEST_CONTAINERS=1 $(PYTHON) -m pytest -q tests/containers $(PYTEST_ARGS)

.PHONY: backup restore update
backup: ready ## Write the database of the containers to FILE while they trade
	@$(PYTHON) -m sigmax_local.operations backup "$(or $(FILE),$(error make backup FILE=monday.backup))"
restore: ready ## Put a backup in the place of the database (FILE=monday.backup YES=1; without YES it only tells)
	@$(PYTHON) -m sigmax_local.operations restore "$(or $(FILE),$(error make restore FILE=monday.backup))" $(if $(YES),--yes)
update: ready ## Build a service anew and replace its containers while it trades (SERVICE=order-worker)
	@$(PYTHON) -m sigmax_local.operations update "$(or $(SERVICE),$(error make update SERVICE=order-worker))"

.PHONY: bench
bench: ## Measure tick-to-order, ticks/s, orders/s, and memory; writes bench-report.json
	@infra/bootstrap.sh servers
	exec $(PYTHON) -m sigmax_local.bench

.PHONY: chaos chaos-load
chaos: ## F01-F26 on real servers, thousands of simulated seeds, properties: no order lost or doubled; writes chaos-report.md
	@infra/bootstrap.sh servers
	exec $(PYTHON) -m sigmax_local.chaos

chaos-load: ## 200 orders/min and 50 events/s for ten minutes while random services are killed; writes chaos-load-report.json
	@infra/bootstrap.sh servers
	exec $(PYTHON) -m sigmax_local.chaos.load

.PHONY: images images-airgap secrets
images: secrets ## Build the images of all services, and print their sizes
	@infra/images/services.sh

images-airgap: secrets ## The same where no image registry can be reached: all bases from Debian's packages (and an engine, on Debian)
	@infra/images/engine.sh
	infra/images/build.sh --env .env
	infra/images/services.sh

secrets: ## Passwords, keys, and prices for Docker Compose (DATA=file SPEED=20 SOURCE=auto|live|sample)
	@infra/bootstrap.sh
	$(PYTHON) -m sigmax_local.servers secrets $(if $(DATA),--data "$(DATA)") $(if $(SPEED),--speed "$(SPEED)") \
		$(if $(SOURCE),--source "$(SOURCE)")

.PHONY: lock
lock: ## Choose package versions anew: requirements.lock, and what of it the images hold, requirements-services.lock
	@compile=("$$(infra/bootstrap.sh uv)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		  --no-emit-package sigmax --custom-compile-command "make lock")
	services=(shared/pyproject.toml $(sort $(wildcard services/*/pyproject.toml)))
	"$${compile[@]}" --group dev -o requirements.lock pyproject.toml infra/local/pyproject.toml "$${services[@]}"
	"$${compile[@]}" --constraint requirements.lock --group images -o requirements-services.lock pyproject.toml "$${services[@]}"
	if grep -nE '(https?|file|git\+[a-z]+)://' requirements*.lock; then echo "a lock names a host or a path" >&2; exit 1; fi
