#!/bin/sh
# Make the environment that every other command uses. Needs Python 3.11 or later; run again after pyproject.toml changes.
set -eu
python=$(command -v python3.11 || command -v python3)
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group test --group check
.venv/bin/python -m compileall -q src # as pip does where it copies: a jailed worker writes no byte code and would compile at every start
touch .venv/.ready
