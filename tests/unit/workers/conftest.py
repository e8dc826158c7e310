"""What the tests of the workers share: entries that a child can import, and a pool that leaves nothing behind."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.workers.pool import Pool


@pytest.fixture(autouse=True)
def _entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Return a pool whose processes are all gone at the end."""
    with Pool(deadline_s=20, spare=False) as one:
        yield one
        pids = [state.pid for state in one.held().values()]
    assert not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    """Tell whether a process exists, zombies included."""
    if sys.platform.startswith("linux"):
        return Path(f"/proc/{pid}").exists()
    return False


@pytest.fixture
def wait_for():
    """Return a function that waits until a condition holds, or fails."""

    def wait(condition, seconds: float = 10.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.01)

    return wait
