import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tradewind.core.errors import BadValue, InvalidInput, NotFound, NotReady, TimedOut, TooBig, Unexpected, WorkerDied
from tradewind.workers import pool as pools
from tradewind.workers.child import ECHO
from tradewind.workers.pool import Pool

ANY = "serving_entries:open_any"
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def ask(pool: Pool, text: str, name: str = "one", **options) -> bytes:
    return pool.call(name, text.encode(), **options)


def hold(pool: Pool, name: str = "one", entry: str = ANY, **options) -> None:
    pool.hold(name, entry, lambda: {"a": b"part a", "b": b""}, **options)


def children() -> set[int]:
    """Return the processes this one has started and not yet forgotten, zombies included."""
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        found |= {int(pid) for pid in path.read_text().split()}
    return found


def test_a_request_goes_in_and_a_reply_comes_out(pool: Pool) -> None:
    hold(pool)
    assert ask(pool, "echo hello") == b"hello"
    assert ask(pool, "echo ") == b""
    assert ask(pool, "part a") == b"part a"
    assert ask(pool, "part b") == b""
    assert ask(pool, "threads") == b"4"


def test_what_was_there_before_the_first_request_is_never_collected_and_what_comes_later_is(pool: Pool) -> None:
    hold(pool)
    collects, kept, walked = json.loads(ask(pool, "garbage"))
    assert collects and kept > 10_000 and walked < 2000


def test_a_name_is_started_once(pool: Pool) -> None:
    opened = []

    def parts():
        opened.append(1)
        return {}

    with ThreadPoolExecutor(8) as several:
        list(several.map(lambda _: pool.hold("one", ANY, parts), range(8)))
    assert opened == [1]
    assert len(pool.held()) == 1


def test_prepare_gets_the_words_before_the_lock(pool: Pool) -> None:
    hold(pool, words=("demand", "boosted"))
    assert json.loads(ask(pool, "words")) == ["demand", "boosted"]


def test_what_was_not_imported_before_the_lock_cannot_be(pool: Pool) -> None:
    hold(pool)
    with pytest.raises(Unexpected, match=r"ModuleNotFoundError|ImportError|PermissionError") as caught:
        ask(pool, "late_import")
    assert "prepare()" in caught.value.hint
    assert ask(pool, "echo on") == b"on"


def test_nothing_of_our_environment_reaches_a_worker(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_PASSPHRASE", "secret")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/evil.py")
    hold(pool)
    environment, path, arguments = json.loads(ask(pool, "environment"))
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert "secret" not in json.dumps([environment, path, arguments])
    assert not {"PYTHONSTARTUP", "PATH", "USER"} & set(environment)
    assert "" not in path


def test_a_worker_imports_no_large_library(pool: Pool) -> None:
    pool.hold("one", ANY, dict)
    loaded = set(json.loads(ask(pool, "modules")))
    assert not {"polars", "pandas", "lightgbm", "scipy", "sklearn", "pyarrow", "cryptography", "sqlite3"} & loaded


def test_the_error_of_the_model_is_raised_here(pool: Pool) -> None:
    hold(pool)
    with pytest.raises(BadValue, match="price must be positive") as caught:
        ask(pool, "bad_value")
    assert caught.value.hint == "look at it"
    assert caught.value.fields == ({"pointer": "/rows/0/price", "message": "-1"},)
    with pytest.raises(Unexpected, match="ZeroDivisionError: a fault") as fault:
        ask(pool, "fault")
    assert "serving_entries.py, line" in fault.value.hint
    with pytest.raises(Unexpected, match="instead of bytes"):
        ask(pool, "not_bytes")
    assert ask(pool, "warn") == b"warned"
    assert pool.held()["one"].calls == 4


def test_memory_is_limited_and_the_worker_goes_on(pool: Pool) -> None:
    hold(pool)
    pid = pool.held()["one"].pid
    with pytest.raises(TooBig, match="memory"):
        ask(pool, "much_memory")
    assert ask(pool, "echo on") == b"on"
    assert pool.held()["one"].pid == pid


def test_an_endless_request_is_stopped_and_the_next_is_answered(pool: Pool) -> None:
    hold(pool)
    before = pool.held()["one"].pid
    began = time.monotonic()
    with pytest.raises(TimedOut):
        ask(pool, "spin", deadline_s=0.5)
    assert time.monotonic() - began < 2
    assert not Path(f"/proc/{before}").exists()
    assert ask(pool, "echo on") == b"on"
    assert pool.held()["one"].pid != before


