PY := .venv/bin/python
.PHONY: demo test check fix bench docs clean
.venv/.ready: pyproject.toml ; @sh scripts/setup.sh
demo: .venv/.ready ; @$(PY) -m tradewind demo shop $(if $(filter 0,$(SERVE)),--no-serve)
test: .venv/.ready check ; @sh scripts/chromium.sh && $(PY) -m pytest
check: .venv/.ready ; @$(PY) -m ruff format --check . && $(PY) -m ruff check . && $(PY) -m mypy && .venv/bin/lint-imports
fix: .venv/.ready ; @$(PY) -m ruff format . && $(PY) -m ruff check --fix .
bench: .venv/.ready ; @$(PY) -m benchmarks --all
docs: .venv/.ready ; @$(PY) -m scripts.docs
clean: ; @rm -rf .venv shop dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
