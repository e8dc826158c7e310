"""A desk with the real one's methods and none of its machinery: what the HTTP face and the page are tested against."""

from __future__ import annotations

import datetime as dt
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue, NotAllowed, NotFound, NotSignedIn
from tradewind.core.event import OWNER, Actor, Event
from tradewind.core.model import SILENT
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table

PERMITS = {
    "status": "read",
    "tables": "read",
    "show": "read",
    "load": "load",
    "versions": "read",
    "card": "read",
    "train": "train",
    "evaluate": "evaluate",
    "predict": "predict",
    "effects": "predict",
    "plan": "predict",
    "measure": "evaluate",
    "design": "evaluate",
    "update": "promote",
    "promote": "promote",
    "rollback": "promote",
    "split": "promote",
    "verify": "read",
    "export": "export",
    "import": "export",
    "audit": "admin",
    "tokens": "admin",
    "create_token": "admin",
    "revoke_token": "admin",
    "rotate": "admin",
    "backup": "admin",
    "forget": "admin",
    "dance": "read",
}
ACTIONS = {name: SimpleNamespace(name=name, permits=permits, doc=f"Do {name}.\n\nMore.") for name, permits in PERMITS.items()}
ASKS = Schema(
    (
        Column("product", Role.ENTITY, Type.TEXT, True),
        Column("store", Role.ENTITY, Type.TEXT),
        Column("date", Role.TIME, Type.DATE, True),
        Column("price", Role.LEVER, minimum=0),
        Column("promotion", Role.LEVER, minimum=0, maximum=1),
    )
)
START = dt.date(2026, 6, 1)
PRODUCTS = (("P1", "S1"), ("P1", "S2"), ("Tee & Kaffee <b>", "S1"))
DAYS = 120


class Ledger:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def head(self) -> int:
        return len(self.events)

    def append(self, event: Event) -> Event:
        self.events.append(replace(event, id=len(self.events) + 1, at="2026-06-01T00:00:00Z"))
        return self.events[-1]

    def read(self, *kinds: str, after: int = 0, limit: int | None = None, newest: bool = False) -> list[Event]:
        return [event for event in self.events if event.id > after and (not kinds or event.kind in kinds)][:limit]


@dataclass
class State:
    tokens: dict[str, Actor] = field(
        default_factory=lambda: {f"tw_{role}": Actor(role, role) for role in ("viewer", "analyst", "approver", "admin")}
    )
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    isolation: str = "full"
    trained: bool = True
    broken: bool = False
    slow_s: float = 0.0


def table_of(rows: list[dict[str, Any]]) -> Table:
    kinds = {"date": Type.DATE}
    columns = tuple(
        Column(name, type=kinds.get(name, Type.TEXT if isinstance(value, str) else Type.NUMBER)) for name, value in rows[0].items()
    )
    return Table.from_rows(rows, Schema(columns))


