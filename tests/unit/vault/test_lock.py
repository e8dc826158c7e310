import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tradewind.core.errors import Busy
from tradewind.vault.lock import alone


def test_one_at_a_time_and_free_again(tmp_path: Path) -> None:
    with alone(tmp_path, "train-demand"):
        with pytest.raises(Busy, match="already running"), alone(tmp_path, "Train-Demand"):
            pass
        with alone(tmp_path, "train-churn"):
            pass
    with alone(tmp_path, "train-demand"):
        pass


def test_a_strange_name_stays_in_the_folder(tmp_path: Path) -> None:
    with alone(tmp_path / "locks", "../../up/ä"):
        pass
    assert [path.parent.name for path in tmp_path.rglob("*.lock")] == ["locks"]


def test_waiting_gets_it(tmp_path: Path) -> None:
    held, freed = threading.Event(), threading.Event()

    def hold() -> None:
        with alone(tmp_path, "load"):
            held.set()
            freed.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    threading.Timer(0.1, freed.set).start()
    began = time.monotonic()
    with alone(tmp_path, "load", wait_s=5):
        assert time.monotonic() - began >= 0.05
    thread.join()


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from tradewind.vault.lock import alone
with alone(Path(sys.argv[1]), "load"):
    os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with alone(tmp_path, "load"):
        pass
