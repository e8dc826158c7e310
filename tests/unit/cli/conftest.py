"""A desk that writes down how it was called, and a way to type a command."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tradewind
from tradewind.cli import main
from tradewind.cli.call import MARK
from tradewind.core.answer import Answer, Fact
from tradewind.core.table import Table
from tradewind.settings import default_folder


@dataclass
class FakeDesk:
    """Every action gives `answer` (or raises `error`) and is written down in `calls`."""

    answer: Answer
    error: BaseException | None = None
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    folder: Path = Path()
    options: dict[str, Any] = field(default_factory=lambda: {"host": "127.0.0.1", "port": 8321})
    settings: dict[str, Any] = field(default_factory=dict)
    closed: int = 0
    understood: dict[str, str] = field(default_factory=dict)

    def headers(self, tables: Any, names: Any) -> dict[str, str]:
        return self.understood

    def close(self) -> None:
        self.closed += 1

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        if name.startswith("_"):
            raise AttributeError(name)

        def act(*args: Any, **kwargs: Any) -> Answer:
            self.calls.append((name, args, kwargs))
            if "progress" in kwargs:
                kwargs["progress"]("search", 0.4, "boosted")
                kwargs["progress"]("search", 0.5, "boosted")
                kwargs["progress"]("fit", 0.9)
            if self.error is not None:
                raise self.error
            return self.answer

        return act


@dataclass
class Typed:
    """What a typed command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDesk:
    """A workspace in the current folder, with a fake desk behind it."""
    table = Table.from_columns({"product": np.array(["P1", "=2+2"], object), "units": np.array([3.25, 12345.0])})
    fake = FakeDesk(Answer((Fact("rows", 2, "rows", "kept"),), table, words="two rows", source={"table": "sales"}))

    def opened(folder: Path, **settings: Any) -> FakeDesk:
        fake.folder, fake.settings = Path(folder), settings
        fake.folders.append(fake.folder)
        return fake

    def restored(file: Path, folder: Path, **given: Any) -> FakeDesk:
        fake.calls.append(("restore", (file, folder), given))
        return opened(folder)

    def began(folder: Path, **given: Any) -> None:
        fake.calls.append(("begin", (folder,), given))

    module = types.ModuleType("tradewind.desk")
    vars(module).update(begin=began, open=opened, restore=restored, home=lambda named: Path(named or default_folder()))
    monkeypatch.setitem(sys.modules, "tradewind.desk", module)
    monkeypatch.setitem(vars(tradewind), "desk", module)
    (tmp_path / MARK).write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADEWIND_WORKSPACE", raising=False)
    return fake


@pytest.fixture
def tradewind_(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Typed]:
    """Type a command and return its exit status and what it wrote."""

    def typed(*words: str) -> Typed:
        monkeypatch.setattr(sys, "argv", ["tradewind", *words])
        with pytest.raises(SystemExit) as left:
            main.run()
        captured = capsys.readouterr()
        return Typed(int(left.value.code or 0), captured.out, captured.err)

    return typed
