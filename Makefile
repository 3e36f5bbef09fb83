# Two commands matter: `make lab` opens the course, `make test` runs every test. Either may come first, and both may be
# repeated: they install only what is missing or has changed. Variables, all optional:
#   PYTHON=python3.12    the Python to make .venv with (3.11 or newer); otherwise the first that fits is taken
#   TORCH_INDEX=...      install PyTorch from this index (PyTorch's own CPU wheels are much smaller; see README.md)
#   LAB_ARGS=...         passed to JupyterLab, for example LAB_ARGS="--no-browser --port 9000"
#   PYTEST_ARGS=...      passed to pytest, for example PYTEST_ARGS="-k schedule"
#   JOBS=2               test processes at a time
#   REPO=me/mine         for `make fork`: whose course this is to be; RELEASE=v0.2.0, the tag that it is installed from

VENV ?= .venv
PYTHON ?=
TORCH_INDEX ?=
LAB_ARGS ?=
PYTEST_ARGS ?=
JOBS ?= 2

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
PYTEST := $(PY) -m pytest
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
# Empty while the environment works and belongs to this folder; otherwise (first time, folder moved) everything is installed again.
REDO := $(shell { $(PY) -c '' && test "$$(cat $(VENV)/.home)" = "$$PWD"; } 2>/dev/null || echo FORCE)

# The notebooks' kernel is the one of .venv, whatever else the user has installed.
export JUPYTER_PREFER_ENV_PATH = 1

.DEFAULT_GOAL := help
.PHONY: help lab my teacher test test-library test-notebooks test-browser test-fast test-all lint format notebooks build site test-site pins latest colab small fork clean FORCE

help: ## show this list
	@awk -F ':.*## ' '/^##@ /{print "\n" substr($$0, 5)} /^[a-z-]+:.*## /{printf "  make %-16s%s\n", $$1, $$2}' Makefile

##@ For learners

lab: my ## install what is missing, copy the notebooks to my/, open the course in JupyterLab
	@echo "Opening my/00_start_here.ipynb in JupyterLab; press Ctrl-C here to stop it."
	env $$($(PY) -m course_lib.command.machine) $(PY) -m jupyterlab my/00_start_here.ipynb --LabApp.extension_manager=readonly $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS)

my: $(VENV)/.lab ## copy new notebooks to my/; your work there is never overwritten
	@$(PY) -m course_staff copy-notebooks --source notebooks --target my

clean: ## remove .venv, builds and caches (never my/, runs/ or grades/)
	rm -rf $(VENV) .venv-latest build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find course_lib course_checks course_staff tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

##@ For teachers

teacher: $(VENV)/.test ## install what building and grading need, and say whether there is a box to grade in
	@$(PY) -c 'from course_lib.command.doctor import grading; print(grading())'

fork: ## make the course yours: make fork REPO=me/mine changes every link, badge and install cell
	@$(or $(wildcard $(PY)),python3) -m course_staff fork "$(REPO)" $(if $(RELEASE),--release "$(RELEASE)")

##@ For contributors

test: $(VENV)/.test ## run every test: library, notebooks, browser
	@$(MAKE) --no-print-directory --keep-going -j1 test-library test-notebooks test-browser

test-library: $(VENV)/.test ## the library's tests
	OMP_NUM_THREADS=1 $(PYTEST) -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not browser" tests $(PYTEST_ARGS)

test-notebooks: $(VENV)/.test ## run the solved notebooks and compare their marked outputs (nbval)
	$(PYTEST) --nbval-lax --nbval-current-env --nbval-cell-timeout 300 notebooks/solutions $(PYTEST_ARGS)

test-browser: $(VENV)/.test ## the tests that drive a real Chromium
	$(PYTEST) -m browser tests/browser $(PYTEST_ARGS)

test-fast: $(VENV)/.test ## the library's tests without those marked slow
	OMP_NUM_THREADS=1 $(PYTEST) -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not browser and not slow" tests $(PYTEST_ARGS)

test-all: test ## every test, every notebook with the widget libraries that Colab has, and what nbgrader makes of them
	tests/colab_pins.sh $(VENV)
	tests/nbgrader.sh $(VENV)

lint: $(VENV)/.test ## ruff (lint and format, notebook sources included) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.test ## let ruff mend what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

build: $(VENV)/.test ## build the student notebooks from notebooks/source
	$(PY) -m course_lib build

site: $(VENV)/.test ## build the site from the executed notebooks and docs/ into build/site, without network
	$(PY) -m course_staff site

test-site: $(VENV)/.test ## build the site and look at it with a real Chromium
	$(PYTEST) -m browser tests/browser/test_site_in_browser.py $(PYTEST_ARGS)

pins: $(VENV)/.test ## write requirements*.txt from the versions now in .venv
	$(PY) -m course_staff pins

latest: ## run every test with the newest versions that pyproject.toml allows, in an environment of its own
	@$(MAKE) --no-print-directory VENV=.venv-latest .venv-latest/.test
	$(if $(TORCH_INDEX),.venv-latest/bin/python -m pip install --upgrade --index-url "$(TORCH_INDEX)" "torch<3")
	.venv-latest/bin/python -m pip install --upgrade --upgrade-strategy eager --editable ".[test]"
	@$(MAKE) --no-print-directory VENV=.venv-latest test

colab: $(VENV)/.test ## run every notebook with the versions of Colab's widgets, IPython and numpy
	tests/colab_pins.sh $(VENV)

small: $(VENV)/.test ## run every notebook on one core with 2 GB of memory, and list what each took
	$(PY) -m course_staff small-machine

$(VENV)/.lab: requirements.txt pyproject.toml $(REDO)
	@VENV="$(VENV)" TORCH_INDEX="$(TORCH_INDEX)" sh scripts/venv.sh $(CANDIDATES)
	@touch $@

$(VENV)/.test: $(VENV)/.lab requirements-test.txt
	@echo "Installing what the tests need on top."
	$(PIP) install -r requirements-test.txt
	@touch $@
