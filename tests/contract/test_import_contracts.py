"""The import contracts hold, and each one fails when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BREAKS = {
    "Floors": ("core/schema.py", "import tradewind.vault.keys"),
    "Rooms are blind to each other": ("training/score.py", "import tradewind.data.read"),
    "The models do not know each other": ("models/demand/naive.py", "import tradewind.models.twin"),
    "Only the desk reads the settings": ("actions/data.py", "import tradewind.settings"),
    "Keys and signatures are the vault's": ("registry/artifact.py", "import cryptography.fernet"),
    "The ledger's driver is the vault's": ("actions/data.py", "import sqlite3"),
    "duckdb is the data room's": ("actions/data.py", "import duckdb"),
    "fastapi is for http and web": ("cli/main.py", "import fastapi"),
    "optuna is the training room's": ("actions/data.py", "import optuna"),
    "No circles": ("core/errors.py", "def late() -> None:\n    import tradewind.core.table"),
    "A folder on no storey": ("attic/__init__.py", '"""Nothing."""'),
}

CONTRACTS = set(BREAKS) - {"Floors", "Rooms are blind to each other", "A folder on no storey"}


def lint(folder: Path) -> tuple[int, str]:
    code = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    twin = folder / "src" / "tradewind" / "models" / "twin"
    twin.mkdir()
    (twin / "__init__.py").write_text('"""A second model."""\n')
    return folder


def test_the_contracts_are_kept(copy: Path) -> None:
    status, said = lint(copy)
    assert status == 0, said[-3000:]


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_contract_is_seen(copy: Path, name: str) -> None:
    file, line = BREAKS[name]
    path = copy / "src" / "tradewind" / file
    before = path.read_text("utf-8") if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text((before or "") + f"\n{line}\n")
    try:
        status, said = lint(copy)
        assert status == 1, said[-2000:]
        contract = name if name in CONTRACTS else "Floors: arrows only go down"
        assert f"{contract} BROKEN" in said, said[-2000:]
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before)
