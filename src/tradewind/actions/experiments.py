"""Measure what a test or an event did, and plan the next test: experiment, belief, decision, experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradewind.actions import _ask, data
from tradewind.actions._door import action
from tradewind.core.answer import Answer, Fact
from tradewind.core.effect import Effect
from tradewind.core.errors import BadValue, NotFound
from tradewind.core.model import SILENT, Progress
from tradewind.core.table import Table
from tradewind.models._kit.causal import lay
from tradewind.models._kit.causal import measure as kit
from tradewind.workspace import Workspace

JOB = "tradewind.actions.job:{}"
TABLES = ("outcomes", "sales")
LENGTHS = {"hour": (168, 336), "day": (14, 28, 42), "week": (4, 6, 8), "month": (2, 3, 4), "quarter": (1, 2)}
OFTEN = 0.8  # the power that is planned for unless asked otherwise


@action(permits="evaluate")
def measure(
    ws: Workspace,
    treated: Sequence[str] | str,
    start: str,
    end: str | None = None,
    *,
    table: str | None = None,
    kpi: str = "",
    by: str = "",
    where: Mapping[str, Any] | None = None,
    since: str | None = None,
    method: str = "auto",
    donors: Sequence[str] | str = (),
    channel: str = "",
    name: str = "",
    spend_change: float | None = None,
    keep: bool = False,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Answer:
    """Say what a past test or event did: the effect with intervals, what was tried to refute it, and the path it would have taken.

    `treated` are the geos, stores or products it was done to, from `start` to `end` (both inclusive), and () where it was done to all.
    `kpi` is the figure, `by` the column of places, `where` chooses rows, `since` starts the history. `method` is synthetic (control),
    differences (in differences) or impact (structural); auto takes what the places left alone, or `donors` among them, allow. `keep`
    writes a sound effect of a `channel` into `experiments`, by which roi is calibrated; `spend_change` is how the test moved its spend.
    """
    own, others = _ask.names(treated), _ask.names(donors)
    which = _table(ws, table)
    if keep and not (channel and which == "outcomes"):
        raise BadValue(
            "what is kept calibrates roi: it needs a channel, and its figure from outcomes", hint="channel='tv', table='outcomes'"
        )
    found = ws.table(which, where=_ask.pairs(where, "where"), since=since)
    laid = lay.lay(found, which, kpi=kpi, by=by, needed=own, start=start, end=end)
    season = laid.clock.grain.season if laid.regular else 0
    unit = next((one.unit for one in found.schema if one.name == laid.kpi), "")
    job = {"treated": own, "starts": laid.starts, "method": method, "donors": others, "season": season, "unit": unit, "seed": seed}
    made = kit.Measured.of(_run(ws, "measure", laid.table, job, progress))
    span = str(laid.start), str(laid.end)
    kept: tuple[Fact, ...] = ()
    if keep:
        places = own if laid.by == "geo" else ()
        said = {"name": name or f"{channel} {start}", "channel": channel, "start": span[0], "end": span[1]}
        kept = _kept(ws, made, kit.experiments(made, places, spend_change, **said), laid.kpi)
    facts = (*_window(made, laid, own, span), *_numbers(made), *kept, *laid.facts)
    source: dict[str, Any] = {
        "table": which,
        "digest": ws.table_digest(which),
        "kpi": laid.kpi,
        "treated": own,
        "from": span[0],
        "until": span[1],
    }
    source |= {"method": made.method, "sound": made.effect.sound}
    return Answer(facts, made.path, words=_words(made, laid.kpi, own, span), source=source)


@action(permits="evaluate")
def design(
    ws: Workspace,
    places: int = 1,
    lengths: Sequence[int] | int = (),
    lift: float | None = None,
    *,
    table: str | None = None,
    kpi: str = "",
    by: str = "",
    where: Mapping[str, Any] | None = None,
    since: str | None = None,
    only: Sequence[str] | str = (),
    never: Sequence[str] | str = (),
    power: float = OFTEN,
    level: int = 90,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Answer:
    """Plan a test by place: which `places` to treat, for how long, and the smallest lift it would find; one row per length.

    Judged on stretches of the past by the very analysis that `measure` will make. `lengths` are in periods of the table; `lift` is the
    share hoped for (0.05 is 5 %), which says the shortest test that finds it. `only` and `never` bound where it may run; `power` is how
    often a lift must be found, with an interval of `level` percent.
    """
    if lift is not None and not 0 < lift <= 1:
        raise BadValue(f"lift must be a share above 0 and up to 1, not {lift:g}", hint="0.05 is 5 %")
    if isinstance(places, bool) or not isinstance(places, int) or places < 1:
        raise BadValue(f"places must be a whole number of at least 1, not {places!r}", hint="how many places to treat")
    if not 0 < power < 1:
        raise BadValue(f"power must be a share between 0 and 1, not {power!r}", hint="0.8 finds the lift four times in five")
    if level not in (50, 80, 90, 95):
        raise BadValue(f"there is no interval of {level} percent", hint="50, 80, 90 or 95")
    which = _table(ws, table)
    found = ws.table(which, where=_ask.pairs(where, "where"), since=since)
    laid = lay.lay(found, which, kpi=kpi, by=by, needed=(*_ask.names(only), *_ask.names(never)))
    tried = _lengths(lengths, laid)
    job = {"count": places, "lengths": tried, "only": _ask.names(only), "never": _ask.names(never)}
    done = _run(ws, "design", laid.table, job | {"power": power, "level": level, "seed": seed}, progress)
    rows: list[dict[str, Any]] = json.loads(done["designs"])
    best = next((row for row in rows if lift is not None and row["detectable"] <= lift), rows[-1])
    facts = (*_planned(best, laid, power, lift), *laid.facts)
    source = {"table": which, "digest": ws.table_digest(which), "kpi": laid.kpi, "treated": best["treated"], "length": best["length"]}
    return Answer(facts, _board(rows, lift), words=_advice(best, laid, power, lift), source=source)


def _table(ws: Workspace, table: str | None) -> str:
    """Return the table that is meant; raises NotFound where none of TABLES is loaded."""
    found = table or next((name for name in TABLES if ws.table_digest(name) is not None), None)
    if found is None:
        raise NotFound("neither outcomes nor sales is loaded", hint=f"tradewind load FILE --table {TABLES[0]}")
    return found


def _run(ws: Workspace, what: str, table: Table, job: Mapping[str, Any], progress: Progress) -> dict[str, bytes]:
    memory, deadline = int(ws.options["train_memory_mb"]), float(ws.options["train_deadline_s"])
    parts = {"job": json.dumps(job).encode(), "table": table.to_bytes()}
    # many small matrices: a second thread waits more than it works (GeoLift: 19 processor seconds with two, 3 with one)
    done = ws.pool.run(JOB.format(what), parts, progress=progress, memory_mb=memory, deadline_s=deadline, threads=1)
    progress("done", 1.0, what)
    return done


def _kept(ws: Workspace, made: kit.Measured, rows: list[dict[str, Any]], kpi: str) -> tuple[Fact, ...]:
    """Load an effect into `experiments` by the action that loads; one that was refuted, or has no error, is not kept, and that is said."""
    if not made.effect.sound or made.effect.standard_error == 0:
        return (Fact("kept", 0, "rows", "a check failed, or there is no error: it would mislead roi"),)
    frame: dict[str, Any] = {key: [row[key] for row in rows] for key in rows[0]}
    dates = {key: np.array(frame[key], "M8[D]") for key in ("start", "end")}
    plain = {key: np.array(values, object if isinstance(values[0], str) else "f8") for key, values in frame.items() if key not in dates}
    data.load(ws, Table.from_columns(plain | dates).frame, table="experiments")
    return (Fact("kept", len(rows), "rows", f"in experiments; roi reads the lift in the unit of its outcome, this one is {kpi}"),)


def _window(made: kit.Measured, laid: lay.Laid, own: Sequence[str], span: tuple[str, str]) -> tuple[Fact, ...]:
    after = int(made.path.column("treated").sum())
    return (
        Fact("kpi", laid.kpi, "", f"summed by {laid.by}" if laid.by else "summed over everything"),
        Fact("treated", ", ".join(own) or lay.WHOLE),
        Fact("from", span[0]),
        Fact("until", span[1]),
        Fact("periods", after, laid.clock.grain.name),
        Fact("before", len(made.path) - after, laid.clock.grain.name),
        Fact("controls", made.controls, "", "units left alone that it is compared with"),
        Fact("method", made.method, "", made.why),
    )


def _numbers(made: kit.Measured) -> tuple[Fact, ...]:
    """Return lift, total and mean effect with their intervals, then what was tried to refute them and what they rest on."""
    lift = () if made.lift is None else made.lift.scaled(100, unit="%").facts("lift")[:3]
    unit, checks = made.effect.unit, made.effect.facts("effect")
    others = (*lift, *made.total.facts("total")[:3], *checks[:3], Fact("standard error", made.total.standard_error, unit, "of the total"))
    return (*others, *checks[3:], *(Fact("rests on", text) for text in made.effect.assumptions))


def _words(made: kit.Measured, kpi: str, own: Sequence[str], span: tuple[str, str]) -> str:
    where = f"{kpi} of {', '.join(own) or lay.WHOLE}, {span[0]} to {span[1]}"
    shown: Effect = made.total if made.lift is None else made.lift.scaled(100)
    sign = "" if made.lift is None else " %"
    low, high = shown.intervals[90]
    said = f"{shown.estimate:+,.1f}{sign} (90 % interval {low:+,.1f} to {high:+,.1f}{sign})"
    words = f"{where}: {said}." if shown.excludes(0.0, level=90) else f"{where}: no effect is shown, {said}."
    words += "" if made.lift is None else f" That is {made.total.estimate:+,.0f} in all."
    failed = [f"{check.name}: {check.words}" for check in made.effect.checks if check.passed is False]
    return words + (f" Do not rest on it; {'; '.join(failed)}." if failed else " No check failed.")


def _lengths(asked: Sequence[int] | int, laid: lay.Laid) -> list[int]:
    """Return the lengths to try, in order; the usual ones only as far as the history allows."""
    if asked:
        chosen = [asked] if isinstance(asked, int) else list(asked)
        if any(isinstance(one, bool) or not isinstance(one, int) or one < 1 for one in chosen):
            raise BadValue("lengths must be whole numbers of periods, at least 1", hint="lengths=[14, 28]")
        return sorted(set(chosen))
    usual = LENGTHS[laid.clock.grain.name]
    return [one for one in usual if 4 * one <= laid.starts] or [usual[0]]


def _board(rows: Sequence[Mapping[str, Any]], lift: float | None) -> Table:
    """Return a row per length; `power` is the chance to find the lift hoped for, where one is."""
    made = {key: np.array([float(row[key]) for row in rows]) for key in ("detectable", "error", "share", "alarms")}
    names = {"length": np.array([row["length"] for row in rows]), "treated": np.array([", ".join(row["treated"]) for row in rows], object)}
    if lift is None:
        return Table.from_columns(names | made)
    return Table.from_columns(names | {"power": np.array([np.interp(lift, row["lifts"], row["power"]) for row in rows])} | made)


def _planned(best: Mapping[str, Any], laid: lay.Laid, power: float, lift: float | None) -> tuple[Fact, ...]:
    facts = (
        Fact("treat", ", ".join(best["treated"]), "", f"of {len(laid.units)} by {laid.by}"),
        Fact("length", best["length"], laid.clock.grain.name),
        Fact("detectable", 100 * best["detectable"], "%", f"the lift of {laid.kpi} found {100 * power:g} times in a hundred"),
        Fact("share", 100 * best["share"], "%", f"of all {laid.kpi} is treated"),
        Fact("false alarms", 100 * best["alarms"], "%", "of past stretches without a test in which it would have found one"),
    )
    if lift is None:
        return facts
    return (*facts, Fact("power", float(np.interp(lift, best["lifts"], best["power"])), "", f"chance to find a lift of {100 * lift:g} %"))


def _advice(best: Mapping[str, Any], laid: lay.Laid, power: float, lift: float | None) -> str:
    places, long = ", ".join(best["treated"]), f"{best['length']} {laid.clock.grain.name}s"
    if not np.isfinite(best["detectable"]):
        return f"No test of {long} in {places} finds any lift of {laid.kpi} that is looked for: treat more places, or test for longer."
    found = f"a lift of {100 * best['detectable']:.1f} % is found {100 * power:.0f} times in a hundred"
    if lift is not None and best["detectable"] > lift:
        return f"No length tried finds a lift of {100 * lift:g} % that often. In {places} for {long}, {found}."
    return f"Treat {places} for {long}: {found}."
