# Needs python3 (3.10 or newer, with venv), git and make; every target installs what it uses into .venv.
# `make PYTHON=python3.12 test` takes another Python for a new .venv; `make test ARGS="-k lstm"` passes arguments on.

PYTHON ?= python3
ARGS   ?=

PY     := .venv/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check install -q
PYTEST := $(PY) -m pytest

DEMO   = .venv/bin/rnnref survey onnxruntime --html report.html --report-only

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:           # all targets share one .venv
.PHONY: help demo picture notebooks site site-test test kernels test-peers exam coverage package oldest first-gpu test-gpu sanitize-gpu soak-gpu bench-gpu \
	probe-gpu lint bench bench-suite bench-loops tune clean distclean

help:  ## list the targets
	@awk 'BEGIN { FS = ":.*##  *" } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/.verify  ## are onnxruntime's RNN, GRU and LSTM right?  Prints the verdict, writes report.html
	$(DEMO) $(ARGS)

picture: .venv/.peers  ## the report that README.md shows, of a layer with a fault: rnnref/check/report.svg
	$(PY) -m tests.support.readme_picture

notebooks: .venv/.dev  ## run all notebooks at full size and store what they show (needs g++); tests run them at smaller sizes
	$(PY) -m tests.core.test_notebooks $(ARGS)

site: .venv/.site  ## build build/site: notebooks, a page for every cell, all names; PYODIDE=folder: to run in the browser too
	$(PY) notebooks/site/build.py

site-test: .venv/.site  ## open every page of build/site in headless Chromium
	$(PY) notebooks/site/check.py $(ARGS)

test: .venv/.dev  ## tests and doctests, without other frameworks and without a GPU
	$(PYTEST) -n auto --dist worksteal -m "not peers and not gpu and not kernels and not exam" $(ARGS)

kernels: .venv/.kernels  ## CUDA kernels without a GPU: run on the CPU (needs g++), and compiled for every card
	@command -v g++ >/dev/null || { echo "make kernels: no g++ on PATH; it compiles kernels for the CPU" \
		"(Debian, Ubuntu: apt-get install g++)" >&2; exit 1; }
	@mkdir -p build; $(PY) -m tests.kernels.compile_check >build/compiled.txt 2>&1 & check=$$!; \
	$(PYTEST) tests -n auto --dist worksteal -m kernels $(ARGS); ran=$$?; wait $$check; checked=$$?; cat build/compiled.txt; \
	test $$ran = 0 -a $$checked = 0

test-peers: .venv/.peers  ## tests against torch, keras, flax and jax, and with processes of MPI (a larger download)
	KERAS_BACKEND=$${KERAS_BACKEND:-torch} $(PYTEST) tests -n auto --dist loadfile -m peers $(ARGS)

exam: .venv/.peers  ## what networks learn on digits, MNIST and made-up tasks, and 2,500 right candidates of the checker: an hour
	$(PYTEST) tests -m exam -s $(ARGS)

coverage: .venv/.peers  ## branch coverage of the tests, with the lines that none of them reaches
	$(PY) -m coverage erase
	KERAS_BACKEND=$${KERAS_BACKEND:-torch} $(PYTEST) -n auto --dist loadfile -m "not gpu and not exam" --cov --cov-report= $(ARGS)
	$(PY) -m coverage report

# What `pip install rnnref` gives: tests run beside the installed package, from a folder that has no source of it.
# Pages that only a checkout has are tested there.
package: .venv/.dev  ## build the wheel and the source archive, install the wheel into a new environment, test that
	rm -rf build/package dist && mkdir -p build/package
	$(PY) -m build -q && $(PY) -m tests.support.package_contents dist
	$(PYTHON) -m venv build/package/venv
	build/package/venv/bin/python -m pip --disable-pip-version-check install -q "$$(ls dist/*.whl)[verify,plot,dev]"
	cp -r tests notebooks setup.cfg README.md CONTRIBUTING.md Makefile build/package
	cd build/package && venv/bin/python -m pytest tests --ignore tests/core/test_readme.py -n auto --dist worksteal -m "not peers and not gpu and not kernels and not exam" $(ARGS)

