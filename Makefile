# Everything sets itself up: `make demo` and `make test` work on a fresh clone with nothing but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Lava lives in a folder of its own (see docs/design.md); SNNCC_LAVA points to it.
export SNNCC_LAVA ?= $(CURDIR)/.lava

.PHONY: demo test lint bench zoo zoo-record results setup frameworks clean

setup: $(STAMP) $(SNNCC_LAVA)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .[dev]
	touch $@

$(SNNCC_LAVA): | $(STAMP)
	$(BIN)/snncc setup loihi-sim

# Two trained networks, both targets, real images: what each printed line means is in README.md.
demo: setup
	$(BIN)/snncc models
	$(BIN)/snncc compile mnist-multi-threshold --target fixed-sim
	$(BIN)/snncc verify build/mnist-multi-threshold.fixed-sim --data mnist:demo --max-accuracy-drop 0.5
	$(BIN)/snncc profile build/mnist-multi-threshold.fixed-sim --energy --costs loihi2 --data mnist:demo
	$(BIN)/snncc compile mnist-lif --target loihi-sim
	$(BIN)/snncc verify build/mnist-lif.loihi-sim --data mnist:demo --max-accuracy-drop 0.5
	$(BIN)/snncc profile build/mnist-lif.loihi-sim --energy --data mnist:demo --html build/mnist-lif.html

# As many tests at once as there are processors; TESTS="tests/cli -k verify" runs some of them.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(TESTS)

# The training frameworks whose live networks snncc reads; the tests compare with them.
frameworks: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r requirements-frameworks.txt

# A link tree shows the plug-in folders where they are imported, which type checkers follow.
lint: $(STAMP)
	rm -rf .link && mkdir -p .link/snncc
	ln -s $(CURDIR)/snncc/* .link/snncc/
	ln -s $(CURDIR)/passes $(CURDIR)/targets $(CURDIR)/models .link/snncc/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd .link && MYPYPATH=. ../$(BIN)/mypy --config-file ../pyproject.toml -p snncc

# The integer engine against its peers; docs/benchmarks.md. About an hour; QUICK=1 takes a minute.
bench: setup frameworks
	$(BIN)/python -m benchmarks.peers $(if $(QUICK),--quick)

# Every trained network through compile, verify and profile, on its whole test set or on the first LIMIT images.
zoo: setup
	$(BIN)/python -m benchmarks.zoo $(if $(LIMIT),--limit $(LIMIT))

zoo-record: setup
	$(BIN)/python -m benchmarks.zoo --record

# docs/results.md from recipes, training logs and records.
results: setup
	$(BIN)/python -m benchmarks.zoo --table

clean:
	rm -rf $(VENV) .lava .link build dist runs .pytest_cache .hypothesis .ruff_cache .mypy_cache *.egg-info