@dataclass
class FakeDesk:
    actor: Actor = OWNER
    ledger: Ledger = field(default_factory=Ledger)
    state: State = field(default_factory=State)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def pool(self) -> Any:
        worker = SimpleNamespace(pid=1, rss_mb=61.0, isolation={"level": self.state.isolation}, started=0.0, calls=3)
        return SimpleNamespace(held=lambda: {"demand@2-abc": worker} if self.state.trained else {})

    @property
    def view(self) -> Any:
        return SimpleNamespace(fresh=lambda now=False: SimpleNamespace(versions={"demand": {2: None}} if self.state.trained else {}))

    def deployment(self, model: str) -> Any:
        return SimpleNamespace(stable=2 if self.state.trained else 0, challenger=0, share=0.0)

    def as_(self, actor: Actor) -> FakeDesk:
        return replace(self, actor=actor)

    def actor_of(self, token: str) -> Actor:
        if token not in self.state.tokens:
            raise NotSignedIn("the token is unknown or revoked")
        return self.state.tokens[token]

    def warm(self) -> None: ...

    def cached(self, model: str, *, horizon: int | None, where: Any, explain: bool = False, key: str = "") -> bool:
        return horizon == 30 and where == {"product": "P1", "store": "S1"} and not explain

    def _door(self, action: str, /, **given: Any) -> None:
        self.state.calls.append((action, given))
        if not self.actor.may(PERMITS[action]):
            raise NotAllowed(f"role {self.actor.role!r} may not {action}", hint=f"it needs the permission {PERMITS[action]!r}")
        if self.state.broken:
            raise RuntimeError("secret detail of a fault")

    def status(self) -> Answer:
        self._door("status")
        return Answer((Fact("isolation", self.state.isolation),), words="fine")

    def tables(self) -> Answer:
        self._door("tables")
        return Answer(table=table_of([{"table": "sales", "rows": 240.0}]), words="1 table is loaded.")

    def show(self, table: str, *, where: Any = None, since: Any = None, until: Any = None, limit: int = 100, version: Any = None) -> Answer:
        self._door("show", table=table, where=where, since=since, limit=limit)
        if table == "promotions":
            rows = [{"promotion": "Summer", "product": "P1", "start": "2026-06-05", "end": "2026-06-08", "mechanic": "2 for 1"}]
        elif table == "sales":
            rows = [
                {
                    "date": str(START - dt.timedelta(DAYS - at)),
                    "product": product,
                    "store": store,
                    "units": 40.0 + at % 7,
                    "price": 2.5,
                    "promotion": float(at % 40 < 4),
                }
                for product, store in PRODUCTS
                for at in range(DAYS)
            ]
        else:
            raise NotFound(f"table {table!r} is not loaded", hint="load it")
        rows = [row for row in rows if all(str(row.get(name)) == str(value) for name, value in (where or {}).items())]
        rows = [row for row in rows if since is None or row.get("date", "9999") >= since]
        shown = table_of(rows[-limit:]) if rows else None
        return Answer(
            (Fact("rows", len(rows)),), shown, words=f"{len(rows[-limit:])} of {len(rows)} rows", source={"rows": len(rows[-limit:])}
        )

    def predict(
        self,
        model: str,
        asked: Any = None,
        *,
        horizon: int | None = None,
        where: Any = None,
        explain: bool = False,
        key: str = "",
        version: int | None = None,
        by: Any = None,
        quantiles: Any = None,
    ) -> Answer:
        self._door("predict", model=model, asked=asked, horizon=horizon, where=where, explain=explain, key=key, version=version)
        self.state.calls[-1][1].update({name: value for name, value in (("by", by), ("quantiles", quantiles)) if value is not None})
        if not self.state.trained or model != "demand":
            raise NotFound(f"there is no model {model!r}", hint="models: demand")
        time.sleep(self.state.slow_s)
        if horizon is not None and not 1 <= horizon <= 3660:
            raise BadValue(f"horizon must be a whole number from 1 to 3660, not {horizon}")
        if asked is None:
            keys = [
                pair
                for pair in PRODUCTS
                if all(dict(zip(("product", "store"), pair, strict=True)).get(name) == value for name, value in (where or {}).items())
            ]
            if not keys:
                raise NotFound("no series fits", hint="products: P1")
            asked = [
                {"product": product, "store": store, "date": str(START + dt.timedelta(day)), "price": 2.5, "promotion": 0.0}
                for product, store in keys
                for day in range(horizon or 30)
            ]
        table = (
            asked
            if isinstance(asked, Table)
            else Table.from_rows(asked, ASKS)
            if isinstance(asked, list)
            else Table.from_frame(asked, ASKS)
        )
        price = table.column("price") if "price" in table else np.full(len(table), 2.5)
        on = table.column("promotion") if "promotion" in table else np.zeros(len(table))
        weekday = (table.column("date").astype("i8") + 3) % 7
        p50 = (40 + 2.0 * weekday) * (np.nan_to_num(price, nan=2.5) / 2.5) ** -1.4 * (1 + 0.5 * np.nan_to_num(on))
        columns: dict[str, Any] = {name: table.column(name) for name in ("product", "store", "date") if name in table}
        columns |= {"mean": p50 * 1.02, "p50": p50}
        for level, width in (("50", 0.1), ("80", 0.2), ("90", 0.25), ("95", 0.3)):
            columns |= {f"lo{level}": p50 * (1 - width), f"hi{level}": p50 * (1 + 1.3 * width)}
        if explain:
            columns |= {"driver_price": p50 * -0.05, "driver_promotion": p50 * 0.4 * np.nan_to_num(on), "driver_season": weekday * 1.0}
        made = Table.from_columns(
            columns, Schema((Column("product", type=Type.TEXT), Column("store", type=Type.TEXT), Column("date", type=Type.DATE)))
        )
        return Answer(
            (Fact("rows", len(made)),),
            made,
            words=f"{len(made)} rows",
            source={"model": "demand", "version": 2, "recipe": "boosted", "rows": len(made)},
        )

    def versions(self, model: str | None = None) -> Answer:
        self._door("versions", model=model)
        rows = [
            {
                "model": "demand",
                "version": float(at),
                "recipe": "boosted",
                "state": "serving" if at == 2 else "",
                "by": "owner",
                "at": "2026-06-01",
            }
            for at in range(1, 6)
        ]
        return Answer(table=table_of(rows), words="5 versions.")

    def card(self, model: str, *, version: int | None = None) -> Answer:
        self._door("card", model=model, version=version)
        rows = [
            {"recipe": "boosted", "wape": 0.31, "mase": 0.8, "bias": 0.01, "coverage_80": 0.79, "seconds": 12.0},
            {"recipe": "naive", "wape": 0.42, "mase": 1.0, "bias": -0.02, "coverage_80": 0.81, "seconds": 0.1},
        ]
        return Answer((Fact("version", 2),), table_of(rows), words="# Demand")

    def train(
        self,
        model: str,
        table: str | None = None,
        *,
        budget: Any = None,
        params: Any = None,
        recipes: Any = None,
        seed: int = 0,
        search_s: float = 0.0,
        grant: tuple[str, ...] = (),
        progress: Any = SILENT,
    ) -> Answer:
        self._door("train", model=model, budget=budget, recipes=recipes, seed=seed, search_s=search_s)
        if model != "demand":
            raise NotFound(f"there is no model {model!r}")
        for step in range(200):
            progress("search", step / 200, f"step {step}")
            if self.state.go.wait(0.01):
                break
        self.ledger.append(Event("train", self.actor.name, {"model": model, "version": 3}))
        return Answer((Fact("version", 3),), words="trained")

    def update(self, model: str, *, progress: Any = SILENT) -> Answer:
        self._door("update", model=model)
        progress("compare", 0.2, "forecast against actual")
        self.ledger.append(Event("update", self.actor.name, {"model": model, "version": 3, "updated_from": 2}))
        return Answer((Fact("version", 3), Fact("wape", 0.3)), table_of([{"product": "P1", "actual": 4.0, "p50": 5.0}]), words="moved on")

    def effects(self, model: str, *, version: int | None = None) -> Answer:
        self._door("effects", model=model, version=version)
        rows = [
            {"product": f"P{at}", "lever": "price", "kind": "elasticity", "effect": -1.4, "lo80": -2.0, "hi80": -1.0} for at in range(3)
        ]
        return Answer(table=table_of(rows), words="price")

    def plan(
        self, model: str, asked: Any = None, *, budget: Any = None, lock: Any = None, limits: Any = None, version: Any = None
    ) -> Answer:
        self._door("plan", model=model, asked=asked, budget=budget, lock=lock, limits=limits)
        return Answer((Fact("budget", budget),), table_of([{"lever": "TV", "spend": 4.0}]), words="spend 4 on TV")

    def measure(self, treated: Any, start: str, end: str | None = None, *, progress: Any = SILENT, **more: Any) -> Answer:
        self._door("measure", treated=treated, start=start, end=end, **more)
        return Answer((Fact("lift", 5.4, "%"),), table_of([{"observed": 4.0}]), words="5.4 %", source={"sound": True})

    def design(self, places: int = 1, lengths: Any = (), lift: Any = None, *, progress: Any = SILENT, **more: Any) -> Answer:
        self._door("design", places=places, lengths=lengths, lift=lift, **more)
        return Answer(words="treat a")

    def evaluate(
        self, model: str, *, folds: int = 3, horizon: int | None = None, recipes: Any = None, seed: int = 0, progress: Any = SILENT
    ) -> Answer:
        self._door("evaluate", model=model, folds=folds, horizon=horizon)
        return Answer(words="scored")

    def load(
        self,
        source: Any,
        table: str | None = None,
        *,
        map: Any = None,
        wide: Any = (),
        query: Any = None,
        sheet: Any = None,
        keep_duplicates: bool = True,
        progress: Any = SILENT,
    ) -> Answer:
        content = source.read_bytes() if isinstance(source, Path) else b""
        self._door(
            "load",
            name=getattr(source, "name", ""),
            table=table,
            size=len(content),
            map=map,
            wide=wide,
            sheet=sheet,
            keep_duplicates=keep_duplicates,
            path=source,
        )
        if b"bad" in content[:100]:
            raise BadValue("column units holds 'bad'", hint="look at row 3")
        return Answer((Fact("rows", content.count(b"\n")),), words="loaded")

    def promote(self, model: str, version: int | None = None, *, force: bool = False, reason: str = "") -> Answer:
        self._door("promote", model=model, version=version, force=force, reason=reason)
        self.ledger.append(Event("promote", self.actor.name, {"model": model, "version": version or 2, "secret": "x"}))
        return Answer(words=f"version {version or 2} serves", source={"count": len(self.ledger.events)})

    def rollback(self, model: str, *, reason: str = "") -> Answer:
        self._door("rollback", model=model, reason=reason)
        return Answer(words="back")

    def split(self, model: str, challenger: int, share: float, *, reason: str = "") -> Answer:
        self._door("split", model=model, challenger=challenger, share=share)
        return Answer(words="split")

    def verify(self, model: str | None = None, *, version: int | None = None) -> Answer:
        self._door("verify", model=model, version=version)
        return Answer(words="verified")

    def export(self, model: str, folder: Any, *, version: int | None = None) -> Answer:
        self._door("export", model=model, version=version)
        folder.mkdir(parents=True)
        (folder / "demand_forecasting.json").write_text("{}")
        (folder.parent / f"{folder.name}.pub.pem").write_text("key")
        return Answer(words="written")

    def import_(self, model: str, folder: Any, *, trust: Any = None) -> Answer:
        self._door("import", model=model, files=sorted(path.name for path in folder.iterdir()) if folder else [])
        return Answer(words="taken in")

    def create_token(self, role: str, *, name: str = "", days: float = 90) -> Answer:
        self._door("create_token", role=role, name=name, days=days)
        self.state.tokens[f"tw_new_{role}"] = Actor(name or role, role)
        return Answer((Fact("token", f"tw_new_{role}"),), words="keep it")

    def tokens(self) -> Answer:
        self._door("tokens")
        return Answer(words="4 tokens")

    def revoke_token(self, token: str) -> Answer:
        self._door("revoke_token", token=token)
        self.state.tokens.pop(token, None)
        return Answer(words="revoked")

    def audit(self, *, verify: bool = False, after: int = 0, limit: int = 100, anchor: str | None = None) -> Answer:
        self._door("audit", verify=verify, after=after, limit=limit)
        return Answer(words="events")

    def rotate(self) -> Answer:
        self._door("rotate")
        return Answer(words="rotated")

    def backup(self, path: Any, *, keys: bool = True) -> Answer:
        self._door("backup", keys=keys)
        path.write_bytes(b"backup bytes")
        return Answer(words="written")

    def forget(self, customer: str) -> Answer:
        self._door("forget", customer=customer)
        return Answer(words="forgotten")

    def dance(self, steps: int) -> Answer:
        self._door("dance", steps=steps)
        return Answer(words=f"{steps} steps")
