"""Trials of a knob search are events that stay; a stopped run hands them to the next one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tradewind
from tradewind.actions._learn import ready
from tradewind.core.errors import BadValue, Cancelled, InvalidInput
from tradewind.core.model import SILENT, Progress
from tradewind.core.table import Table
from tradewind.desk import Desk, begin
from tradewind.models import get
from tradewind.settings import Settings
from tradewind.training.search import Trial

TRIALS = [Trial("weekly", at, {"scale": 1.0 + at, "threads": 1}, 0.5, 0.1, "done") for at in range(2)]


def test_every_trial_is_an_event_and_a_resumed_run_gets_them(
    desk: Desk, sold: Callable[..., pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.load(sold(84), table="sales")
    seen: list[Mapping[str, Any]] = []

    def stopped(entry: str, parts: Mapping[str, bytes], *, progress: Progress, **limits: Any) -> Any:
        seen.append({"job": json.loads(parts["job"]), "trials": json.loads(parts["trials"])})
        if not seen[-1]["trials"]:
            for trial in TRIALS:
                progress.keep(f"trial/weekly/{trial.number}", trial.to_bytes())
        progress.keep("weekly/0", b"piece")
        raise Cancelled("enough")

    monkeypatch.setattr(desk.pool, "run", stopped)
    for search_s in (60, 60, 30):
        with pytest.raises(Cancelled):
            desk.train("toy_demand", search_s=search_s)
    events = desk.ledger.read("trial")
    assert [(event.body["recipe"], event.body["number"], event.body["value"], event.body["model"]) for event in events[:2]] == [
        ("weekly", 0, 0.5, "toy_demand"),
        ("weekly", 1, 0.5, "toy_demand"),
    ]
    assert [len(said["trials"]) for said in seen] == [0, 2, 0], "another budget is another job"
    assert [Trial.from_dict(trial) for trial in seen[1]["trials"]] == TRIALS
    assert seen[0]["job"]["search_s"] == 60
    pieces = {event.body["piece"] for event in desk.ledger.read("piece")}
    assert pieces == {"weekly/0"}, "a trial is not a piece"


def test_a_training_with_a_search_says_how_many_it_tried_and_each_is_in_the_ledger(desk: Desk, sold: Callable[..., pl.DataFrame]) -> None:
    desk.load(sold(200), table="sales")
    answer = desk.train("toy_demand", search_s=0.5)
    events = desk.ledger.read("trial")
    assert answer.fact("trials") == len(events) > 1
    assert {event.body["recipe"] for event in events} <= {"flat", "weekly"}
    assert desk.artifact("toy_demand").manifest["params"]["scale"] == pytest.approx(1.0, abs=0.05), "1 is right, whatever was tried"
    assert desk.ledger.read()[-1].kind == "train"


def test_a_search_without_room_for_it_says_so(desk: Desk, sold: Callable[..., pl.DataFrame]) -> None:
    desk.load(sold(140), table="sales")
    fact = next(fact for fact in desk.train("toy_demand", search_s=0.5).facts if fact.name == "trials")
    assert fact.value == 0 and "too little history" in fact.meaning


@pytest.mark.parametrize("search_s", [-1.0, 1e9, float("nan")])
def test_a_budget_that_is_none_is_refused(desk: Desk, search_s: float) -> None:
    with pytest.raises(BadValue, match="search_s"):
        desk.train("toy_demand", search_s=search_s)


def test_a_country_is_kept_by_a_new_workspace_only(tmp_path: Path) -> None:
    new = tmp_path / "new"
    begin(new, country="de", subdivision="BY")
    assert (Settings.read(new).country, Settings.read(new).subdivision) == ("DE", "BY")
    with pytest.raises(InvalidInput, match="is there already") as refused:
        begin(new, country="fr")
    assert 'country = "FR"' in refused.value.hint and Settings.read(new).country == "DE"
    for code in ("Atlantis", ""):
        with pytest.raises(BadValue, match="no holiday calendar"):
            begin(tmp_path / "other", country=code, subdivision="BY")
    assert not (tmp_path / "other").exists()


def test_days_learned_without_any_holiday_say_so(desk: Desk, sold: Callable[..., pl.DataFrame], tmp_path: Path) -> None:
    def said(told: Desk, frame: pl.DataFrame) -> set[str]:
        told.load(frame, table="sales")
        return {fact.name for fact in ready(told, get("demand"), None, SILENT).facts}

    assert "holidays" in said(desk, sold(60))
    begin(tmp_path / "de", country="DE")
    with tradewind.open(tmp_path / "de") as german, tradewind.open(tmp_path / "weeks") as weekly:
        assert "holidays" not in said(german, sold(60))
        assert "holidays" not in said(weekly, sold(60).filter(pl.col("date").dt.weekday() == 1))


def test_a_slip_in_a_price_is_not_learned_from_and_said(desk: Desk, sold: Callable[..., pl.DataFrame]) -> None:
    frame = sold(60).with_columns(price=pl.when(pl.int_range(pl.len()) == 30).then(300.0).otherwise(3.0))
    desk.load(frame, table="sales")
    given = ready(desk, get("demand"), None, SILENT)
    assert [fact.value for fact in given.facts if fact.name == "slips.sales.price"] == [1]
    assert float(np.nanmax(Table.from_bytes(given.data).column("price"))) == 3.0
    assert desk.show("sales", limit=1000).table.column("price").max() == 300.0, "what is loaded stays as it is"
