# Everything a person does with this repository. `make help` lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PID_FILE ?= .demo.pid
# Processes that share the tests: on two cores two wait for an Airflow of their own while the third computes.
WORKERS ?= 3
# The tool that writes the lock files; another version may resolve them otherwise.
UV := 0.13.9
# A build has the commit in its name: the version alone is the same for many. An archive, which has no history, holds it in VERSION.
COMMIT  := $(shell test -e .git && git rev-parse --short=9 HEAD)
BUILD   := $(shell cat VERSION)$(if $(COMMIT),+g$(COMMIT))
RELEASE := vte-wats-$(BUILD)
# The same for images: their names have no +.
TAG     := $(subst +,-,$(BUILD))
DIST    ?= dist
TREE    ?= HEAD

.DEFAULT_GOAL := help
.PHONY: help setup check check-code check-unit format docs test test-failed test-constraints screenshots test-mssql faults converge demo sandbox acceptance survey handover bench bench-core package wheel lock down clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /:/' | LC_ALL=C sort -t: -k1,1 | awk -F: '{name = $$1; sub(/^[^:]*:/, ""); printf "  make %-16s %s\n", name, $$0}'

setup: $(READY) ## Create .venv with everything, pinned by hash

$(READY): requirements-dev.lock pyproject.toml VERSION setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11 or 3.12 is needed (3.13 is allowed and not tested); this is %d.%d. Name one: make PYTHON=python3.12 …" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

check: $(READY) ## Lint, format, types, SQL, import rules, docs, words, unit tests (about a minute)
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check-code check-unit

check-code: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint --nocolor include/sql
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	AIRFLOW_HOME=$(VENV)/airflow $(BIN)/python docs/generate.py --check

check-unit: $(READY)
	AIRFLOW_HOME=$(VENV)/airflow $(BIN)/python -m pytest -q -x -m "not slow" --numprocesses=2 tests/unit tests/repository

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## Write the generated pages of docs/
	AIRFLOW_HOME=$(VENV)/airflow $(BIN)/python docs/generate.py

test: $(READY) ## All tests: unit, sandbox, integration, end to end on a real Airflow
	AIRFLOW_HOME=$(VENV)/airflow $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder --durations=10 --cov --cov-report=term:skip-covered --cov-fail-under=90

test-failed: ## What failed in `make test`, once more and alone (three tests on servers at most)
	$(BIN)/coverage report --fail-under=90 > /dev/null
	AIRFLOW_HOME=$(VENV)/airflow $(BIN)/python -m tests.once_more

test-constraints: wheel ## The wheel beside an Airflow under Airflow's constraints, and the tests with those versions
	$(BIN)/python -m tests.with_constraints "$$(ls -t $(DIST)/*.whl | head -n 1)"

screenshots: $(READY) ## The screenshots of docs/images, by the browser tests
	AIRFLOW_HOME=$(VENV)/airflow VTE_WATS_SCREENSHOTS=1 $(BIN)/python -m pytest -q tests/browser

test-mssql: $(READY) ## The source tests against a real SQL Server named by VTE_TEST_MSSQL_URI
	@test -n "$(VTE_TEST_MSSQL_URI)" || { echo "Set VTE_TEST_MSSQL_URI=mssql://login:password@host:1433 (a login that may create a database)"; exit 2; }
	AIRFLOW_HOME=$(VENV)/airflow $(BIN)/python -m pytest -m mssql tests

faults: $(READY) ## Every failure we know, on a real Airflow; writes docs/reliability.md
	@$(BIN)/python -m tests.faults.run

converge: $(READY) ## A plant of ten simulated days heals by itself, and no longer once a rule is taken out
	AIRFLOW_HOME=$(VENV)/airflow $(BIN)/python -m pytest -q -m "" --numprocesses=2 --dist=load tests/converge

demo: $(READY) ## Two hours of a factory into WATS, on this machine only (ONCE=1 ends with a verdict; WATS_PROFILE=strict: another WATS)
	@$(BIN)/python -m sandbox.demo --pid-file $(PID_FILE) $(if $(ONCE),--once) $(if $(WATS_PROFILE),--wats-profile $(WATS_PROFILE))

