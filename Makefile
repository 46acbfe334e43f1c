# One command for each thing that a person does with this repository. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
APPS := amp catalog devices billing alerts
CODE := manage.py $(APPS) tests $(wildcard bench)
# What the checks need to load Django's settings: no service, no file outside a temporary directory.
CHECK := env AMP_MODE=demo DATABASE_URL=sqlite://:memory: DJANGO_SETTINGS_MODULE=amp.settings
# Where no person reads the product's own words.
UNTRANSLATED := $(VENV) tests bench
# pytest arguments, for example: make test ARGS="tests/rules -k trial"
ARGS ?=
# How many tests run side by side; and how many journeys, each of which starts the whole product and then mostly waits.
WORKERS ?= 2
JOURNEYS ?= 3
# What was compiled for one run is there for the next one and for the product's own processes, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=
# How many requests `make prove` makes up for the API; `make test` makes 1,300.
FUZZ ?= 25000
# How many orders `make prove` plays under the gateways' faults; `make test` plays 40.
ORDERS ?= 1000
# How many devices come online at once in `make prove`; 300 in `make test`.
CROWD ?= 10000
# How many small histories `make prove` simulates, and how large a fleet for how many years; `make test`: 50; 200 for 1.
SEEDS ?= 500
DEVICES ?= 200
YEARS ?= 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format types contracts migrations migrated schema messages bench prove lock venv clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/runtime ## Run the whole product on this machine, with simulated devices; Ctrl-C ends it
	@AMP_MODE=demo exec $(BIN)/python manage.py demo

test: test-packages $(VENV)/dev ## Install what is missing, then run every check and every test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync types migrated lint contracts migrations
	@$(BIN)/python -m pytest -m "not journey" -n $(WORKERS) --dist worksteal $(ARGS); quick=$$?; \
	$(BIN)/python -m pytest -m journey -n $(JOURNEYS) --dist loadgroup $(ARGS); journeys=$$?; \
	if [ $$quick -eq 5 ] && [ $$journeys -eq 5 ]; then echo "No test matches." >&2; exit 5; fi; \
	for code in $$quick $$journeys; do case $$code in 0|5) ;; *) exit $$code;; esac; done

lint: $(VENV)/dev ## Check style and banned calls
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(VENV)/dev ## Rewrite the code in the house's style
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(VENV)/dev ## Check types
	$(CHECK) $(BIN)/mypy

contracts: $(VENV)/dev ## Check who imports whom
	$(BIN)/lint-imports --no-cache

migrations: $(VENV)/dev ## Check that models and migrations agree
	$(CHECK) $(BIN)/python manage.py makemigrations --check --dry-run

# The first test that wants a database migrates one, on one core, while the others wait: so it comes beside the types.
migrated: $(VENV)/dev
	$(BIN)/python -m pytest -q tests/stack/test_emptying.py

schema: $(VENV)/runtime ## Write the API's description to docs/openapi.json
	$(CHECK) $(BIN)/python manage.py schema

messages: $(VENV)/runtime ## Collect the texts and compile the translations; needs gettext
	$(CHECK) $(BIN)/python manage.py makemessages --locale zh_Hans --no-location --no-obsolete --no-wrap $(UNTRANSLATED:%=--ignore %)
	$(CHECK) $(BIN)/python manage.py compilemessages --locale zh_Hans --ignore $(VENV)

bench: test-packages $(VENV)/dev ## Measure the product against its limits; BENCH_SCALE sets the number of devices
	$(BIN)/python -m bench

prove: test-packages $(VENV)/dev ## Run the journeys alone, with real processes; FUZZ made-up requests; ORDERS under faults
	AMP_EVERY_PAGE=all AMP_MONEY_ORDERS=$(ORDERS) AMP_CROWD=$(CROWD) $(BIN)/python -m pytest -m journey $(ARGS)
	AMP_FUZZ_REQUESTS=$(FUZZ) $(BIN)/python -m pytest tests/api/test_fuzzing.py
	AMP_MONEY_ORDERS=$(ORDERS) $(BIN)/python -m pytest -m "not journey" tests/money
	AMP_SIM_SEEDS=$(SEEDS) AMP_SIM_DEVICES=$(DEVICES) AMP_SIM_YEARS=$(YEARS) $(BIN)/python -m pytest tests/simulation

lock: $(VENV)/dev ## Resolve the versions in pyproject.toml anew, into the two lock files
	$(LOCK) pyproject.toml --extra sentry --output-file requirements.lock
	$(LOCK) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock

venv: $(VENV)/dev ## Make .venv with everything that the checks need

clean: ## Remove .venv and what tools left; the demo's data stays
	rm -rf $(VENV) .static .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov

LOCK := env UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links

.PHONY: test-packages
test-packages:
	@bash .ci/system-packages test

# The stamps make a second run quick: pip is asked again only when a lock file changed.
$(VENV)/runtime: requirements.lock | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# The larger lock holds the same versions of everything in the smaller one.
$(VENV)/dev: requirements-dev.lock | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@ $(VENV)/runtime

$(VENV)/pyvenv.cfg:
	@PYTHON=$(PYTHON) bash .ci/system-packages python
	$(PYTHON) -m venv $(VENV)
