# `make` lists the targets. Those that run something set up .venv first, once; a stamp in .venv says what is in it
# and is written last, so that an interrupted installation is taken up again.

.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUNTIME := $(VENV)/.installed-core-ros
DEVELOPMENT := $(VENV)/.installed-dev
DOCUMENTATION := $(VENV)/.installed-docs

# The first Python that really runs (a pyenv shim may not) and that the ROS wheels are built for.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := python3.11 python3.12 python3.13 python3.10 python3
PYTHON ?= $(firstword $(foreach name,$(CANDIDATES),$(if $(shell $(name) -c '$(FITS)' 2>/dev/null && echo yes),$(name))))

# With a ROS 2 distribution sourced, its own packages (and its Python) are used instead of the wheels.
SOURCED_ROS := test -n "$${AMENT_PREFIX_PATH:-}" && python3 -c 'import rclpy' 2>/dev/null
ON_ROBOT := grep -q 'include-system-site-packages = true' $(VENV)/pyvenv.cfg

# What `make demo` looks at: SOURCE=scene (default), folder, video, bag or a device's number, with its path.
SOURCE ?=
FOLDER ?=
VIDEO ?=
BAG ?=
DEMO_PATH = $(or $(FOLDER),$(VIDEO),$(BAG))
# FUSION=stereo or odometry: what the demo ties the scale to.
FUSION ?=
DEMO_ARGS ?=
BENCHMARK_ARGS ?=
# One worker a core, up to four; PYTEST_ARGS='-n 0' runs the tests in one process, for a debugger or for `-s`.
PARALLEL := -n logical --maxprocesses 4
PYTEST_ARGS ?=

.PHONY: help venv demo test test-all lint parameters docs benchmark clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 12

venv: $(DEVELOPMENT)  ## set up .venv with everything, tests' tools included

demo: $(RUNTIME)  ## run the nodes on a camera: SOURCE=folder FOLDER=path, video VIDEO=, bag BAG=, 0; DEMO_ARGS=
	@$(BIN)/python -m depth_pro_ros demo $(if $(SOURCE),--source '$(SOURCE)') $(if $(DEMO_PATH),--path '$(DEMO_PATH)') \
	  $(if $(FUSION),--fusion '$(FUSION)') $(DEMO_ARGS)

test: $(DEVELOPMENT)  ## run the tests, without the slow ones; PYTEST_ARGS=
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-all: $(DEVELOPMENT)  ## run every test, one after the other: some need most of the memory; PYTEST_ARGS=
	@$(BIN)/python -m pytest -m '' $(PYTEST_ARGS)

lint: $(DEVELOPMENT)  ## check style, docstrings and the core's types
	@$(BIN)/python -m ruff check .
	$(BIN)/python -m flake8
	$(BIN)/python -m mypy

parameters: $(RUNTIME)  ## rewrite the parameter files and the README's tables from the tables in the code
	@$(BIN)/python -m depth_pro_ros.ros.parameter_docs

docs: $(DOCUMENTATION)  ## build the documentation into site/
	@$(BIN)/properdocs build --strict --config-file mkdocs.yml

benchmark: $(DEVELOPMENT)  ## measure this machine, all or one of BENCHMARK_ARGS=network|stereo|motion|fusion|node|...
	@$(BIN)/python -m depth_pro_ros benchmark $(BENCHMARK_ARGS)

clean:  ## remove what builds, tests and demos leave (not .venv)
	@rm -rf build install log site demo_output .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

$(RUNTIME): requirements/core.txt requirements/ros.txt requirements/robot.txt setup.py
	@$(make_venv)
	if $(ON_ROBOT); then
	  $(PIP) install -r requirements/robot.txt $(keep_numpy)
	  $(BIN)/python -c 'import cv2, numpy, PIL, rclpy, sensor_msgs, torch, tqdm, transforms3d, yaml' || {
	    echo "A package is missing beside the sourced ROS 2: run 'rosdep install -i -y --from-paths .', install PyTorch" \
	      "(on a Jetson NVIDIA's wheel), then call make again." >&2
	    exit 1
	  }
	else
	  $(PIP) install -r requirements/core.txt -r requirements/ros.txt
	fi
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(DEVELOPMENT): $(RUNTIME) $(addprefix requirements/,dev.txt export.txt download.txt train.txt)
	@$(PIP) install $(addprefix -r requirements/,dev.txt export.txt download.txt train.txt) \
	  $$(if $(ON_ROBOT); then echo $(keep_numpy); fi)
	touch $@

$(DOCUMENTATION): $(RUNTIME) requirements/docs.txt
	@$(PIP) install -r requirements/docs.txt
	touch $@

# A robot's cv_bridge is built against its NumPy, so nothing may bring another one.
keep_numpy = "numpy==$$($(BIN)/python -c 'import numpy; print(numpy.__version__)')"

define make_venv
	if $(BIN)/python -m pip --version >/dev/null 2>&1; then
	  :
	elif $(SOURCED_ROS); then
	  echo "Setting up $(VENV) beside the ROS 2 in $$(command -v python3)"
	  python3 -m venv --clear --system-site-packages $(VENV)
	elif [ "$$(uname -sm)" != "Linux x86_64" ]; then
	  echo "The ROS 2 wheels exist for Linux on x86-64 only, and this is $$(uname -sm). On a Jetson or another" \
	    "computer: source your ROS 2 (source /opt/ros/DISTRO/setup.bash) and call make again." >&2
	  exit 1
	elif [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(FITS)' 2>/dev/null; then
	  echo "No Python 3.10 to 3.13 with venv found (tried: $(or $(PYTHON),$(CANDIDATES))). Install one, on Debian and" \
	    "Ubuntu 'sudo apt install python3 python3-venv', or name one: make PYTHON=/path/to/python3.12" >&2
	  exit 1
	else
	  echo "Setting up $(VENV) with $$($(PYTHON) --version)"
	  $(PYTHON) -m venv --clear $(VENV)
	fi
endef
