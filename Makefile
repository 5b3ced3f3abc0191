# `make demo` and `make test` make an environment in .venv first, once.
# PYTHON=python runs any of them in the environment that is active, and installs nothing.
# CUDA=1 compiles mmcv's ops for the GPU (needs nvcc). STACK=onedl takes the onedl-* packages, which
# are made for today's torch, in .venv-onedl.

device := $(if $(filter 1,$(CUDA)),cuda,cpu)
ifeq ($(origin PYTHON),command line)
ready :=
else
venv := .venv$(if $(filter onedl,$(STACK)),-onedl)
PYTHON := $(venv)/bin/python
ready := $(venv)/.ready$(if $(filter cuda,$(device)),-cuda)
endif

# One thread for each test worker: more workers than cores is what makes a torch suite slow.
PYTEST = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --maxprocesses 4 --dist worksteal
HOST_TESTS = $(wildcard tests/test_nbn*.py tests/test_surgery*.py tests/test_host*.py)

.PHONY: help setup doctor demo demo-cls test test-slow test-onedl lint docs bench

help:
	@echo "make setup       an environment in .venv; CUDA=1 for the GPU, STACK=onedl for the onedl-* packages"
	@echo "make demo        train and compare two models on a miniature LVIS"
	@echo "make demo-cls    train and compare classifiers on two small long-tailed sets"
	@echo "make test        the test suite; make test-slow: the long tests"
	@echo "make test-onedl  the tests of norms and surgery against the onedl-* packages"
	@echo "make lint        ruff"
	@echo "make bench       every benchmark at a small size, into benchmarks/RESULTS.md"
	@echo "make docs        the documentation as a site in build/docs"
	@echo "make doctor      what is wrong with the environment, and what fixes it"
	@echo "PYTHON=python    use the active environment instead of .venv"

setup: $(ready)

.venv/.ready .venv/.ready-cuda: setup.py constraints.txt tools/setup_env.sh $(wildcard mmdet_ltnorm/norms/backends/cpu/csrc/*)
	tools/setup_env.sh .venv openmmlab $(device)

.venv-onedl/.ready .venv-onedl/.ready-cuda: setup.py constraints.txt tools/setup_env.sh
	tools/setup_env.sh .venv-onedl onedl $(device)

doctor: $(ready)
	$(PYTHON) tools/doctor.py

demo: $(ready)
	$(PYTHON) tools/demo.py

demo-cls: $(ready)
	$(PYTHON) tools/demo_cls.py

test: $(ready)
	$(PYTEST)

test-slow: $(ready)
	$(PYTEST) -m slow

test-onedl: PYTHON := .venv-onedl/bin/python
test-onedl: .venv-onedl/.ready
	$(PYTEST) $(HOST_TESTS)

lint: $(ready)
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check

docs: $(ready)
	$(PYTHON) -m pip install --quiet --constraint constraints.txt --editable '.[docs]' --no-build-isolation
	$(PYTHON) -m sphinx -W -q -b html docs build/docs
	@echo "See build/docs/index.html"

bench: $(ready)
	$(PYTHON) benchmarks/run_all.py
