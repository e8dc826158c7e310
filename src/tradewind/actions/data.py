"""Load, list and look at business tables; forget a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from tradewind.actions import _ask
from tradewind.actions._door import action
from tradewind.core.answer import Answer, Fact
from tradewind.core.catalog import TABLES, table_schema
from tradewind.core.errors import BadValue, NotFound
from tradewind.core.model import SILENT, Progress
from tradewind.core.table import Table
from tradewind.data import keep
from tradewind.data.clean import clean
from tradewind.data.infer import infer
from tradewind.data.read import read
from tradewind.workspace import Workspace, unnamed


@action(permits="load", alone="load", wait_s=60)
def load(
    ws: Workspace,
    source: Any,
    table: str | None = None,
    *,
    map: Mapping[str, str] | None = None,
    wide: Sequence[str] | str = (),
    query: str | None = None,
    sheet: str | None = None,
    keep_duplicates: bool = True,
    progress: Progress = SILENT,
) -> Answer:
    """Read a file or frame, clean it and keep it as a business table; rows of the same key are replaced.

    Nothing is kept unless all of it can be: any error leaves the table as it was.
    """
    if table is not None:
        table_schema(table)
    progress("read", 0.0, Path(source).name if isinstance(source, str | Path) else type(source).__name__)
    raw = read(source, query=query, sheet=sheet, name="" if isinstance(source, str | Path) else table or "")
    progress("guess", 0.4, f"{raw.frame.height} rows")
    guess = infer(raw, table=table, map=_ask.pairs(map, "map"), wide=_ask.names(wide))
    progress("clean", 0.5, guess.table)
    fresh, repairs = clean(
        guess.frame, guess.schema, table=guess.table, zone=str(ws.options.get("zone", "UTC")), keep_duplicates=keep_duplicates
    )
    progress("keep", 0.75, f"{len(fresh)} rows")
    kept = keep.keep(ws.blobs, ws.table_digest(guess.table), guess.table, fresh)
    progress("done", 1.0, guess.table)
    counts = (Fact("rows", kept.rows), Fact("added", kept.added), Fact("replaced", kept.replaced), Fact("changed", kept.changed))
    words = (
        f"{guess.table}: {kept.added:,} rows added, {kept.replaced:,} replaced, {kept.rows:,} in all."
        if kept.changed
        else f"{guess.table}: nothing changed."
    )
    source_said = {
        "tables": {guess.table: kept.digest},
        "table": guess.table,
        "file": raw.digest,
        "rows": kept.rows,
        "added": kept.added,
        "changed": kept.changed,
        "columns": {unnamed(theirs): "" if ours == theirs else ours for theirs, ours in guess.mapping.items()},
    }
    return Answer(facts=(*raw.facts, *guess.why, *repairs, *counts), words=words, source=source_said)


@action(permits="read", quiet=True)
def tables(ws: Workspace) -> Answer:
    """List the business tables that are loaded."""
    rows = []
    for name, history in sorted(ws.view.fresh(now=True).tables.items()):
        said = keep.manifest(ws.blobs, str(history[-1].body["tables"][name]))
        span = said.get("span") or ["", ""]
        rows.append(
            {"table": name, "rows": said["rows"], "from": span[0], "until": span[1], "versions": len(history), "loaded": history[-1].at}
        )
    if not rows:
        return Answer(words=f"No table is loaded yet. They may be: {', '.join(TABLES)}.", source={"tables_known": 0})
    columns = {key: np.array([row[key] for row in rows], int if key in ("rows", "versions") else object) for key in rows[0]}
    return Answer(table=Table.from_columns(columns), words=f"{len(rows)} tables are loaded.", source={"tables_known": len(rows)})


@action(permits="read", quiet=True)
def show(
    ws: Workspace,
    table: str,
    *,
    where: Mapping[str, Any] | None = None,
    since: str | date | None = None,
    until: str | date | None = None,
    limit: int = 100,
    version: int | None = None,
) -> Answer:
    """Show the newest rows of a business table."""
    if limit < 0:
        raise BadValue(f"limit must be a number of rows, not {limit}")
    found = ws.table(table, version=version, where=_ask.pairs(where, "where"), since=since, until=until)
    rows = found.take(np.arange(max(len(found) - limit, 0), len(found)))
    return Answer(
        facts=(Fact("rows", len(found)),),
        table=rows,
        words=f"{len(rows):,} of {len(found):,} rows of {table}.",
        source={"table": table, "rows": len(rows)},
    )


@action(permits="admin", alone="load", wait_s=60)
def forget(ws: Workspace, customer: str) -> Answer:
    """Erase a customer from every table: rows are rewritten without them and the old data keys are destroyed."""
    changed: dict[str, str] = {}
    dropped: list[str] = []
    for name, history in ws.view.fresh(now=True).tables.items():
        for event in history:
            digest, gone = keep.forget(ws.blobs, str(event.body["tables"][name]), customer)
            dropped += gone
            if event is history[-1] and gone:
                changed[name] = digest  # older states only lose their partitions
    if not dropped:
        raise NotFound("no loaded table holds that customer", hint="the id must be written as it is in the tables")
    shredded = sorted(set(dropped))
    facts = (Fact("tables", len(changed)), Fact("shredded", len(shredded), "blobs"))
    words = "Erased from every state of every table. Earlier states lost the partitions that held the customer."
    source = {"tables": changed, "blobs": shredded}
    return Answer(facts=facts, words=words, source=source, memo={"after": lambda: _shred(ws, shredded)})


def _shred(ws: Workspace, digests: Sequence[str]) -> None:
    for digest in digests:
        ws.blobs.drop(digest)
