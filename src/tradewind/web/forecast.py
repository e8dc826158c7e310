"""What the forecast page shows: history, forecast, what-if, drivers, leaderboard. Reads through the desk's own actions."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np

from tradewind import models
from tradewind.core.answer import Answer
from tradewind.core.errors import BadValue, NotFound
from tradewind.core.model import Explains
from tradewind.core.schema import Role
from tradewind.core.table import Table

if TYPE_CHECKING:
    from tradewind.desk import Desk

MODEL = "demand"
HORIZONS = (7, 14, 30, 60, 90)
LEVELS = ("50", "80", "95")
SHOWN_SERIES = 1000
BOARD = {
    "recipe": "Recipe",
    "wape": "WAPE",
    "mase": "MASE",
    "bias": "Bias",
    "coverage_80": "Inside 80 %",
    "seconds": "Time, s",
}
PLANS = {"plan": "as planned", "on": "on, every day", "off": "off"}
GRAINS = ((1, "day", 180), (7, "week", 730), (28, "month", 1460))  # days apart, name, days of history shown


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for: the view is in the URL, so a link shows the same again."""

    series: tuple[str, ...] = ()
    horizon: int = 30
    price: int = 0  # percent against the present price
    promotion: str = "plan"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """Read an address; raises BadValue naming the part that does not fit."""
        horizon, price, promotion = query.get("horizon", "30"), query.get("price", "0"), query.get("promotion", "plan")
        if not re.fullmatch(r"\d{1,4}", horizon, re.ASCII) or not 1 <= int(horizon) <= 366:
            raise BadValue(f"horizon must be a whole number from 1 to 366, not {horizon[:20]!r}")
        if not re.fullmatch(r"[+-]?\d{1,3}", price, re.ASCII) or abs(int(price)) > 90:
            raise BadValue(f"price is a change in percent from -90 to 90, not {price[:20]!r}")
        if promotion not in PLANS:
            raise BadValue(f"promotion is {', '.join(PLANS)}, not {promotion[:20]!r}")
        return cls(unpack(query.get("series", "")), int(horizon), int(price), promotion)

    @property
    def changed(self) -> bool:
        """Tell whether anything differs from the plan."""
        return self.price != 0 or self.promotion != "plan"


@dataclass(frozen=True, slots=True)
class View:
    """Everything the panel shows."""

    asked: Asked
    keys: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    plan: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    promotions: Sequence[Mapping[str, str]]
    drivers: Sequence[tuple[str, float]]
    source: Mapping[str, Any]
    grain: str
    price: float | None
    notes: Sequence[str] = ()
    board: Sequence[Mapping[str, Any]] = ()
    isolation: str = ""
    totals: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """Return the chart's named data."""
        history = [{"date": row["date"], "value": row["value"]} for row in self.history]
        return {
            "history": history,
            "forecast": list(self.rows),
            "plan": list(self.plan) if self.asked.changed else [],
            "promotions": list(self.promotions),
        }


def pack(keys: Sequence[str]) -> str:
    """Write the keys of a series for an address."""
    return "/".join(quote(key, safe="") for key in keys)


def unpack(text: str) -> tuple[str, ...]:
    """Read the keys of a series from an address."""
    return tuple(unquote(part) for part in text.split("/")) if text else ()


@dataclass(frozen=True, slots=True)
class Known:
    """What the serving version can be asked: the names of its keys, every series, and whether it says what drives them."""

    names: tuple[str, ...]
    series: tuple[tuple[str, ...], ...]
    explains: bool


def known(desk: Desk) -> Known:
    """Return what can be asked; raises NotReady where no version serves."""
    answer = desk.predict(MODEL, horizon=1)
    table = _table(answer)
    names = tuple(name for name in models.get(MODEL).asks.of(Role.ENTITY) if name in table)
    found = dict.fromkeys(zip(*(map(str, table.column(name).tolist()) for name in names), strict=True)) if names else {(): None}
    return Known(names, tuple(found), isinstance(models.recipe(MODEL, str(answer.source["recipe"])), Explains))


