"""Show how far long work has come: a bar with the time left on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from tradewind.cli import say

if TYPE_CHECKING:
    import rich.progress

    from tradewind.cli.call import Call
    from tradewind.core.model import Progress, Step


@contextmanager
def progress(call: Call, title: str) -> Iterator[Progress]:
    """Give the Progress that long work reports to; nothing is shown with --json or --quiet."""
    with screen(call) as show, show(title) as one:
        yield one


@contextmanager
def screen(call: Call) -> Iterator[Callable[[str], AbstractContextManager[Progress]]]:
    """Give a maker of Progress by title; what it makes shares one picture, so that several may run at once, in threads too."""
    from tradewind.core.model import SILENT, Progress

    if call.silent:
        yield lambda title: nullcontext(SILENT)
    elif sys.stderr.isatty():
        with _drawn() as bars:
            yield lambda title: _bar(bars, title)
    else:
        yield lambda title: nullcontext(Progress(_lines(title)))


def _drawn() -> rich.progress.Progress:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=30),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[left]}", markup=False),
        bars.TimeElapsedColumn(),
    )
    return bars.Progress(*columns, console=Console(stderr=True), transient=True)


@contextmanager
def _bar(bars: rich.progress.Progress, title: str) -> Iterator[Progress]:
    from tradewind.core.model import Progress

    task = bars.add_task(title, total=1.0, left="")

    def listen(step: Step) -> None:
        bars.update(task, completed=step.fraction, description=_worded(title, step), left=left(step.eta_s))

    try:
        yield Progress(listen)
        bars.refresh()
    finally:
        bars.remove_task(task)


def _lines(title: str) -> Callable[[Step], None]:
    seen: set[str] = set()

    def listen(step: Step) -> None:
        if step.stage not in seen:
            seen.add(step.stage)
            share = ", ".join(filter(None, (f"{step.fraction:.0%}", left(step.eta_s))))
            say.person(f"{_worded(title, step)} ({share})")

    return listen


def _worded(title: str, step: Step) -> str:
    return f"{title}: {step.stage}{' - ' + step.message if step.message else ''}"


def left(seconds: float | None) -> str:
    """Word the time left; empty while it is unknown or nothing."""
    if seconds is None or seconds < 1:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 5400 else f"{seconds / 3600:.1f} h left"
