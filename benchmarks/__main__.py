"""Run benchmarks: `python -m benchmarks --list`, `python -m benchmarks NAME...`, `python -m benchmarks --all`."""

from __future__ import annotations

import argparse
import compileall
import importlib
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks._result import Result
from benchmarks._run import ROOT, Failed, machine
from tradewind.core.errors import TradewindError

HEADS = ("check", "ours", "baseline", "must reach", "")
MARKS = {True: "reached", False: "FALLS SHORT", None: ""}


def every() -> dict[str, ModuleType]:
    """Return the benchmarks by name: every module here that says what it checks."""
    names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_"))
    return {name: importlib.import_module(f"benchmarks.{name}") for name in names}


def main(arguments: list[str] | None = None) -> int:
    """Return 0 where everything that ran reached what it must."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Accuracy and speed, each beside a baseline.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name them with what they check")
    parser.add_argument("--all", action="store_true", help="run every one")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append the tables to a file")
    given = parser.parse_args(arguments)
    known = every()
    if given.list or not (given.names or given.all):
        width = max(map(len, known))
        for name, module in known.items():
            print(f"{name:<{width}}  {module.CHECK}")
        return 0
    unknown = [name for name in given.names if name not in known]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    compileall.compile_dir(ROOT / "src", quiet=2)  # as an installer leaves it: a jailed worker writes no byte code of its own
    outcomes = [_one(name, known[name], given.markdown) for name in (known if given.all else given.names)]
    return 0 if all(outcomes) else 1


def _one(name: str, module: ModuleType, markdown: Path | None) -> bool:
    print(f"\n{name}: {module.CHECK}\n{machine()}", flush=True)
    start = time.perf_counter()
    try:
        result: Result = module.run()
    except (Failed, TradewindError) as error:
        print(f"{name} could not run to its end: {error}")
        return False
    spent = time.perf_counter() - start
    if result.skipped:
        print(f"skipped: {result.skipped}")
        return True
    print(_plain(result), *(f"- {note}" for note in result.notes), f"({spent:.0f} s)", sep="\n", flush=True)
    if markdown is not None:
        with markdown.open("a", encoding="utf-8") as file:
            file.write(_markdown(name, module.CHECK, result))
    return result.passed


def _cells(result: Result) -> list[tuple[str, ...]]:
    return [(row.check, row.ours, row.baseline, row.must, MARKS[row.passed]) for row in result.rows]


def _plain(result: Result) -> str:
    cells = [HEADS, *_cells(result)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(HEADS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells)


def _markdown(name: str, check: str, result: Result) -> str:
    lines = [f"\n## {name}\n", f"{check}. {machine()}.\n", "| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _cells(result)]
    lines += ["", *(f"- {note}" for note in result.notes), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
