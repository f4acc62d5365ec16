# make run, make test, make lint, make clean: need only Python 3.11 or newer, make and git.
# make describe: write everruns/api/openapi.json and llms.txt from the code.
# make install: install the locked requirements of a server, Litestream included; see docs/DEPLOY.md.
# make dist: build the source distribution and the wheel into dist/.
# make lock: update deploy/requirements.lock to the newest versions.
# make audit: search the lock for known vulnerabilities, the code for weaknesses and the Git history for secrets.
# make screenshots: write the screenshots in docs/ (apt-get install chromium-headless-shell fonts-dejavu-core).
# make stress: run tests/stress at full length, in about an hour, and print the figures of docs/TRUST.md; STRESS_FACTOR=1: in a minute or two.
# make mutation: change the code, function by function, and see whether a test fails; hours. It goes on where it was stopped.
# make mutation MUTANTS='everruns.store.counts*': try some again. rm -rf mutants: forget all results.
# make mutation-survivors: list the mutants that no test noticed; .venv-mutation/bin/mutmut show NAME: show one.
# make bench, make bench-10m: write docs/BENCHMARKS.md (apt-get install wrk).
# make bench-alternatives: measure what would be faster, for docs/DECISIONS.md.

PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE  # tests start many processes, which would compile everything again
export EVERRUNS_DATABASE ?= $(CURDIR)/instance/everruns.db
KEY_FILE := $(EVERRUNS_DATABASE).demo-key

.PHONY: run install test lint clean describe dist lock audit stress mutation mutation-survivors screenshots bench bench-10m bench-alternatives

run: .venv/runtime
	@$(BIN)/python -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", $(PORT)))' 2>/dev/null \
	  || { echo "Port $(PORT) is taken or not allowed. Stop what uses it, or choose another: make run PORT=8001" >&2; exit 1; }
	@$(BIN)/everruns init-db
	@key=$$($(BIN)/everruns demo --if-empty) || exit 1; \
	  if [ -n "$$key" ]; then (umask 077; echo "$$key" > "$(KEY_FILE)"); fi
	@echo
	@echo "Everruns Sessions on http://127.0.0.1:$(PORT); Ctrl-C stops it. In another terminal:"
	@echo
	@if [ -s "$(KEY_FILE)" ]; then key=$$(cat "$(KEY_FILE)"); else key=YOUR_API_KEY; fi; \
	  echo "  curl -H 'Authorization: Bearer $$key' 'http://127.0.0.1:$(PORT)/v1/sessions?limit=2'"; \
	  echo; \
	  echo "Or open http://127.0.0.1:$(PORT)/ in a browser, and paste the key: $$key"
	@echo
	@exec $(BIN)/gunicorn --config deploy/gunicorn.conf.py --bind 127.0.0.1:$(PORT) app:app

install: .venv/server

test: .venv/dev
	$(BIN)/pytest --ignore=tests/stress

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

describe: .venv/dev
	$(BIN)/python -m tools.describe

dist: .venv-audit/ready
	.venv-audit/bin/python -m build --outdir dist

lock: .venv-audit/ready
	.venv-audit/bin/pip-compile --quiet --generate-hashes --upgrade --extra replicas --all-build-deps --allow-unsafe --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --output-file deploy/requirements.lock pyproject.toml

audit: .venv-audit/ready
	.venv-audit/bin/bandit --quiet --recursive everruns app.py deploy
	.venv-audit/bin/python .ci/secrets.py
	.venv-audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes --requirement deploy/requirements.lock \
	  || { echo "The lock has known vulnerabilities, listed above. If packages were not found on PyPI, its advisory service is unreachable; retry later." >&2; exit 1; }

STRESS_FACTOR ?= 100
stress: .venv/dev
	STRESS_FACTOR=$(STRESS_FACTOR) $(BIN)/pytest tests/stress --numprocesses=0

mutation: .venv-mutation/ready
	.venv-mutation/bin/mutmut run $(MUTANTS)
	@$(MAKE) --no-print-directory mutation-survivors

mutation-survivors: .venv-mutation/ready
	@.venv-mutation/bin/mutmut results | sed '/: not checked$$/d'
	@.venv-mutation/bin/mutmut export-cicd-stats
	@cat mutants/mutmut-cicd-stats.json

bench: BENCH_SIZES = 1000,1000000
bench-10m: BENCH_SIZES = 1000,1000000,10000000
bench bench-10m: .venv-bench/ready
	@command -v wrk taskset >/dev/null || { echo "wrk and taskset are needed. On Debian: apt-get install wrk util-linux" >&2; exit 1; }
	.venv-bench/bin/python -m bench --sizes $(BENCH_SIZES)

bench-alternatives: .venv-bench/ready
	.venv-bench/bin/python -m bench.alternatives

screenshots: .venv/dev
	@command -v chromium-headless-shell >/dev/null || { echo "chromium-headless-shell is needed. On Debian: apt-get install chromium-headless-shell fonts-dejavu-core" >&2; exit 1; }
	$(BIN)/python -m tools.screenshots

clean:
	rm -rf .venv .venv-bench .venv-audit .venv-mutation mutants bench/data dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or newer is needed as '$(PYTHON)'; name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 \
	  || { rm -rf .venv; echo "'$(PYTHON) -m venv' does not work here. On Debian: apt-get install python3-venv" >&2; exit 1; }

.venv/runtime: .venv/bin/python pyproject.toml
	@echo "Installing into .venv"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/server: .venv/bin/python pyproject.toml deploy/requirements.lock
	@echo "Installing deploy/requirements.lock into .venv"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
	@touch $@ .venv/runtime

.venv/dev: .venv/bin/python pyproject.toml
	@echo "Installing into .venv, with development requirements"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@for release in 0.1.2 0.1.10 0.2.1; do \
	  $(BIN)/pip install --quiet --disable-pip-version-check --upgrade --no-deps --target .venv/sdk-$$release everruns-sdk==$$release || exit 1; done
	@touch $@ .venv/runtime

.venv-audit/ready: .venv/bin/python
	@echo "Installing into .venv-audit"
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/pip install --quiet --disable-pip-version-check bandit build detect-secrets pip-audit pip-tools
	@touch $@

.venv-bench/ready: .venv/bin/python pyproject.toml
	@echo "Installing into .venv-bench, with benchmark requirements"
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

.venv-mutation/ready: .venv/bin/python pyproject.toml
	@echo "Installing into .venv-mutation, with development requirements and mutmut"
	@$(PYTHON) -m venv .venv-mutation
	@.venv-mutation/bin/pip install --quiet --disable-pip-version-check --editable '.[dev,mutation]'
	@touch $@
