# Everything from a clone on: Python 3.11 and make are all that is needed.
#
#   make demo [DATA=file] [EXIT=1] [AA=1]   the whole job on a demonstration shop
#   make serve                              the product on its own, lasting data
#   make dev                                the same, starting again when code changes
#   make test | test-faults | test-slow     the suites ([ARGS=...] for pytest)
#   make check                              the gate; runs no tests
#   make bench [BENCH=name]                 benchmarks, results in benchmarks/results
#   make validate-statistics                the validation grid, written to docs/validation
#   make lock                               locks from requirements/*.in
#   make clean                              removes var/ and caches

SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
PIP := $(PY) -m pip --disable-pip-version-check
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header
# The CPU build for Python 3.11 on x86-64 Linux, which is on no general index.
TORCH_CPU := sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

.DEFAULT_GOAL := help
.PHONY: help install demo serve dev test test-faults test-slow check bench \
	validate-statistics lock clean

help:
	@sed -n 's/^#   //p' Makefile

install: $(VENV)/.app

demo: $(VENV)/.app
	@$(PY) manage.py demo $(if $(DATA),--data "$(DATA)") $(if $(EXIT),--exit) \
		$(if $(AA),--aa)

serve: $(VENV)/.app
	@$(PY) manage.py serve

dev: $(VENV)/.app
	@$(PY) manage.py serve --reload

test: $(VENV)/.dev
	@$(PY) -m pytest -n logical --maxprocesses 8 $(ARGS)

test-faults: $(VENV)/.dev
	@$(PY) -m pytest -m faults $(ARGS)

test-slow: $(VENV)/.dev
	@$(PY) -m pytest -m slow -s $(ARGS)

# What check --deploy is asked about: a shop's settings, none of them real.
PRODUCTION := SHIPWORTHY_ENVIRONMENT=production SHIPWORTHY_HTTPS=true \
	SHIPWORTHY_DATA_DIR=var/check DATABASE_URL=postgresql://none@127.0.0.1:9/none \
	REDIS_URL=redis://127.0.0.1:9 LAKE_URL=var/check/lake ARTIFACTS_URL=var/check/artifacts \
	SHIPWORTHY_ALLOWED_HOSTS=shop.example \
	SHIPWORTHY_SECRET_KEY=not-a-secret-but-sixty-characters-of-0123456789-abcdefghijk \
	SHIPWORTHY_UNIT_KEY=not-a-secret-but-sixty-characters-of-9876543210-abcdefghijk

check: $(VENV)/.dev
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@said=$$($(VENV)/bin/lint-imports --no-logo) || { echo "$$said"; exit 1; }
	@$(VENV)/bin/djlint templates --check --lint --quiet
	@$(PRODUCTION) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING
	@$(VENV)/bin/mypy .

bench: $(VENV)/.dev
	@$(PY) -m benchmarks $(BENCH)

validate-statistics: $(VENV)/.app
	@$(PY) -m benchmarks.validation $(ARGS)

clean:
	rm -rf var staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

lock: $(VENV)/.uv
	$(LOCK) requirements/bootstrap.in -o requirements/bootstrap.txt
	$(LOCK) requirements/app.in -o requirements/app.txt
	$(LOCK) requirements/dev.in -o requirements/dev.txt
	$(LOCK) requirements/torch.in -c requirements/app.txt -o requirements/torch-index.txt
	$(LOCK) --no-deps requirements/torch.in -o requirements/torch.txt
	sed -i.old 's/^torch==.*/&\n    --hash=$(TORCH_CPU) \\/' requirements/torch.txt
	rm requirements/torch.txt.old

# The stamps make a second run instant; a changed lock makes them stale.
$(VENV)/.uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV), once"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(VENV)/.torch: requirements/torch.txt requirements/torch-index.txt $(VENV)/.uv
	@VENV=$(VENV) sh requirements/install-torch.sh
	@touch $@

$(VENV)/.app: requirements/app.txt $(VENV)/.uv $(VENV)/.torch
	@$(UV) pip install --quiet --python $(PY) --require-hashes -r requirements/app.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.app
	@$(UV) pip install --quiet --python $(PY) --require-hashes -r requirements/dev.txt
	@touch $@
