PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup sweep test test-slow test-browser check gpu gpu-wheels clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
		{ echo "tsbench needs Python 3.11 to 3.14, which its torch is built for; type make PYTHON=python3.12 (or where" \
		"it is)."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

sweep: setup
	$(BIN)/python -m tsbench sweep experiment=quick

# Two processes of one thread each: most of a test is Python, which threads do not speed up.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-browser: setup
	$(BIN)/python -m pytest -m browser

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# With the machine's own Python where there is no .venv: PYTHONPATH=… make gpu PACK=gpu.tar.gz SECONDS_LEFT=540
GPU_PYTHON ?= $(if $(wildcard $(READY)),$(BIN)/python,$(PYTHON))
PACK ?= gpu.tar.gz
SECONDS_LEFT ?= 100000

gpu:
	PYTHONPATH=.:$(PYTHONPATH) $(GPU_PYTHON) benchmarks/gpu.py --pack $(PACK) --seconds $(SECONDS_LEFT)

# What a machine with CUDA, Python 3.12, torch, NumPy and Pillow needs beside them to run `make gpu`, in wheels/.
gpu-wheels: setup
	$(BIN)/python benchmarks/gpu_wheels.py wheels

clean:
	rm -rf .venv results/quick
