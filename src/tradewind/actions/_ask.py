"""Put a question to a version in its jailed worker, and keep its default answers at hand."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from datetime import date
from numbers import Integral
from typing import Any

import numpy as np

from tradewind.core.answer import Answer, Fact
from tradewind.core.bundle import join, pack_arrays, split, unpack_arrays
from tradewind.core.errors import BadValue, EmptyTable, NotFound, TooBig, Unexpected, from_dict
from tradewind.core.fact import prose
from tradewind.core.model import Model
from tradewind.core.schema import TOO_LARGE, Role, Schema
from tradewind.core.table import Array, Table
from tradewind.models import get
from tradewind.workspace import Workspace

MOST_ROWS = 200_000
MOST_AHEAD = 3660


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a version beside the rows: how far and of whom, where everything is meant; and what is to be said."""

    horizon: int | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False
    by: tuple[str, ...] = ()
    quantiles: tuple[float, ...] = ()

    def head(self) -> bytes:
        """Return the head of the request; raises BadValue for a horizon that is none."""
        ahead: Any = self.horizon
        if ahead is not None and (isinstance(ahead, bool) or not isinstance(ahead, Integral) or not 1 <= int(ahead) <= MOST_AHEAD):
            raise BadValue(
                f"horizon must be a whole number from 1 to {MOST_AHEAD}, not {ahead!r}",
                hint="ask for as many periods as you need, such as 30",
            )
        said = {"do": "predict", "horizon": ahead if ahead is None else int(ahead), "where": dict(self.where), "explain": self.explain}
        return json.dumps(said | {"by": self.by or None, "quantiles": self.quantiles or None}, default=_plain).encode()

    def key(self) -> tuple[Any, ...]:
        """Return what tells one default question from another."""
        return self.horizon, self.explain, self.by, self.quantiles, json.dumps(self.where, sort_keys=True, default=str)


PLAIN = Wish()


def _plain(value: Any) -> Any:
    """Return a value that JSON does not know as one that it does; raises BadValue."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, date):
        return value.isoformat()
    raise BadValue(f"where cannot be by {value!r:.60}", hint="give texts, numbers or dates, or a list of them")


def names(said: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return one name or several as several; raises BadValue for what is no name."""
    if said is None or isinstance(said, str):
        return () if said is None else (said,)
    try:
        return tuple(map(str, said))
    except TypeError as error:
        raise BadValue(f"one name or a list of names is wanted, not {said!r}", hint='such as "product" or ["store", "week"]') from error


def pairs(said: Any, argument: str) -> dict[str, Any]:
    """Return an argument that names values as a dictionary, empty where none is given; raises BadValue."""
    if said is None or (isinstance(said, Sized) and not len(said)):
        return {}
    if not isinstance(said, Mapping):
        raise BadValue(f"{argument} must be values by name, not {said!r}", hint=f'{argument}={{"name": "value"}}')
    return {str(name): value for name, value in said.items()}


def levels(said: Sequence[float] | float | None) -> tuple[float, ...]:
    """Return one number or several as several; raises BadValue for what is no number."""
    try:
        return (float(said),) if isinstance(said, int | float) else tuple(float(level) for level in said or ())
    except (TypeError, ValueError) as error:
        raise BadValue(f"quantiles must be numbers between 0 and 1: {error}", hint="quantiles=[0.1, 0.5, 0.975]") from error


def as_asked(question: Model, asked: Any) -> Table:
    """Return what was asked as a table: rows, a frame or a Table; raises EmptyTable, TooBig and InvalidInput."""
    if isinstance(asked, Table):
        table = asked
    elif isinstance(asked, Sequence) and not isinstance(asked, str | bytes):
        if not asked:
            raise _nothing(question)
        if len(asked) > MOST_ROWS:
            raise TooBig(f"{len(asked):,} rows in one question; the limit is {MOST_ROWS:,}", hint="ask in several requests")
        table = Table.from_rows(asked, question.asks)
    else:
        table = Table.from_frame(asked, question.asks).dated(question.asks)
    if len(table) == 0:
        raise _nothing(question)
    if len(table) > MOST_ROWS:
        raise TooBig(f"{len(table):,} rows in one question; the limit is {MOST_ROWS:,}", hint="ask in several requests")
    return _sane(table.checked(question.asks))


