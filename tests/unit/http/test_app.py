"""Listening: addresses that are taken or wrong, and an end by Ctrl-C that loses nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tradewind.core.errors import Busy, InvalidInput
from tradewind.http.app import serve

HERE = Path(__file__).parent
SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1]]
import fake_desk
from types import SimpleNamespace
import tradewind.http.app as app
app._actions = lambda: fake_desk.ACTIONS
app.serve(fake_desk.FakeDesk(), port=int(sys.argv[2]))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_taken_port_is_said(fakes):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Busy, match="cannot listen"):
            serve(fakes.FakeDesk(), port=taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "port", "kind"),
    [("no such host", 0, InvalidInput), ("203.0.113.7", 0, Busy), ("127.0.0.1", 99999, InvalidInput), ("127.0.0.1", -1, InvalidInput)],
)
def test_a_wrong_address_is_said(fakes, host, port, kind):
    with pytest.raises(kind) as caught:
        serve(fakes.FakeDesk(), host=host, port=port)
    assert caught.value.hint


def test_ctrl_c_ends_it_with_the_last_answer_given():
    port = free_port()
    running = subprocess.Popen([sys.executable, "-c", SCRIPT, str(HERE), str(port)], stderr=subprocess.PIPE, env=os.environ.copy())
    try:
        end = time.monotonic() + 30
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
                break
            except httpx.TransportError:
                assert running.poll() is None and time.monotonic() < end, running.stderr.read()
                time.sleep(0.05)
        assert "server" not in httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).headers
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=15)
    finally:
        running.kill()
        running.wait()
        running.stderr.close()
    assert running.returncode in (0, 130, -signal.SIGINT)
    assert b"Exception in ASGI" not in said
