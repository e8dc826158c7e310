"""`make demo` as a stranger types it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from benchmarks._result import Result, Row, at_most
from benchmarks._run import ROOT, SURROUNDINGS, Failed, child, temporary

CHECK = "make demo in a clean clone, installation included, < 12 minutes for all eleven models; then curl and page answer"
LIMIT_S = 2400


def run() -> Result:
    """Clone, `make demo`, then predict and look at the page; stop the server at the end."""
    with temporary() as folder:
        clone = folder / "tradewind"
        child(["git", "clone", "--quiet", str(ROOT), str(clone)])
        log = folder / "log"
        start = time.perf_counter()
        with log.open("wb") as out:
            process = subprocess.Popen(["make", "demo"], cwd=clone, stdout=out, stderr=out, env=_bare(), start_new_session=True)
        try:
            ready = _wait(process, log, start)
            answer = _predict(clone)
            page = urllib.request.urlopen("http://127.0.0.1:8321/", timeout=20).read().decode()
        finally:
            _stop(process)
        commit = child(["git", "rev-parse", "--short", "HEAD"], cwd=clone).out.strip()
    return Result(
        (
            at_most("make demo until it serves", ready, 720, unit="s"),
            Row("curl as printed", f"{len(answer['answer']['rows'])} rows", "", "30 rows or more", len(answer["answer"]["rows"]) >= 30),
            Row("the page", f"{len(page):,} bytes", "", "HTML", "<html" in page.lower()),
        ),
        (f"commit {commit}; only what is committed is cloned; pip's download cache of this machine is {'used' if _cached() else 'empty'}",),
    )


def _bare() -> dict[str, str]:
    return {
        name: value for name, value in SURROUNDINGS.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "TRADEWIND_WORKSPACE", "MAKEFLAGS")
    }


def _wait(process: subprocess.Popen[bytes], log: Path, start: float) -> float:
    while time.perf_counter() - start < LIMIT_S:
        if process.poll() is not None:
            raise Failed(f"make demo ended with {process.returncode}: {log.read_text('utf-8', 'replace')[-800:]}")
        try:
            with urllib.request.urlopen("http://127.0.0.1:8321/readyz", timeout=2) as response:
                if response.status == 200:
                    return time.perf_counter() - start
        except OSError:
            time.sleep(0.5)
    raise Failed(f"make demo did not serve within {LIMIT_S} s: {log.read_text('utf-8', 'replace')[-800:]}")


def _predict(clone: Path) -> dict:
    """Ask what the README's curl asks."""
    body = json.dumps({"horizon": 30, "where": {"product": _product(clone)}}).encode()
    token = (clone / "shop" / "demo.token").read_text().strip()
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request("http://127.0.0.1:8321/api/v1/models/demand/predict", body, head)
    with urllib.request.urlopen(request, timeout=20) as response:
        return dict(json.loads(response.read()))


def _product(clone: Path) -> str:
    shown = child([str(clone / ".venv" / "bin" / "tradewind"), "-w", "shop", "show", "products", "--limit", "1", "--json"], cwd=clone)
    return str(shown.data["answer"]["rows"][0]["product"])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _cached() -> bool:
    pip = shutil.which("pip")
    return bool(pip) and any((Path.home() / ".cache" / "pip").glob("*"))
