# Everything a newcomer or CI types. `make run` and `make test` do all their own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test all venv dev format format-check lint types coverage explore bench chaos clean

$(VENV)/.run: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: setup.cfg pyproject.toml clients/python/setup.cfg $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -e 'clients/python[cli,ws]'
	@touch $@

venv: $(VENV)/.run

dev: $(VENV)/.dev

run: venv
	$(BIN)/glockd $(ARGS)

test: dev
	$(BIN)/python -X dev -m pytest $(ARGS)

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format-check: dev
	$(BIN)/ruff format --check .

lint: dev
	$(BIN)/ruff check .

types: dev
	$(BIN)/mypy glockd tester tests bench clients/python/glock

coverage: dev
	$(BIN)/python -X dev -m coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

explore: dev
	$(BIN)/python -m pytest tests/test_core_properties.py tests/test_wire_properties.py --hypothesis-profile=explore

bench: dev
	$(BIN)/python bench/figures.py $(ARGS)
	$(BIN)/python bench/python_client.py

chaos: dev
	$(BIN)/glockd-tester chaos --seconds 60 $(ARGS)

all: format-check lint types test

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage* htmlcov