def view(desk: Desk, asked: Asked, known: Known) -> View:
    """Return all that is shown of one series."""
    if len(asked.series) != len(known.names):
        raise NotFound("the address names no series", hint="choose one from the list")
    keys = dict(zip(known.names, asked.series, strict=True))
    planned = desk.predict(MODEL, horizon=asked.horizon, where=keys, explain=known.explains)
    plan = _table(planned)
    dates = [str(date) for date in plan.column("date").tolist()]
    step, grain, days = _grain(dates)
    history, price = _history(desk, keys, dates[0], days)
    changed = _changed(plan, keys, asked, price) if asked.changed else None
    answer = desk.predict(MODEL, changed, explain=known.explains) if asked.changed else planned
    by = list(known.names) or ["total"]
    summed = desk.predict(MODEL, changed, by=by) if asked.changed else desk.predict(MODEL, horizon=asked.horizon, where=keys, by=by)
    table = _table(answer)
    rows = _bands(table)
    return View(
        asked=asked,
        keys=keys,
        rows=rows,
        plan=[{"date": row["date"], "p50": row["p50"]} for row in _bands(plan)],
        history=history,
        promotions=_promotions(history, _tried(desk, keys, asked, dates), dates, step),
        drivers=_drivers(table),
        source=answer.source,
        grain=grain,
        price=price,
        notes=[str(fact.value) for fact in answer.facts if fact.name == "note"],
        board=_board(desk),
        isolation=_isolation(desk, answer.source),
        totals=_totals(table, _table(summed), plan, asked, price),
    )


def _table(answer: Answer) -> Table:
    if answer.table is None or len(answer.table) == 0:
        raise NotFound("the model gave no rows for this series", hint="choose another series")
    return answer.table


def _grain(dates: Sequence[str]) -> tuple[int, str, int]:
    """Return days between two dates, its name, and how much history belongs beside it."""
    apart = (dt.date.fromisoformat(dates[1][:10]) - dt.date.fromisoformat(dates[0][:10])).days if len(dates) > 1 else 1
    return max((grain for grain in GRAINS if grain[0] <= max(apart, 1)), key=lambda grain: grain[0])


def _history(desk: Desk, keys: Mapping[str, str], first: str, days: int) -> tuple[list[dict[str, Any]], float | None]:
    """Return what was sold before, and the present price; no history where the table of sales is not loaded."""
    since = (dt.date.fromisoformat(first[:10]) - dt.timedelta(days)).isoformat()
    try:
        table = desk.show("sales", where=dict(keys), since=since, limit=5000).table
    except NotFound:
        return [], None
    if table is None:
        return [], None
    rows = [
        {"date": row["date"], "value": row["units"], "price": row.get("price"), "promotion": row.get("promotion")}
        for row in table.to_rows()
    ]
    rows.sort(key=lambda row: str(row["date"]))
    priced = [row["price"] for row in rows if row["price"] and not row["promotion"]] or [row["price"] for row in rows if row["price"]]
    return rows, float(priced[-1]) if priced else None


def _changed(plan: Table, keys: Mapping[str, str], asked: Asked, price: float | None) -> list[dict[str, Any]]:
    """Return the questions of a what-if: the same dates, with the price and the promotion that were chosen."""
    change: dict[str, Any] = {}
    if asked.price:
        if price is None:
            raise BadValue("no price of this series is known, so it cannot be changed", hint="load sales or prices with a price column")
        change["price"] = round(price * (1 + asked.price / 100), 4)
    if asked.promotion != "plan":
        change["promotion"] = 1.0 if asked.promotion == "on" else 0.0
    return [{**keys, "date": str(date), **change} for date in plan.column("date").tolist()]


def _bands(table: Table) -> list[dict[str, Any]]:
    names = ["date", "mean", "p50", *(f"{side}{level}" for level in LEVELS for side in ("lo", "hi"))]
    return table.select([name for name in names if name in table]).to_rows()


