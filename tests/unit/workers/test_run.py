import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tradewind.core.errors import Cancelled, LearnFailed, TimedOut, TooBig, Unexpected, WorkerDied
from tradewind.core.model import SILENT, Progress, Step
from tradewind.workers import run as runs

ENTRY = "serving_entries:job"
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def run(do: str, progress: Progress = SILENT, memory_mb: int = 1024, deadline_s: float = 60, **parts: bytes) -> dict[str, bytes]:
    return runs.run(ENTRY, {"do": do.encode(), **parts}, progress=progress, memory_mb=memory_mb, deadline_s=deadline_s)


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("tradewind-job-*"))


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert folders() == set()


def test_a_job_gives_its_parts_and_tells_its_steps() -> None:
    steps: list[Step] = []
    kept: list[tuple[str, bytes]] = []
    made = run("double", Progress(steps.append, lambda name, data: kept.append((name, data))), data=b"ab" * 1_000_000)
    assert made == {"made": b"ab" * 2_000_000}
    assert [(step.stage, step.fraction, step.message) for step in steps] == [("half", 0.5, "half way"), ("whole", 1.0, "")]
    assert kept == [("piece", b"kept")]


@linux_only
def test_a_job_is_niced_and_writes_in_its_own_folder_only() -> None:
    said = json.loads(run("look")["said"])
    assert said["nice"] == min(19, os.nice(0) + 10) and said["policy"] == os.SCHED_BATCH
    assert said["no_new_privs"] == "1"
    assert Path(said["folder"]).name.startswith("tradewind-job-")
    assert said["environment"]["HOME"] == said["folder"]
    assert not {"PATH", "USER", "SHELL"} & set(said["environment"])


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not group processes by session")
def test_the_session_of_a_job_gives_way_to_the_session_of_a_worker() -> None:
    assert json.loads(run("look")["said"])["session_nice"] == "10"


@linux_only
def test_a_job_reads_no_data_of_the_user_and_reaches_no_network(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("secret")
    outside = tmp_path / "written"
    made = run("reach_out", reads=json.dumps([str(secret), "/etc/passwd"]).encode(), writes=json.dumps([str(outside)]).encode())
    said = json.loads(made["said"])
    assert set(said.values()) == {"PermissionError"}, said
    assert not outside.exists()


def test_the_error_of_a_job_is_raised_here() -> None:
    with pytest.raises(LearnFailed, match="nothing was learned") as caught:
        run("fail")
    assert caught.value.hint == "more rows"
    with pytest.raises(Unexpected, match="ZeroDivisionError"):
        run("fault")
    with pytest.raises(Unexpected):
        run("not_bytes")
    with pytest.raises(Unexpected, match="no_such_job"):
        run("no_such_job")


def test_a_job_that_ends_says_its_last_words() -> None:
    with pytest.raises(WorkerDied, match="SIGABRT") as caught:
        run("die")
    assert "the last words of a job" in caught.value.hint


@pytest.mark.parametrize("do", ["endless", "silent", "flood"])
def test_a_job_has_a_deadline(do: str) -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut):
        run(do, deadline_s=1.0)
    assert time.monotonic() - began < 4


def test_a_job_has_a_memory_limit() -> None:
    with pytest.raises(TooBig, match="300 MB"):
        run("eat", memory_mb=300)


def test_a_flood_of_steps_hides_no_memory() -> None:
    with pytest.raises(TooBig, match="300 MB"):
        run("flood", memory_mb=300, eat=b"")


def test_a_listener_stops_a_job() -> None:
    def listen(step: Step) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run("endless", Progress(listen))


def test_an_error_of_the_listener_is_its_own() -> None:
    def listen(step: Step) -> None:
        raise ValueError("the listener's fault")

    with pytest.raises(ValueError, match="the listener's fault"):
        run("endless", Progress(listen))


@linux_only
def test_what_a_job_started_ends_with_it(wait_for) -> None:
    pids: list[int] = []

    def listen(step: Step) -> None:
        pids.append(int(step.message))
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run("family", Progress(listen))
    state = Path(f"/proc/{pids[0]}/stat")
    wait_for(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z", 5)


def test_a_training_library_works_in_there() -> None:
    gain = json.loads(run("learn", memory_mb=2048)["gain"])
    assert max(range(8), key=gain.__getitem__) == 0


PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
import tempfile; tempfile.tempdir = sys.argv[2]
from tradewind.core.model import Progress
from tradewind.workers.run import run
try:
    run("serving_entries:job", {"do": b"endless"}, progress=Progress(lambda step: print("step", flush=True)), memory_mb=512, deadline_s=60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@linux_only
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_job_ends_with_its_parent(how: signal.Signals, tmp_path: Path, wait_for) -> None:
    def jobs() -> list[Path]:
        return [
            path
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if str(tmp_path).encode() in _bytes(path) and b"job import" in _bytes(path)
        ]

    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(Path(__file__).parent), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(runs.__file__).parents[2])},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"step\n"
        assert jobs()
        parent.send_signal(how)
        rest = parent.stdout.read()
    assert (b"interrupted" in rest) == (how == signal.SIGINT)
    wait_for(lambda: not jobs(), 5)
    for left in folders():  # a killed parent cannot tidy up
        assert how == signal.SIGKILL
        for path in left.iterdir():
            path.unlink()
        left.rmdir()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