def _sane(table: Table) -> Table:
    """Return the table; raises BadValue for a number that nobody can mean: an answer reckoned with it would be none."""
    for name in table.names:
        values = table.column(name)
        if values.dtype.kind == "f" and (np.abs(values) > TOO_LARGE).any():
            raise BadValue(f'column "{name}" holds a number beyond {TOO_LARGE:g}', hint="correct it, or leave its row out")
    return table


def _nothing(question: Model) -> EmptyTable:
    return EmptyTable("nothing is asked: there are no rows", hint=f"a row has {', '.join(question.asks.names)}")


def ask(ws: Workspace, model: str, number: int, *, asked: Table | None = None, wish: Wish = PLAIN) -> Answer:
    """Ask a version and check its answer against what the model promises to give."""
    question = get(model)
    request = {"head": wish.head()} | ({"asked": asked.to_bytes()} if asked is not None else {})
    said, table = _replied(_called(ws, model, number, join(request)))
    if wish.by:  # sums have the columns that are given, and keys of their own
        table.checked(Schema(tuple(column for column in question.gives if column.role is Role.OUTPUT)))
    elif asked is not None and not question.many and len(table) != len(asked):
        raise Unexpected(f"{model} answered {len(table)} rows to {len(asked)} questions")
    else:
        table.checked(question.gives)
    return _worded(table, said, {"model": model, "version": number, "recipe": said.get("recipe", ""), "rows": len(table)})


def effects(ws: Workspace, model: str, number: int) -> Answer:
    """Ask a version what each lever does, and keep what it says: it is the same until another version serves."""
    key = ("effects", ws.seat(model, number))
    kept = ws.answers.get(key)
    if kept is not None:
        return kept
    said, table = _replied(_called(ws, model, number, join({"head": b'{"do": "effects"}'})))
    levers = list(dict.fromkeys(table.column("lever").tolist()))
    notes = [str(note) for note in said.get("notes", ())]
    facts = (Fact("rows", len(table)), Fact("levers", ", ".join(levers)), *(Fact("note", note) for note in notes))
    words = f"{model} version {number} ({said.get('recipe', '')}): what {', '.join(levers) or 'no lever'} did in the past, with intervals."
    source = {"model": model, "version": number, "recipe": said.get("recipe", ""), "rows": len(table)}
    return ws.answers.put(key, Answer(facts, table, words=prose(words, *notes), source=source))


def respond(ws: Workspace, model: str, number: int, request: Mapping[str, Any]) -> Mapping[str, Array]:
    """Ask a version what its levers would do: plain data and arrays in, arrays out."""
    plain = {name: value for name, value in request.items() if not isinstance(value, np.ndarray)}
    arrays = {name: value for name, value in request.items() if isinstance(value, np.ndarray)}
    try:
        head = json.dumps({"do": "respond", "request": plain}).encode()
    except (TypeError, ValueError) as error:
        raise BadValue(f"a planner asked what cannot be sent to a worker: {error}") from error
    parts = split(_called(ws, model, number, join({"head": head, "arrays": pack_arrays(arrays)})))
    said = json.loads(parts["head"])
    if "error" in said:
        raise from_dict(said["error"])
    return unpack_arrays(parts["arrays"])


def _replied(reply: bytes) -> tuple[dict[str, Any], Table]:
    """Read a worker's reply; raises what it says went wrong."""
    parts = split(reply)
    said: dict[str, Any] = json.loads(parts["head"])
    if "error" in said:
        raise from_dict(said["error"])
    return said, Table.from_bytes(parts["table"])


def _called(ws: Workspace, model: str, number: int, request: bytes) -> bytes:
    try:
        return ws.pool.call(ws.serve(model, number), request)
    except NotFound:  # let go by another thread between the two calls
        return ws.pool.call(ws.serve(model, number), request)