def test_a_worker_that_ends_is_replaced_once(pool: Pool) -> None:
    opened = []

    def parts():
        opened.append(1)
        return {}

    pool.hold("one", ANY, parts)
    with pytest.raises(WorkerDied) as caught:
        ask(pool, "die_talking")
    assert "the last words of a worker" in caught.value.hint
    assert len(opened) == 2
    assert ask(pool, "echo on") == b"on"
    assert len(opened) == 3


def test_a_worker_killed_while_idle_costs_no_request(pool: Pool) -> None:
    hold(pool)
    for _ in range(3):
        os.kill(pool.held()["one"].pid, signal.SIGKILL)
        assert ask(pool, "echo on") == b"on"


def test_many_threads_share_one_worker(pool: Pool) -> None:
    hold(pool)

    def several(seed: int) -> None:
        for at in range(100):
            said = f"{seed}-{at}".encode() * (seed % 7 + 1)
            assert pool.call("one", b"echo " + said) == said

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(several, range(16)))
    assert pool.held()["one"].calls == 1600


def test_large_requests_and_replies_from_many_threads_do_not_block_each_other(pool: Pool) -> None:
    hold(pool)
    large = os.urandom(8 << 20)

    def one(at: int) -> bool:
        if at % 2:
            return pool.call("one", b"echo " + large) == large
        return len(ask(pool, "big 8000000")) == 8_000_000

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(one, range(12)))


def test_fifty_megabytes(pool: Pool) -> None:
    pool.hold("echo", ECHO, dict)
    large = os.urandom(50 << 20)
    assert pool.call("echo", large) == large


def test_a_request_that_waits_in_line_does_not_kill_the_one_being_worked_on(pool: Pool) -> None:
    hold(pool)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(ask, pool, "sleep 1.0")
        time.sleep(0.2)
        with pytest.raises(TimedOut):
            ask(pool, "echo impatient", deadline_s=0.2)
        assert slow.result() == b"slept"
    assert ask(pool, "echo on") == b"on"


def test_work_that_everybody_gave_up_does_not_go_on(pool: Pool) -> None:
    """The endless request stood in line behind a slow one, and its caller had left when its turn came."""
    hold(pool)
    worker = pool._seats["one"].workers[0]
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(ask, pool, "sleep 0.6")
        time.sleep(0.1)
        with pytest.raises(TimedOut):
            ask(pool, "spin", deadline_s=0.2)
        assert not worker.dead
        assert slow.result() == b"slept"
    assert worker.dead
    assert ask(pool, "echo on") == b"on"


def test_others_survive_the_death_of_their_worker(pool: Pool) -> None:
    """One request hangs and is stopped; those behind it are answered by the replacement."""
    hold(pool)
    with ThreadPoolExecutor(9) as threads:
        stuck = threads.submit(ask, pool, "spin", deadline_s=1.0)
        time.sleep(0.2)
        behind = [threads.submit(ask, pool, f"echo {at}") for at in range(8)]
        assert [one.result() for one in behind] == [str(at).encode() for at in range(8)]
        with pytest.raises(TimedOut):
            stuck.result()


def test_poison_does_not_take_its_neighbours_along(pool: Pool) -> None:
    hold(pool)

    def one(at: int) -> bytes | None:
        if at % 10:
            return ask(pool, f"echo {at}")
        with pytest.raises(WorkerDied):
            ask(pool, "die")
        return None

    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(one, range(40)))
    assert [reply for at, reply in enumerate(replies) if at % 10] == [str(at).encode() for at in range(40) if at % 10]


def test_a_lying_worker_is_ended(pool: Pool) -> None:
    hold(pool)
    with pytest.raises(WorkerDied):
        ask(pool, "lie")
    assert ask(pool, "echo on") == b"on"


def test_a_reply_over_the_limit_is_an_error_and_not_our_memory(pool: Pool) -> None:
    hold(pool)
    with pytest.raises(TooBig, match="256 MB"):
        ask(pool, "big 268435457")
    assert ask(pool, "echo on") == b"on"


def test_a_talkative_worker_does_not_block(pool: Pool) -> None:
    hold(pool)
    assert ask(pool, "talk") == b"still here"
    assert ask(pool, "talk") == b"still here"