def _promotions(
    history: Sequence[Mapping[str, Any]], planned: Sequence[Mapping[str, Any]], dates: Sequence[str], step: int
) -> list[dict[str, str]]:
    """Return the promotions as spans of time: those sold under, and those planned for the asked dates."""
    half = dt.timedelta(hours=12 * step)

    def span(first: str, last: str, name: str) -> dict[str, str]:
        start, end = dt.datetime.fromisoformat(first[:10]) - half, dt.datetime.fromisoformat(last[:10]) + half
        return {"start": start.isoformat() + "Z", "end": end.isoformat() + "Z", "name": name}

    spans: list[dict[str, str]] = []
    run: list[str] = []
    for row in [*history, {"date": "", "promotion": 0}]:
        if row.get("promotion"):
            run.append(str(row["date"]))
        elif run:
            spans.append(span(run[0], run[-1], "past promotion"))
            run = []
    for row in planned:
        first, last = str(row["start"])[:10], str(row["end"])[:10]
        if first <= dates[-1] and last >= dates[0]:
            spans.append(span(max(first, dates[0]), min(last, dates[-1]), str(row.get("mechanic") or row["promotion"])))
    return spans


def _tried(desk: Desk, keys: Mapping[str, str], asked: Asked, dates: Sequence[str]) -> list[dict[str, Any]]:
    """Return the promotions that the shown forecast assumes: the plan, or what is tried instead."""
    if asked.promotion == "on":
        return [{"start": dates[0], "end": dates[-1], "promotion": "tried: promotion on"}]
    return _planned(desk, keys) if asked.promotion == "plan" else []


def _planned(desk: Desk, keys: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        table = desk.show("promotions", where={name: value for name, value in keys.items() if name == "product"}, limit=2000).table
    except NotFound:  # no table of promotions is loaded: nothing is planned
        return []
    rows = table.to_rows() if table is not None else []
    return [row for row in rows if row.get("start") and row.get("end") and row.get("store") in (None, "", keys.get("store"))]


def _drivers(table: Table) -> list[tuple[str, float]]:
    """Return what moves the total, largest first, in units."""
    sums = [
        (name.removeprefix("driver_").replace("_", " "), float(np.nansum(table.column(name))))
        for name in table.names
        if name.startswith("driver_")
    ]
    return sorted(sums, key=lambda pair: -abs(pair[1]))[:8]


def _totals(table: Table, summed: Table, plan: Table, asked: Asked, price: float | None) -> dict[str, Any]:
    """Return the figures of the tiles; the total's interval is that of the sum."""
    total, before = (float(np.nansum(each.column("mean"))) for each in (table, plan))
    peak = int(np.nanargmax(table.column("p50")))
    said = {
        "total": total,
        "lo80": float(summed.column("lo80")[0]),
        "hi80": float(summed.column("hi80")[0]),
        "peak": peak,
        "planned": before,
    }
    said["change"] = total / before - 1 if before else 0.0
    if price is not None:
        now = price * (1 + asked.price / 100)
        said |= {"price": now, "revenue": total * now, "revenue_change": (total * now) / (before * price) - 1 if before and price else 0.0}
    return said


def _board(desk: Desk) -> list[dict[str, Any]]:
    """Return the leaderboard of the serving version, best first, the baseline marked."""
    table = desk.card(MODEL).table
    if table is None or "recipe" not in table:
        return []
    baseline = models.get(MODEL).recipes[0]
    rows = [
        {title: row.get(name) for name, title in BOARD.items() if name in table} | {"baseline": row["recipe"] == baseline}
        for row in table.to_rows()
    ]
    return sorted(rows, key=lambda row: (row.get("WAPE") is None, row.get("WAPE") or 0))


def _isolation(desk: Desk, source: Mapping[str, Any]) -> str:
    for name, state in desk.pool.held().items():
        if name.startswith(f"{source.get('model')}@{source.get('version')}-"):
            return str(state.isolation["level"])
    return "not started"
