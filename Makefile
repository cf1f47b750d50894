# What can be done here. Bare `make` lists it; docs/developer.md says more.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup parts demo simulate test torture lint bench deb clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install Edge and its tools into it

$(STAMP): setup.py | $(BIN)/pip
	@echo "Setting up $(VENV): a minute or so, once"
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@

$(BIN)/pip:
	@PYTHON=$(PYTHON) bash packaging/system-parts.sh venv
	$(PYTHON) -m venv $(VENV)

parts: ## install the system parts the tests use (FreeRADIUS, gammu, Chromium), where that is allowed
	@bash packaging/system-parts.sh test

demo: setup ## run the whole box, everything simulated, in a throw-away folder
	$(BIN)/edge demo

simulate: setup ## one simulator by itself: make simulate WHAT=router|mpesa|modem
	$(BIN)/edge simulate $(or $(WHAT),--help)

test: setup parts ## run all tests, two at a time
	$(BIN)/pytest -n 2 --dist worksteal

lint: setup ## ruff and mypy --strict
	$(BIN)/ruff check
	$(BIN)/mypy --strict edge

torture: setup ## sell for a long time while everything is killed, cut off and filled up: make torture CYCLES=1000 SEED=1
	$(BIN)/python -m tests.torture --cycles $(or $(CYCLES),1000) --seed $(or $(SEED),1)

bench: setup ## measure speed and what is written to the card
	$(BIN)/python -m bench

deb: ## build dist/edge_VERSION_all.deb
	bash packaging/build-deb.sh

clean: ## remove .venv and what was built; var/ (the box's state) stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find edge tests bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