def test_drop_waits_for_what_is_in_flight(pool: Pool) -> None:
    hold(pool)
    pid = pool.held()["one"].pid
    with ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(ask, pool, "sleep 0.3") for _ in range(3)]
        time.sleep(0.1)
        pool.drop("one")
        assert all(one.done() for one in slow)
        assert [one.result() for one in slow] == [b"slept"] * 3
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(NotFound):
        ask(pool, "echo on")
    pool.drop("one")
    hold(pool)
    assert ask(pool, "echo on") == b"on"


def test_a_switch_under_load_fails_no_request(pool: Pool) -> None:
    """Hold the new one, route to it, drop the old one, twenty times, while four threads ask."""
    serving = ["v0"]
    hold(pool, "v0")
    over = threading.Event()

    def load() -> int:
        asked = 0
        while not over.is_set():
            try:
                assert ask(pool, "echo x", serving[0]) == b"x"
            except NotFound:  # routed a moment before the switch, asked a moment after: the caller routes again
                assert ask(pool, "echo x", serving[0]) == b"x"
            asked += 1
        return asked

    with ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(load) for _ in range(4)]
        for version in range(1, 8):
            hold(pool, f"v{version}")
            old, serving[0] = serving[0], f"v{version}"
            pool.drop(old)
        over.set()
        assert sum(one.result() for one in loads) > 100


@pytest.mark.parametrize(
    ("entry", "kind", "says"),
    [
        ("serving_entries:open_dead", WorkerDied, "exit status 3"),
        ("serving_entries:open_bad", BadValue, "not a model"),
        ("serving_entries:no_such_function", Unexpected, "no_such_function"),
        ("no_such_module_anywhere:open", NotFound, "no_such_module_anywhere"),
        ("serving_entries", InvalidInput, "not an entry"),
        ("os;evil:open", InvalidInput, "not an entry"),
    ],
)
def test_an_entry_that_cannot_open_leaves_nothing(pool: Pool, entry: str, kind: type[Exception], says: str) -> None:
    before = children()
    with pytest.raises(kind, match=says):
        hold(pool, entry=entry)
    assert pool.held() == {}
    assert children() == before
    with pytest.raises(NotFound):
        ask(pool, "echo on")


def test_parts_that_raise_leave_nothing(pool: Pool) -> None:
    def parts():
        raise BadValue("sealed otherwise")

    with pytest.raises(BadValue, match="sealed otherwise"):
        pool.hold("one", ANY, parts)
    assert pool.held() == {}


def test_opening_has_a_deadline(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind.workers.worker.START_S", 1.0)
    with pytest.raises(TimedOut, match="did not open"):
        hold(pool, entry="serving_entries:open_slow")
    assert pool.held() == {}


def test_several_workers_per_name_work_at_once() -> None:
    others = children()
    with Pool(per_version=2, spare=False) as pool:
        hold(pool)
        assert len(children() - others) == 2
        began = time.monotonic()
        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(lambda _: ask(pool, "sleep 1.5"), range(2))) == [b"slept"] * 2
        assert time.monotonic() - began < 2.8
        os.kill(pool.held()["one"].pid, signal.SIGKILL)
        assert ask(pool, "echo on") == b"on"
        assert pool.held()["one"].calls >= 3


@linux_only
def test_a_spare_makes_the_next_start_quick_and_close_ends_it() -> None:
    before = children()
    pool = Pool()
    hold(pool)
    assert len(children() - before) == 2
    time.sleep(1)
    began = time.perf_counter()
    hold(pool, "two")
    assert time.perf_counter() - began < 0.25
    assert ask(pool, "echo on", "two") == b"on"
    pool.close()
    assert children() == before
    with pytest.raises(NotReady):
        hold(pool)
    pool.close()


@linux_only
def test_a_dead_spare_is_not_used() -> None:
    with Pool() as pool:
        hold(pool)
        (spare,) = pool._spares.values()
        os.kill(spare.pid, signal.SIGKILL)
        hold(pool, "two")
        assert ask(pool, "echo on", "two") == b"on"


@linux_only
def test_close_ends_calls_in_flight_and_leaves_no_process() -> None:
    before = children()
    pool = Pool(spare=False)
    hold(pool)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(ask, pool, "sleep 30")
        time.sleep(0.2)
        pool.close()
        with pytest.raises((WorkerDied, NotReady)):
            slow.result(timeout=5)
    assert children() == before


