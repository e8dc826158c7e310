"""Say things: data on stdout, words for people on stderr, errors with their code and hint."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.core.errors import TradewindError

if TYPE_CHECKING:
    from tradewind.core.answer import Answer

FIELDS = 10
"""Bad fields listed under an error."""


def person(text: str) -> None:
    """Write a line for a person to stderr."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()


def answer(made: Answer, *, as_json: bool, out: Path | None, quiet: bool, prose: bool = False) -> None:
    """Show an answer: one JSON document, or the table (else the facts, else the words) on stdout and the rest on stderr."""
    from tradewind.core import show

    if out is not None:
        made.save(out)
    if as_json:
        _write(show.json(made).decode() + "\n")
        return
    told = not quiet
    if prose or (made.table is None and not made.facts):
        _write(made.words.rstrip("\n") + "\n" if made.words else "")
        return
    if told and made.words:
        person(made.words)
    if made.table is None:
        _write("".join(f"{show.line(fact)}\n" for fact in made.facts))
        return
    if told:
        for fact in made.facts:
            person(show.line(fact))
    if out is None:
        _table(made)
    elif told:
        person(f"wrote {len(made.table):,} rows to {out}")


def _table(made: Answer) -> None:
    """Draw the first rows on a terminal; write every row as CSV into a pipe or a file."""
    from tradewind.core import show

    if not sys.stdout.isatty():
        _write(show.escaped(show.frame(made)).write_csv())
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names, rows, more = show.grid(made)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        column = made.table.column(name) if made.table is not None else None
        drawn.add_column(Text(name), justify="right" if column is not None and column.dtype.kind in "biuf" else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_visible(cell)) for cell in row))
    Console().print(drawn)
    if more:
        person(f"... and {more:,} more rows: --out FILE or a pipe gives them all")


def _visible(text: str) -> str:
    """Take control characters out: a cell of somebody's file must not steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def error(said: TradewindError, *, as_json: bool) -> None:
    """Show an error: text on stderr, or one JSON document on stdout."""
    if as_json:
        _write(json.dumps({"error": said.as_dict()}, ensure_ascii=False) + "\n")
        return
    person(f"error[{said.code}]: {_visible(said.message)}")
    for field in said.fields[:FIELDS]:
        person(f"  at {field.get('pointer', '')}: {field.get('message', '')}")
    if len(said.fields) > FIELDS:
        person(f"  ... and {len(said.fields) - FIELDS} more")
    person(f"hint: {_visible(said.hint)}")


def hang_up() -> None:
    """Point stdout nowhere after its reader left, so that the interpreter ends without a complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
