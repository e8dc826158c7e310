"""Drive Chromium by the DevTools protocol: open pages, press keys, read what they show, and notice everything that goes wrong."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

FLAGS = (
    "--headless=new",
    "--hide-scrollbars",
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-gpu",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--remote-debugging-port=0",
)


class Navigated(Exception):
    """The page went elsewhere while it was asked."""


class Page:
    """One tab. `wrong` collects console errors, exceptions and CSP violations; `hosts` every host that was asked."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._next = 0
        self.wrong: list[str] = []
        self.hosts: set[str] = set()
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **given: Any) -> dict[str, Any]:
        """Call the protocol and return its answer."""
        self._next += 1
        self._socket.send(json.dumps({"id": self._next, "method": method, "params": given}))
        while True:
            said = json.loads(self._socket.recv(timeout=30))
            if said.get("id") == self._next:
                if "navigated" in said.get("error", {}).get("message", ""):
                    raise Navigated
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result
            self._heard(said)

    def _heard(self, said: dict[str, Any]) -> None:
        method, given = said.get("method"), said.get("params", {})
        if method == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.wrong.append(f"{given['entry']['source']}: {given['entry']['text']} {given['entry'].get('url', '')}")
        elif method == "Runtime.exceptionThrown":
            self.wrong.append("exception: " + json.dumps(given["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning"):
            self.wrong.append("console: " + json.dumps(given["args"])[:500])
        elif method == "Network.requestWillBeSent" and not given["request"]["url"].startswith("data:"):
            self.hosts.add(given["request"]["url"].split("/")[2])

    def open(self, address: str, *, width: int = 1360, height: int = 1000, dark: bool = False) -> None:
        """Open an address at this size and theme."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Run a script in the page (DevTools is not bound by the page's policy) and return its value."""
        said = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, script: str, wait_s: float = 15.0) -> None:
        """Wait until a script gives something true."""
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            try:
                if self.run(f"!!({script})"):
                    return
            except Navigated:
                pass  # asked in the very moment of a change of page: ask the new one
            time.sleep(0.03)
        raise AssertionError(f"never true: {script}; wrong: {self.wrong}; page: {self.run('document.body.innerText')[:800]}")

    def press(self, key: str, times: int = 1) -> None:
        """Press a key."""
        codes = {"ArrowRight": 39, "ArrowLeft": 37, "Tab": 9, "Enter": 13}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path) -> None:
        """Write what is seen to a file."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


class Chromium:
    """A running browser."""

    def __init__(self, port: int) -> None:
        self._port = port

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Open a tab of its own, with cookies of its own."""
        version = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{self._port}/json/version", timeout=10).read())
        with connect(version["webSocketDebuggerUrl"], max_size=None) as control:
            root = Page.__new__(Page)
            root._socket, root._next, root.wrong, root.hosts = control, 0, [], set()
            context = root.send("Target.createBrowserContext")["browserContextId"]
            target = root.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
            try:
                with connect(f"ws://127.0.0.1:{self._port}/devtools/page/{target}", max_size=None) as socket:
                    yield Page(socket)
            finally:
                root.send("Target.disposeBrowserContext", browserContextId=context)


@contextmanager
def launched() -> Iterator[Chromium]:
    """Start Chromium with a profile of its own; skips where there is none."""
    program = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium here; scripts/chromium.sh installs it")
    with tempfile.TemporaryDirectory(prefix="tradewind-chromium-", ignore_cleanup_errors=True) as profile:
        running = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": profile},
        )
        try:
            yield Chromium(_port(Path(profile) / "DevToolsActivePort", running))
        finally:
            running.terminate()
            running.wait(10)


def _port(file: Path, running: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert running.poll() is None, "Chromium ended at once"
        if file.exists() and (text := file.read_text().splitlines()):
            return int(text[0])
        time.sleep(0.05)
    raise AssertionError("Chromium did not open its port")
