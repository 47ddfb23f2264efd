# Each target does its own set-up: Python 3.11 or newer, make and pip are enough (test-peers also uses apt-get).
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo test test-peers pictures bench chaos fuzz deb sbom licences lock lint format clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "posdiag needs Python 3.11 or newer; give one with make PYTHON=python3.12" >&2; exit 2; }
	@echo 'Installing posdiag and all it needs into .venv: two minutes or so, this once.'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[center,simulator,dev]'
	@touch $(STAMP)

demo: install
	$(BIN)/posdiag demo

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not peers'

test-peers: install
	sh tests/peers/install.sh
	$(BIN)/python -m pytest -m peers tests/peers
	$(BIN)/python -m pytest -n 2 --dist worksteal -m peers tests/center

# The pictures of the README, as the browser shows the demo.
pictures: install
	sh tests/peers/install.sh
	POSDIAG_PICTURES=1 $(BIN)/python -m pytest -m peers tests/peers/console/test_story.py

bench: install
	$(BIN)/python -m tests.bench

chaos: install
	$(BIN)/python -m tests.chaos
	$(BIN)/python -m tests.chaos.forged
	$(BIN)/python -m tests.chaos.center --broker mosquitto

fuzz: install
	$(BIN)/python -m tests.fuzz --minutes 30
	$(BIN)/python -m tests.center.test_api_schema 200

# The Debian package of the daemon in dist/, with the list of all that is in it (CycloneDX) beside it.
deb: install
	deploy/debian/build

sbom: deb
	@ls dist/*.cdx.json

licences: deb
	$(BIN)/python deploy/debian/sbom.py --licences "$$(ls -t dist/*.cdx.json | head -1)"

# Newest versions of what the package carries, with the hashes of their wheels.
lock: install
	$(BIN)/python deploy/debian/lock.py

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python deploy/debian/audit.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-bench .venv-peers build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
