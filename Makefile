# `make search` and `make test` work on a machine with git, make and Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
ARGS ?=
# Tests are compiled once and kept, also where the shell asks for no bytecode: 6 s in each process.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: search test quick fuzz numbers docs lint clean

search: $(READY)
	$(VENV)/bin/hwkd search --device cortex-m7 $(ARGS)

# Work is stolen rather than dealt out: tests of one file share what they prepare.
test: $(READY)
	$(VENV)/bin/pytest -n auto --dist worksteal $(ARGS)

quick: $(READY)
	$(VENV)/bin/pytest -n auto --dist worksteal -m "not slow" $(ARGS)

# Damaged ONNX files and data through the public entry points; COUNT=10000 for a night.
COUNT ?= 1000
FUZZ ?= fuzz
fuzz: $(READY)
	$(VENV)/bin/hwkd search --device cortex-m7 --trials 3 --no-final --out $(FUZZ)/run
	$(VENV)/bin/hwkd export $(FUZZ)/run --trial 0 --format onnx,onnx-int8 --out $(FUZZ)/files
	$(VENV)/bin/python -m benchmarks.robustness.fuzz_onnx $(FUZZ)/files/*.onnx --count $(COUNT) --out $(FUZZ)/faults
	$(VENV)/bin/python -m benchmarks.robustness.data_mutants --count $(COUNT)
	$(VENV)/bin/python -m benchmarks.robustness.readers --count $(COUNT)

# Benchmarks that take a minute at most; `python -m benchmarks.NAME` renews another one.
CHEAP := accuracy.cost_single_operators accuracy.cost_new_board accuracy.cost_model_families \
	accuracy.cost_other_boards accuracy.cost_new_stack accuracy.cost_intervals accuracy.cost_order \
	accuracy.hwkd_c_cycles \
	accuracy.memory_tflm accuracy.memory_zoo speed.cost_speed speed.screening
numbers: $(READY)
	@for name in $(CHEAP); do $(VENV)/bin/python -m benchmarks.$$name || true; done
	$(VENV)/bin/python -m tools.numbers_page

# Pages to open in a browser, without a network: build/site/index.html.
docs: $(READY)
	$(VENV)/bin/python -m sphinx -q --keep-going -W docs build/site

lint: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# Installed again only when the requirements change.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hwkd needs Python 3.11 or later; run: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get update && apt-get install -y --no-install-recommends python3-venv; } || \
		{ echo "Python's venv module is missing; run: sudo apt-get install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,dashboard,docs,cmsis-nn,ethos,text,tflite]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