OLDEST ?= python3.10
oldest:  ## tests with the oldest Python and NumPy that are supported: OLDEST=python3.10
	$(OLDEST) -m venv build/oldest
	build/oldest/bin/python -m pip --disable-pip-version-check install -q "numpy==2.0.*" -e ".[verify,plot,dev]"
	build/oldest/bin/python -m pytest -n auto --dist worksteal -m "not peers and not gpu and not kernels and not exam" $(ARGS)

# A machine with a card may hold nothing but a Python with CuPy: `make PY=python3 test-gpu` takes that as it is.
GPU_NEEDS = $(if $(filter command,$(origin PY)),,.venv/.dev $(if $(CUDA),.venv/.cuda$(CUDA)))

first-gpu: $(GPU_NEEDS)  ## all that a first run on a card must show, in 9 minutes: results.jsonl and a summary in OUT
	@PY=$(PY) bash tests/bench/first_gpu.sh

test-gpu: $(GPU_NEEDS)  ## tests on a CUDA device; CUDA=12 or CUDA=13 installs CuPy for it
	@$(PY) -m tests.bench.device
	$(PYTEST) tests/gpu tests/tf1/test_tf1_cudnn.py \
		-m gpu -n 8 --dist worksteal -W default $(ARGS)

sanitize-gpu: $(GPU_NEEDS)  ## kernels under compute-sanitizer on a CUDA device
	@$(PY) -m tests.bench.sanitizer

soak-gpu: $(GPU_NEEDS)  ## ten minutes of random shapes on a CUDA device, each held to the plain code in float64
	$(PY) -m tests.bench.soak $(ARGS)

bench-gpu: $(GPU_NEEDS)  ## time LSTM and GRU on a CUDA device, beside torch's
	$(PY) -m tests.bench.gpu $(ARGS)

probe-gpu: $(GPU_NEEDS)  ## what the card really does: barriers, clusters, launches
	$(PY) -m tests.bench.gpu_probe $(ARGS)

lint: .venv/.dev  ## flake8, isort and mypy
	$(PY) -m flake8 rnnref tests setup.py
	$(PY) -m isort --check-only --diff rnnref tests setup.py
	$(PY) -m mypy

bench: .venv/.peers  ## layers on this CPU beside torch, onnxruntime and others, training by 1, 2, ... processes; ARGS="--peers torch jax --sizes grid"
	$(PY) -m tests.bench.peers $(ARGS)
	$(PY) -m tests.bench.processes

bench-suite: .venv/.peers  ## the same layers as a suite of pytest-benchmark, into build/bench.json; PEERS="torch jax"
	@mkdir -p build
	$(PYTEST) tests/bench/bench_layers.py -n0 -q -W default --benchmark-json=build/bench.json $(ARGS)

bench-loops: .venv/.dev  ## the loops as ratios to their matrix products, small calls, the import
	$(PY) -m tests.bench $(ARGS)

tune: .venv/.dev  ## measure the forms of products on this processor: rnnref/cpu/products.json
	$(PY) -m tests.bench.tune $(ARGS)

clean:  ## remove what tests, tools and builds wrote
	rm -rf build dist report.html .pytest_cache .mypy_cache .hypothesis .benchmarks
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

distclean: clean  ## and .venv too
	rm -rf .venv rnnref.egg-info

# .venv: one stamp for each set of extras, older than setup.cfg when that has changed.

.venv/bin/pip:          # written last, so a .venv that stopped half way is made again
	$(PYTHON) -m venv .venv

.venv/.verify: setup.cfg setup.py | .venv/bin/pip
	$(PIP) -e ".[verify]"
	@touch $@

.venv/.dev: setup.cfg setup.py | .venv/bin/pip
	$(PIP) -e ".[verify,plot,dev]"
	@touch .venv/.verify $@

.venv/.kernels: .venv/.dev
	$(PIP) -e ".[kernels]"
	@touch $@

.venv/.site: .venv/.dev
	$(PIP) -e ".[site]"
	@touch $@

.venv/.peers: .venv/.dev
	$(PIP) -e ".[peers,mpi]"
	@touch $@

.venv/.cuda12 .venv/.cuda13: .venv/.dev
	$(PIP) -e ".[$(@:.venv/.%=%)]"
	@touch $@
