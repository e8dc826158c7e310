"""The page in front of the fake desk of the HTTP tests, and a Chromium driven by its own protocol."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def load(name: str) -> ModuleType:
    """Load a support file of the tests by its path: tests are no package."""
    if name not in sys.modules:
        places = {"fake_desk": "unit/http/fake_desk.py", "http_server": "unit/http/conftest.py", "browser": "journey/browser.py"}
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[2] / places[name])
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def desk() -> Any:
    return load("fake_desk").FakeDesk()


@pytest.fixture
def client(desk: Any) -> Iterator[Any]:
    """A browser that is signed in as a viewer, without JavaScript."""
    import httpx

    with _serve(desk) as address, httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
        assert client.post("/login", data={"token": "tw_viewer"}, headers={"origin": address}).status_code == 303
        yield client


def _serve(desk: Any) -> Any:
    from tradewind.http.app import build
    from tradewind.http.limits import Limits
    from tradewind.web.pages import routes

    app = build(desk, pages=routes(desk), limits=Limits(login_burst=1000), actions=load("fake_desk").ACTIONS)
    return load("http_server").running(app)


@pytest.fixture
def address(desk: Any) -> Iterator[str]:
    with _serve(desk) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    browser = load("browser")
    with browser.launched() as found:
        yield found
