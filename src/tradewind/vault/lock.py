"""One piece of work at a time, across threads and processes."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradewind.core.errors import Busy


@contextmanager
def alone(folder: Path, name: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of that name; raises Busy when somebody else holds it for longer than `wait_s` seconds.

    The kernel releases it when the process ends, however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / (re.sub(r"[^a-z0-9_-]", "-", name.lower()) + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise Busy(f"{name} is already running", hint="wait until it is done, or cancel it") from error
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)
