"""A new model is a new folder and nothing else: its tests, command, route and card appear by themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source with demand copied in again as `affinity`."""
    root = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "src" / "tradewind", root / "tradewind", ignore=shutil.ignore_patterns("__pycache__"))
    models = root / "tradewind" / "models"
    shutil.copytree(models / "demand", models / "affinity")
    for path in (models / "affinity").glob("*.py"):
        text = path.read_text("utf-8").replace("tradewind.models.demand", "tradewind.models.affinity")
        text = re.sub(r"name=\"demand\"", 'name="affinity"', text)
        path.write_text(text.replace("demand_forecasting", "affinity_forecasting"))
    card = models / "affinity" / "card.md"
    card.write_text("# Affinity\n" + card.read_text("utf-8"))
    return root


def run(house: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(house)}
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=house, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_its_contract_tests_appear_and_pass(house: Path) -> None:
    suite = str(ROOT / "tests" / "contract" / "test_every_model.py")
    common = [
        "-m",
        "pytest",
        "--rootdir",
        str(house),
        "-c",
        os.devnull,
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        suite,
        "-k",
        "affinity",
    ]
    listed = run(house, *common, "--collect-only", "-q")
    assert listed.count("affinity") >= 8
    assert "passed" in run(house, *common, "-q", "-k", "affinity and (declares or (dump_and_load and (naive or boosted)))")


def test_its_command_and_card_appear(house: Path, tmp_path: Path) -> None:
    run(house, "-m", "tradewind", "init", str(tmp_path / "w"))
    said = json.loads(run(house, "-m", "tradewind", "card", "affinity", "--json", "--workspace", str(tmp_path / "w")))
    assert said["answer"]["words"].startswith("# Affinity")


def test_its_route_appears(house: Path, tmp_path: Path) -> None:
    code = f"""
import json, tradewind
from starlette.testclient import TestClient
from tradewind.http.app import build
desk = tradewind.open({str(tmp_path / "w")!r})
token = desk.create_token("admin").fact("token")
with TestClient(build(desk), base_url="http://127.0.0.1") as client:
    head = {{"Authorization": "Bearer " + token}}
    names = client.get("/api/v1/models", headers=head).json()
    predict = client.post("/api/v1/models/affinity/predict", headers=head, json={{"horizon": 3}})
    card = client.get("/api/v1/models/affinity/card", headers=head)
    print(json.dumps([names, predict.status_code, predict.json()["code"], card.status_code]))
"""
    names, status, problem, card = json.loads(run(house, "-W", "ignore", "-c", code).splitlines()[-1])
    assert "affinity" in json.dumps(names)
    assert (status, problem, card) == (409, "TW0425", 200)