sandbox: $(READY) ## Both emulated servers alone, for an Airflow of your own
	@$(BIN)/python -m sandbox $(if $(WATS_PROFILE),--wats-profile $(WATS_PROFILE))

acceptance: $(READY) ## Measure a WATS test environment: WATS=https://… and WATS_TOKEN, or WATS=<connection id> (OPTIONS=…)
	@test -n "$(WATS)" || { echo "Name it: make acceptance WATS=https://test.wats.com, with its API token in WATS_TOKEN"; exit 2; }
	@AIRFLOW_HOME=$(CURDIR)/$(VENV)/airflow $(BIN)/python -m vte_wats.orchestration.acceptance_run "$(WATS)" $(OPTIONS)

survey: $(READY) ## Survey a VTE database into dist/survey: a sandbox's, or with VTE=env that of AIRFLOW_CONN_VTE_DEFAULT (OPTIONS=…)
	@AIRFLOW_HOME=$(CURDIR)/$(VENV)/airflow $(BIN)/python -m $(if $(VTE),vte_wats.orchestration.survey_run,sandbox.survey) $(OPTIONS)

handover: ## Collect what ran at a site into dist/handover.zip (PYTHON=/opt/venv/bin/python: that of its Airflow)
	@$(PYTHON) -m vte_wats.status.evidence --folder dist --archive dist/handover.zip

bench: $(READY) ## Measure everything side by side; writes docs/benchmarks.md (ONLY="upload mapping": some; BACKLOG=100000: that)
	@PYTHONPATH=plugins $(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(BACKLOG),--backlog $(BACKLOG))

bench-core: $(READY) ## Measure reading and mapping alone
	@PYTHONPATH=plugins $(BIN)/python -m benchmarks --only extraction mapping

package: ## One ZIP of the committed state with all that a site installs, into dist/
	@mkdir -p $(DIST)
	@for file in docker-compose.yaml .env.example; do git show $(TREE):$$file | sed -E 's/(VTE_WATS_BUILD(:-|=))[^}]+/\1$(TAG)/' > $(DIST)/$$file || exit; done
	git archive --format=zip --worktree-attributes --prefix=$(RELEASE)/ --add-virtual-file=$(RELEASE)/VERSION:$(BUILD) --add-file=$(DIST)/docker-compose.yaml --add-file=$(DIST)/.env.example --output=$(DIST)/$(RELEASE).zip $(TREE)
	@rm $(DIST)/docker-compose.yaml $(DIST)/.env.example
	@echo "$(DIST)/$(RELEASE).zip: unpack it and follow docs/installation.md"

wheel: $(READY) ## The package with DAG files, SQL and pools as one wheel for an Airflow that exists already, into dist/
	@$(if $(COMMIT),$(MAKE) --no-print-directory package && $(BIN)/python -m zipfile -e $(DIST)/$(RELEASE).zip $(DIST)/source,mkdir -p $(DIST))
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir $(DIST) $(if $(COMMIT),$(DIST)/source/$(RELEASE),.)
	@rm -rf $(DIST)/source
	@ls $(DIST)/*.whl

lock: $(READY) ## Resolve requirements*.txt into the lock files again
	$(BIN)/python -m pip install --quiet --no-deps --only-binary :all: uv==$(UV)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --upgrade requirements.txt -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --upgrade requirements-dev.txt -o requirements-dev.lock

down: ## End a demo that is still running
	@if [ -f $(PID_FILE) ]; then kill -TERM "$$(cat $(PID_FILE))" 2>/dev/null || true; while kill -0 "$$(cat $(PID_FILE) 2>/dev/null)" 2>/dev/null; do sleep 0.2; done; rm -f $(PID_FILE); else echo "no demo is running"; fi

clean: ## Remove the environment and every cache
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info plugins/*.egg-info .coverage dist