def default(ws: Workspace, model: str, number: int, wish: Wish) -> Answer | None:
    """Return a kept answer to a default question, cut out of the whole where that was computed at promotion; else None."""
    seat = ws.seat(model, number)
    key = (seat, *wish.key())
    kept = ws.answers.get(key)
    if kept is not None:
        return kept
    whole = ws.answers.get(("whole", seat))
    if whole is None or whole.table is None or wish.explain or wish.by or wish.quantiles or whole.memo["notes"]:
        return None  # notes on all series need not be true of this one: the worker says its own
    keys, where = whole.memo["keys"], wish.where
    place = whole.memo["index"].get(tuple(str(where.get(name, "")) for name in keys)) if set(where) == set(keys) else None
    if place is None or wish.horizon not in (None, place[1] - place[0]):
        return None
    table = whole.table.take(np.arange(*place))
    said = {"recipe": whole.source["recipe"], "notes": []}
    return ws.answers.put(key, _worded(table, said, dict(whole.source) | {"rows": len(table)}))


def keep_default(ws: Workspace, model: str, number: int, wish: Wish, answer: Answer) -> Answer:
    """Keep the answer to a default question for the next one who asks it."""
    return (
        ws.answers.put((ws.seat(model, number), *wish.key()), answer) if answer.table is not None and len(answer.table) <= 4000 else answer
    )


def warm(ws: Workspace, model: str, number: int) -> None:
    """Load a version into its worker and, where periods are asked, compute what it is usually asked, before anyone does."""
    key = ("whole", ws.seat(model, number))
    if get(model).horizon is None or ws.answers.get(key) is not None:
        ws.serve(model, number)
        return
    answer = ask(ws, model, number)
    if answer.table is not None:
        answer.memo.update(_index(answer.table, get(model)), notes=any(fact.name == "note" for fact in answer.facts))
        ws.answers.put(key, answer)


def _index(table: Table, question: Model) -> dict[str, Any]:
    """Return where each key's rows lie; rows of one key stand together."""
    keys = [name for name in question.asks.of(Role.ENTITY) if name in table]
    labels = list(zip(*(table.column(name).tolist() for name in keys), strict=True)) if keys else [()] * len(table)
    starts = [at for at in range(len(labels)) if at == 0 or labels[at] != labels[at - 1]]
    ends = [*starts[1:], len(labels)]
    return {"keys": keys, "index": {tuple(map(str, labels[a])): (a, b) for a, b in zip(starts, ends, strict=True)}}


def _worded(table: Table, said: Mapping[str, Any], source: Mapping[str, Any]) -> Answer:
    facts = [Fact("rows", len(table))]
    words = (
        f"{source['model']} version {source['version']} ({source['recipe']}) answered {len(table):,} row{'' if len(table) == 1 else 's'}."
    )
    if "mean" in table:
        facts.append(_total(table, get(source["model"])))
    notes = [str(note) for note in said.get("notes", ())]
    facts += [Fact("note", note) for note in notes]
    return Answer(facts=tuple(facts), table=table, words=prose(words, *notes), source=source)


def _total(table: Table, question: Model) -> Fact:
    """Return the sum of the means; where the whole is among the rows, of the whole alone, which holds the others already."""
    means, meaning = table.column("mean"), "sum of the mean forecasts"
    if question.whole:
        key = question.asks.of(Role.ENTITY)[0]
        whole = table.column(key) == question.whole
        if whole.any():
            means, meaning = means[whole], f"{meaning} of {key} {question.whole}: the others are parts of it"
    total = float(means.sum())
    return Fact("expected_total", round(float(np.nansum(means)) if math.isnan(total) else total, 4), "", meaning)


def timed(call: Callable[[], object], *, times: int = 7) -> float:
    """Return the median milliseconds of a call."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - began))
    return float(np.median(spent))


def let_go(ws: Workspace, model: str, *, keep: tuple[int, ...] = ()) -> None:
    """End the workers of versions that neither serve, nor challenge, nor are what a rollback would lead to."""
    serving = ws.deployment(model)
    needed = {serving.stable, serving.challenger, *serving.before[-1:], *keep}
    for name in ws.pool.held():
        held, _, rest = name.partition("@")
        if held == model and int(rest.partition("-")[0]) not in needed:
            ws.pool.drop(name)
