"""A real server on a free port of this machine, in front of the fake desk."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn

from tradewind.http.app import build
from tradewind.http.limits import Limits
from tradewind.http.patience import patient


def _fakes() -> ModuleType:
    if "fake_desk" not in sys.modules:
        spec = importlib.util.spec_from_file_location("fake_desk", Path(__file__).parent / "fake_desk.py")
        assert spec and spec.loader
        sys.modules["fake_desk"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["fake_desk"])
    return sys.modules["fake_desk"]


@contextmanager
def running(app: Any, *, patience_s: float = 20.0) -> Iterator[str]:
    """Serve an app in a thread; give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=patient(patience_s), log_level="error", access_log=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


class Running:
    """A server, its desk and a client per role."""

    def __init__(self, address: str, desk: Any) -> None:
        self.address, self.desk = address, desk
        self._clients: dict[str, httpx.Client] = {}

    def as_(self, role: str = "admin") -> httpx.Client:
        if role not in self._clients:
            headers = {"authorization": f"Bearer tw_{role}"} if role else {}
            self._clients[role] = httpx.Client(base_url=self.address, headers=headers, trust_env=False, timeout=20)
        return self._clients[role]

    def calls(self, name: str) -> list[dict[str, Any]]:
        return [given for called, given in self.desk.state.calls if called == name]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    return _fakes()


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Running]]:
    """Start a server with limits of one's own."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def begin(limits: Limits | None = None, **given: Any) -> Running:
            fakes = _fakes()
            desk = given.pop("desk", None) or fakes.FakeDesk()
            limits = limits or Limits(body=1 << 20, upload=2 << 20, background=1 << 19, login_burst=1000)
            app = build(desk, limits=limits, actions=fakes.ACTIONS, **given)
            server = Running(stack.enter_context(running(app, patience_s=limits.patience_s)), desk)
            stack.callback(server.close)
            return server

        yield begin


@pytest.fixture(scope="module")
def server(start: Callable[..., Running]) -> Running:
    return start()
