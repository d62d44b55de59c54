# Two commands do everything: `make demo` and `make test`. Both make .venv first if it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 1
JOBS ?= 2
DEMO := VIDEVAL_HOME=$(CURDIR)/demo/home VIDEVAL_DATA_ROOT=$(CURDIR)/demo/data
export OMP_NUM_THREADS ?= 1

.PHONY: install demo test lint chaos clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install
	$(DEMO) $(BIN)/videval prepare MovingShapes
	$(DEMO) $(BIN)/videval run MovingShapes_8frame Video-LLaVA-tiny --devices 'cpu*2' --output demo/outputs
	@echo
	@echo 'The demo has a home of its own. To look at it:  VIDEVAL_HOME=demo/home $(BIN)/videval dashboard'

test: install
	$(BIN)/python -m pytest tests --numprocesses $(JOBS) --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: install
	$(BIN)/python -m pytest tests/chaos --seeds $(SEEDS)

clean:
	rm -rf $(VENV) build dist *.egg-info demo outputs