@linux_only
def test_a_pool_nobody_holds_any_more_ends_its_workers() -> None:
    before = children()
    pool = Pool()
    hold(pool)
    del pool
    gc.collect()
    assert children() == before


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tradewind.workers.pool import Pool
pool = Pool()
pool.hold("one", "serving_entries:open_any", dict)
import threading
if sys.argv[2] == "busy":
    threading.Thread(target=pool.call, args=("one", b"spin"), daemon=True).start()
    time.sleep(0.2)
print(pool.held()["one"].pid, *(spare.pid for spare in pool._spares.values()), flush=True)
time.sleep(100)
"""


@linux_only
@pytest.mark.parametrize("busy", ["busy", "idle"])
def test_workers_end_when_the_parent_is_killed(busy: str, wait_for) -> None:
    source = str(Path(pools.__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(Path(__file__).parent), busy], stdout=subprocess.PIPE, env={"PYTHONPATH": source}
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids), 5)


@linux_only
def test_a_worker_nobody_waits_for_runs_out_of_cpu(pool: Pool, monkeypatch: pytest.MonkeyPatch, wait_for) -> None:
    """The parent's thread gave up while another request was worked on; the CPU limit ends what is left."""
    monkeypatch.setattr("tradewind.workers.worker._cpu_for", lambda seconds: 1)
    monkeypatch.setattr("tradewind.workers.worker._CPU_FIXED_S", 1)
    hold(pool)
    pid = pool.held()["one"].pid
    worker = pool._seats["one"].workers[0]
    worker._send(b"spin", time.monotonic() + 1, 1.0)  # nobody waits for the reply
    wait_for(lambda: worker.process.over(), 15)
    assert worker.process.how_it_ended() == "SIGXCPU"
    assert ask(pool, "echo on") == b"on"
    assert pool.held()["one"].pid != pid


def test_the_cpu_limit_moves_on_with_the_calls(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(pool)
    worker = pool._seats["one"].workers[0]
    moved: list[int] = []
    monkeypatch.setattr(type(worker.process), "allow_cpu", lambda process, seconds: moved.append(seconds))
    for _ in range(50):
        ask(pool, "echo x", deadline_s=2)
    assert len(moved) <= 2  # not with every call
    worker._allowed_at -= 2  # two seconds later
    ask(pool, "echo x", deadline_s=2)
    ask(pool, "echo x", deadline_s=100)  # a call that may take longer than what was allowed
    assert moved[-2:] == [18, 410]


def test_an_interrupted_call_does_not_mix_up_replies(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a message: the worker is replaced, so that half a reply is never taken for another."""
    hold(pool)
    worker = pool._seats["one"].workers[0]
    real = worker._channel._read

    class Interrupting(type(worker._channel)):
        __slots__ = ()

        def _read(self, size, until):
            super()._read(size, until)
            raise KeyboardInterrupt

    assert real
    channel = worker._channel
    channel.__class__ = Interrupting
    with pytest.raises(KeyboardInterrupt):
        ask(pool, "echo first")
    assert worker.dead
    assert ask(pool, "echo second") == b"second"


def test_isolation_is_reported_without_a_model() -> None:
    with Pool(spare=False) as pool:
        report = pool.isolation()
    assert report["level"] in ("full", "degraded")
    assert (report["level"] == "degraded") == bool(report["why"])
    if sys.platform.startswith("linux"):
        assert report["seccomp"] is True
        assert report["no_new_privs"] is True


def test_held_tells_memory_and_start(pool: Pool) -> None:
    hold(pool)
    state = pool.held()["one"]
    assert 5 < state.rss_mb < 150
    assert abs(state.started - time.time()) < 30
    assert state.isolation["level"] == "full", state.isolation["why"]


def test_a_hot_call_is_quick(pool: Pool) -> None:
    """The bar is 120 us; the machine of a test may be busy, so the best of several rounds counts, with room."""
    pool.hold("echo", ECHO, dict)
    request = bytes(4096)
    best = []
    for _ in range(5):
        took = []
        for _ in range(300):
            began = time.perf_counter()
            pool.call("echo", request)
            took.append(time.perf_counter() - began)
        best.append(sorted(took)[150])
    assert min(best) < 300e-6
