"""Two recipes: the mean of each product, and the mean of each product and weekday, which can do everything a recipe may."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toy_demand import MODEL
from tradewind.core.errors import BadValue, NotFound
from tradewind.core.model import Knob, quantile_name
from tradewind.core.table import Table

REACH = 28


class Shape:
    """What every recipe must do."""

    knobs = (Knob("scale", 1.0, 0.5, 2.0, meaning="multiplies the forecast"), Knob("threads", 1, 1, 8, meaning="nothing"))

    def __init__(self, name: str, *, weekly: bool = False) -> None:
        self.name, self.weekly = name, weekly

    def fit(self, seen: Table, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        units, day = seen.column("units").astype("f8"), (seen.column("date").astype("i8") + 3) % 7
        known = ~np.isnan(units)
        means = {}
        for name in sorted(set(seen.column("product").tolist())):
            mine = known & (seen.column("product") == name)
            rest = [units[mine & (day == at)] for at in range(7)] if self.weekly else [units[mine]] * 7
            means[name] = [float(values.mean()) * params["scale"] if len(values) else 0.0 for values in rest]
        return {"means": means, "last": str(seen.column("date")[known].max()), "width": 1.0}

    def predict(self, state: dict[str, Any], asked: Table) -> Table:
        day = (asked.column("date").astype("i8") + 3) % 7
        if (asked.column("date") <= np.datetime64(state["last"])).any():
            raise BadValue("not in the future")
        said = np.array([state["means"][name][at] for name, at in zip(asked.column("product"), day, strict=True)])
        width = state["width"]
        bounds = {"lo80": said - width, "hi80": said + width, "lo95": said - 2 * width, "hi95": said + 2 * width}
        keys = {name: asked.column(name) for name in ("product", "date")}
        return Table.from_columns(keys | {"mean": said, "p50": said} | bounds, MODEL.gives)

    def dump(self, state: dict[str, Any]) -> dict[str, bytes]:
        return {"state.json": json.dumps(state).encode()}

    def load(self, parts: Mapping[str, bytes]) -> dict[str, Any]:
        return dict(json.loads(parts["state.json"]))

    def expand(self, state: dict[str, Any], horizon: int | None, where: Mapping[str, Any]) -> Table:
        names = [name for name in state["means"] if where.get("product", name) == name]
        if not names:
            raise NotFound("no series fits")
        if (horizon or 1) > REACH:
            raise BadValue(f"at most {REACH} ahead")
        dates = np.datetime64(state["last"]) + 1 + np.arange(horizon or 7)
        return Table.from_columns({"product": np.repeat(np.array(names, object), len(dates)), "date": np.tile(dates, len(names))})


class Able(Shape):
    """What a recipe may do beside it."""

    def update(self, state: dict[str, Any], table: Table) -> dict[str, Any]:
        units = table.column("units").astype("f8")
        return state | {"last": str(table.column("date")[~np.isnan(units)].max()), "width": 3.0}

    def total(self, state: dict[str, Any], asked: Table, by: Sequence[str]) -> Table:
        if not set(by) <= {"product", "total", "total-period"}:
            raise NotFound(f"nothing to add up by {', '.join(by)}")
        said = self.predict(state, asked)
        groups = said.column("product") if "product" in by else np.full(len(said), "all", object)
        names = np.array(sorted(set(groups.tolist())), object)
        sums = np.array([said.column("mean")[groups == name].sum() for name in names])
        wide = {"lo80": sums - 1, "hi80": sums + 1, "lo95": sums - 2, "hi95": sums + 2}
        keys = {"product": names} if "product" in by else {}
        return Table.from_columns(keys | {"mean": sums, "p50": sums} | wide)

    def quantiles(self, state: dict[str, Any], asked: Table, levels: Sequence[float]) -> Table:
        said = self.predict(state, asked).column("p50")
        return Table.from_columns({quantile_name(level): said + level - 0.5 for level in levels})

    def effects(self, state: dict[str, Any]) -> Table:
        names = np.array(list(state["means"]), object)
        numbers = {name: np.full(len(names), value) for name, value in (("effect", -1.5), ("lo80", -2.0), ("hi80", -1.0))}
        lever = {"lever": np.full(len(names), "price", object), "kind": np.full(len(names), "elasticity", object)}
        return Table.from_columns({"product": names} | lever | numbers | {"lo95": numbers["lo80"] - 1, "hi95": numbers["hi80"] + 1})

    def notes(self, state: dict[str, Any], asked: Table) -> list[str]:
        return ["weekly served: it did best"]
