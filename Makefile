# The front door: `make` alone lists the verbs. Everything is real and native; nothing needs Docker or a network of services.

PYTHON  := .venv/bin/python
ROOKERY := .venv/bin/rookery
ARGS    ?=

.DEFAULT_GOAL := help
.PHONY: help setup lock check format test simulate demo up down status doctor clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv hold exactly what requirements.lock says
	@sh infra/local/bootstrap.sh

lock: ## Resolve pyproject.toml into requirements.lock anew
	@sh infra/local/bootstrap.sh lock

check: setup ## Formatting, lint, import rules, types, generated pages, schemas
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	$(PYTHON) -m infra.docs.event_model --check
	$(ROOKERY) schemas check

format: setup ## Format, and mend what can be mended mechanically
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

test: setup ## Checks, then every test, on an installation of their own (ARGS="-k feed" for some)
	@sh infra/local/test.sh $(ARGS)

simulate: setup ## Crash, freeze and delay simulated workers for long, seed after seed (ARGS="--minutes 60")
	@$(PYTHON) -m tests.simulation $(ARGS)

demo: setup ## Start everything, load a real social graph through the log, show it and measure it
	@$(ROOKERY) demo

up: setup ## Start everything and wait until it answers
	@$(ROOKERY) up

down: ## Stop everything
	@if [ -x $(ROOKERY) ]; then $(ROOKERY) down; fi

status: setup ## Show what runs, what answers, and its memory
	@$(ROOKERY) status

doctor: setup ## Say what this machine lacks, and the command that brings it
	@$(ROOKERY) doctor

clean: ## Stop everything; remove data, tools and caches
	@if [ -x $(ROOKERY) ]; then ROOKERY_VAR=var/test ROOKERY_PORT_BASE=7500 $(ROOKERY) down --data; $(ROOKERY) down --data; fi
	rm -rf var .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
