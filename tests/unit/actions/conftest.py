"""A desk over a model of our own, whose workers and jobs run in this process."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import tradewind
from tradewind import models
from tradewind.actions import job
from tradewind.core.errors import NotFound
from tradewind.core.model import SILENT, Progress
from tradewind.desk import Desk
from tradewind.models import run

HERE = Path(__file__).parent


class InProcess:
    """A pool without processes: the same entries, called here."""

    def __init__(self) -> None:
        self.servers: dict[str, run.Server] = {}
        self.jobs: list[str] = []
        self.broken: Callable[[str], None] = lambda name: None

    def hold(self, name: str, entry: str, parts: Callable[[], Mapping[str, bytes]], *, words: Sequence[str] = ()) -> None:
        self.broken(name)
        if name not in self.servers:
            self.servers[name] = run.open_server(parts())

    def call(self, name: str, request: bytes) -> bytes:
        if name not in self.servers:
            raise NotFound(f"no worker is held under {name!r}")
        return self.servers[name](request)

    def drop(self, name: str) -> None:
        self.servers.pop(name, None)

    def held(self) -> dict[str, Any]:
        return {name: SimpleNamespace(rss_mb=10.0, isolation={"level": "full"}) for name in self.servers}

    def run(
        self, entry: str, parts: Mapping[str, bytes], *, progress: Progress = SILENT, memory_mb: int, deadline_s: float, threads: int = 2
    ) -> Any:
        self.jobs.append(entry)
        return getattr(job, entry.partition(":")[2])(parts, progress)

    def close(self) -> None: ...


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A workspace that knows the toy model beside the real ones."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(HERE)])
    known = models._homes() | {"toy_demand": "toy_demand"}
    monkeypatch.setattr(models, "_homes", lambda: known)
    with tradewind.open(tmp_path / "shop") as opened:
        yield dataclasses.replace(opened, pool=InProcess())


def sales(days: int, *, names: Sequence[str] = ("a", "b"), more: float = 0.0) -> pl.DataFrame:
    """Units that repeat by weekday, `b` three times as many as `a`; `more` is added to the last week."""
    dates = np.datetime64("2024-01-01") + np.arange(days)
    late = np.where(np.arange(days) >= 84, more, 0.0)
    frames = [
        pl.DataFrame(
            {"date": pl.Series(dates).cast(pl.Date), "product": [name] * days, "units": level * (1.0 + np.arange(days) % 7) + late}
        )
        for name, level in zip(names, (1.0, 3.0, 5.0), strict=False)
    ]
    return pl.concat(frames)


@pytest.fixture
def served(desk: Desk) -> Desk:
    """Version 1 of the toy model, which knows 84 days, serves."""
    desk.load(sales(84), table="sales")
    desk.train("toy_demand")
    desk.promote("toy_demand")
    return desk


@pytest.fixture
def sold() -> Callable[..., pl.DataFrame]:
    return sales
