# Each target does its own set-up: on a fresh machine one command is enough.
#   make venv         .venv with everything in it, and the LAMMPS plugin compiled
#   make quickstart   the whole chain on bundled data: quickstart/report.html
#   make test         every check that needs no hours
#   make lint         ruff, mypy, clang-format
#   make docs         docs/options.md anew, from config.py, and the pages: docs/_build/html/docs/index.html
#   make bench        speed beside mace-torch and symmetrix-xl; wants an idle machine
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := $(shell find moalloy_md/native -name '*.cpp' -o -name '*.h' -o -name CMakeLists.txt)
TORCH := $(addprefix moalloy_md/native/lammps/,pair_mace.% local_graph.% torch_%)
NATIVE := $(filter-out $(TORCH),$(SOURCES))

.PHONY: venv quickstart test test-slow lint format docs bench clean FORCE

venv: $(VENV)/.ready

# torch first and pinned, or pip fetches gigabytes of CUDA libraries.
$(VENV)/.packages: pyproject.toml constraints.txt CMakeLists.txt | $(VENV)/.modules
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "expected Python 3.11 or newer, found $$($(PYTHON) --version): make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "install torch and the other packages into $(VENV) (a few minutes)"
	$(PIP) install --constraint constraints.txt torch
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.engine

# An editable installation knows each module by its path, so it has to be made again where one comes,
# goes or moves (git pull). The list is written where it differs.
$(VENV)/.modules: FORCE
	@mkdir -p $(VENV)
	@find moalloy_md -name '*.py' | LC_ALL=C sort > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# The engine and the plugin with mace/native are compiled when the package is installed; again when
# one of their sources changes. make comes here after an installation too (it looked before), when
# nothing is left to do: find spares a minute.
$(VENV)/.engine: $(VENV)/.packages $(VENV)/.modules $(NATIVE)
	test -e $@ && test -z "$$(find $(VENV)/.modules $(NATIVE) -newer $@)" || $(PIP) install --no-deps --editable .
	touch $@

$(VENV)/.ready: $(VENV)/.engine $(SOURCES)
	$(BIN)/moalloy plugin build
	touch $@

quickstart: venv
	$(BIN)/moalloy quickstart --out quickstart

test: venv lint
	$(BIN)/pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

test-slow: venv
	$(BIN)/pytest -m slow

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(filter %.cpp %.h,$(SOURCES))

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(filter %.cpp %.h,$(SOURCES))

docs: venv
	$(BIN)/python docs/generate_options.py
	$(BIN)/sphinx-build -q -W --keep-going -c docs -b html . docs/_build/html

bench: venv
	$(BIN)/python benchmarks/engine_speed.py

clean:
	rm -rf $(VENV) build dist quickstart
