"""The benchmark harness: names, exit statuses, tables, and a load generator that notices failures."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from benchmarks import __main__ as harness  # noqa: E402 - benchmarks is beside the tests, not installed
from benchmarks import real  # noqa: E402
from benchmarks._load import one_by_one, post, together  # noqa: E402
from benchmarks._result import Result, Row, at_least, at_most, below, exactly, within  # noqa: E402
from benchmarks._run import Failed, child  # noqa: E402
from benchmarks._tree import Watched  # noqa: E402


def test_list_names_every_benchmark_with_its_check(capsys):
    assert harness.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == set(harness.every())
    assert all(len(line.split()) > 3 for line in lines)


def test_an_unknown_name_is_status_2(capsys):
    assert harness.main(["nonsense"]) == 2
    assert "startup" in capsys.readouterr().err


def given(monkeypatch, run):
    monkeypatch.setattr(harness, "every", lambda: {"one": SimpleNamespace(CHECK="a check", run=run)})


@pytest.mark.parametrize(
    ("result", "status", "word"),
    [
        (Result((at_most("seconds", 2, 3),)), 0, "reached"),
        (Result((at_most("seconds", 4, 3), at_most("seconds", 1, 3))), 1, "FALLS SHORT"),
        (Result((Row("shown only", "5"),)), 0, "shown only"),
        (Result(skipped="no data"), 0, "skipped: no data"),
    ],
)
def test_the_exit_status_says_whether_it_fell_short(monkeypatch, capsys, result, status, word):
    given(monkeypatch, lambda: result)
    assert harness.main(["one"]) == status
    assert word in capsys.readouterr().out


def test_a_benchmark_that_cannot_run_is_a_failure(monkeypatch, capsys):
    def broken():
        raise Failed("no server")

    given(monkeypatch, broken)
    assert harness.main(["--all"]) == 1
    assert "no server" in capsys.readouterr().out


def test_markdown_is_appended_with_the_baseline_beside_ours(monkeypatch, tmp_path, capsys):
    given(monkeypatch, lambda: Result((below("WAPE", 0.15, 0.208, name="seasonal naive"),), ("seed 7",)))
    file = tmp_path / "benchmarks.md"
    file.write_text("# Before\n")
    assert harness.main(["one", "--markdown", str(file)]) == 0
    text = file.read_text()
    assert text.startswith("# Before\n")
    assert "| WAPE | 0.15 | seasonal naive 0.208 | below the baseline | reached |" in text
    assert "- seed 7" in text


def test_rows_compare_the_right_way_round():
    assert below("error", 0.2, 0.2, name="naive").passed is False
    assert exactly("failures", 1, 0).passed is False
    assert exactly("failures", 0, 0).passed is True
    assert at_least("accuracy", 0.84, 0.85).passed is False
    assert at_least("accuracy", 0.85, 0.85).passed is True
    assert [within("coverage", share, 0.8, by=0.03).passed for share in (0.76, 0.77, 0.83, 0.84)] == [False, True, True, False]


def test_a_child_is_measured_and_its_failure_is_raised():
    ran = child([sys.executable, "-c", "x = bytearray(120_000_000); print('done')"])
    assert ran.out == "done\n"
    assert ran.peak_mb > 110
    assert 0 < ran.cpu_s < 60
    with pytest.raises(Failed, match="went wrong"):
        child([sys.executable, "-c", "import sys; sys.exit('it went wrong')"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_of_a_tree_counts_grandchildren_together():
    hold = "import time; x = bytearray(80_000_000); x[::4096] = b'1' * len(x[::4096]); time.sleep(1.5)"
    both = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; p.wait()"
    with Watched() as watched:
        child([sys.executable, "-c", both])
    assert 155 < watched.peak_mb < 400


def test_the_page_is_cut_into_commands():
    page = (
        "# x\n\n## one\ntext\n\n```console\ntradewind init a\ntradewind load b \\\n    --table sales\n```\n\n## two\n```console\nno\n```\n"
    )
    assert real.commands(page, "one") == ["tradewind init a", "tradewind load b      --table sales"]
    with pytest.raises(Failed):
        real.commands(page, "three")


class Server:
    """Answers every request on every connection as told, then hangs up where it is told to."""

    def __init__(self, answer: bytes, *, after: int = 10**9) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer, self.after = answer, after
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or the second half waits 40 ms for an acknowledgement
            for _ in range(self.after):
                if not connection.recv(65536):
                    return
                connection.sendall(self.answer[:20])
                connection.sendall(self.answer[20:])


def test_the_load_generator_counts_answers_and_failures():
    good = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    bad = Server(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}")
    flaky = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", after=5)
    ask = [post("/", {"a": 1}, "token")]
    assert (len(one_by_one(good.port, ask * 50).seconds), one_by_one(good.port, ask).failures) == (50, [])
    assert len(one_by_one(bad.port, ask * 3).failures) == 3
    calm = together(good.port, ask, connections=4, until=lambda spent: spent > 0.2)
    assert len(calm.seconds) > 20
    assert calm.failures == []
    broken = together(flaky.port, ask, connections=4, until=lambda spent: spent > 5)
    assert len(broken.failures) == 4
    for server in (good, bad, flaky):
        server.socket.close()
