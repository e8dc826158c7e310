"""An update compares, adapts, serves at once, and is one event; whatever stops it leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, Busy, GoalMissed, NotAllowed, NotFound, WorkerDied
from tradewind.core.event import Actor
from tradewind.core.model import Progress
from tradewind.desk import Desk
from tradewind.registry import artifact, gates

Sold = Callable[..., pl.DataFrame]


def kinds(desk: Desk) -> list[str]:
    return [event.kind for event in desk.ledger.read()]


def test_forecast_against_actual_is_shown_and_scored(served: Desk, sold: Sold) -> None:
    served.load(sold(91, more=2.0), table="sales")
    answer = served.update("toy_demand")
    table = answer.table
    assert table is not None and table.names == ("product", "date", "actual", "mean", "p50", "lo80", "hi80", "lo95", "hi95")
    assert len(table) == answer.fact("rows") == 14
    np.testing.assert_allclose(table.column("actual") - table.column("p50"), 2.0)
    actual = table.column("actual").sum()
    assert answer.fact("wape") == pytest.approx(28 / actual, abs=1e-6) and answer.fact("bias") == pytest.approx(-28 / actual, abs=1e-6)
    assert (answer.fact("coverage_80"), answer.fact("coverage_95")) == (0.0, 1.0), "the old bounds are one and two units wide"
    assert (answer.fact("from"), answer.fact("to"), answer.fact("version")) == ("2024-03-25", "2024-03-31", 2)


def test_the_moved_version_serves_at_once_by_one_event(served: Desk, sold: Sold) -> None:
    served.load(sold(91), table="sales")
    before = served.ledger.head()
    served.update("toy_demand")
    events = served.ledger.read(after=before)
    assert [event.kind for event in events] == ["update"]
    assert {"version": 2, "updated_from": 1, "recipe": "weekly"}.items() <= events[0].body.items()
    assert served.deployment("toy_demand").stable == 2
    answer = served.predict("toy_demand", horizon=1)
    assert answer.source["version"] == 2 and str(answer.table.column("date")[0]) == "2024-04-01"
    assert (answer.table.column("hi80") - answer.table.column("p50"))[0] == 3.0, "intervals followed"


def test_its_manifest_says_where_it_comes_from(served: Desk, sold: Sold) -> None:
    served.load(sold(91), table="sales")
    served.update("toy_demand")
    old, new = served.artifact("toy_demand", 1).manifest, served.artifact("toy_demand", 2).manifest
    assert new["updated_from"] == 1 and "updated_from" not in old
    assert (new["recipe"], new["params"], new["scores"], new["leaderboard"]) == (
        old["recipe"],
        old["params"],
        old["scores"],
        old["leaderboard"],
    )
    assert new["facts"]["span"] == ["2024-01-01", "2024-03-31"] and new["facts"]["folds"] == old["facts"]["folds"]
    assert new["data"] != old["data"]
    assert [row["version"] for row in served.versions("toy_demand").table.to_rows()] == [1, 2]


def test_a_rollback_leads_to_the_version_before_and_updates_may_follow_each_other(served: Desk, sold: Sold) -> None:
    for days in (91, 98):
        served.load(sold(days), table="sales")
        served.update("toy_demand")
    assert served.deployment("toy_demand").stable == 3
    served.rollback("toy_demand")
    assert served.deployment("toy_demand").stable == 2


def test_new_series_and_days_too_far_ahead_are_said_and_not_compared(served: Desk, sold: Sold) -> None:
    served.load(sold(91, names=("a", "b", "c")), table="sales")
    answer = served.update("toy_demand")
    assert answer.fact("rows") == 14 and "7 new actuals are of series" in answer.fact("note")
    served.load(sold(140), table="sales")
    later = served.update("toy_demand")
    assert later.fact("rows") == 14 and "7 of 49 new periods" in later.fact("note"), later.words


def test_nothing_newer_is_said_with_what_to_do(served: Desk) -> None:
    with pytest.raises(BadValue, match="no actual newer than 2024-03-24") as caught:
        served.update("toy_demand")
    assert "tradewind load" in caught.value.hint


def test_what_was_only_revised_is_said_to_wait_for_the_next_actual(served: Desk, sold: Sold) -> None:
    served.load(sold(84).with_columns(pl.col("units") + 1), table="sales")
    with pytest.raises(BadValue, match="what was loaded since comes in with the next newer one") as caught:
        served.update("toy_demand")
    assert "tradewind train toy_demand" in caught.value.hint


def test_nothing_serving_is_not_found(desk: Desk, sold: Sold) -> None:
    desk.load(sold(84), table="sales")
    with pytest.raises(NotFound, match="no version of toy_demand serves"):
        desk.update("toy_demand")


def test_a_recipe_that_cannot_move_on_says_so(served: Desk, sold: Sold) -> None:
    served.train("toy_demand", recipes=["flat"])
    served.promote("toy_demand", 2, force=True, reason="a test")
    served.load(sold(91), table="sales")
    with pytest.raises(BadValue, match="flat of version 2 cannot be updated"):
        served.update("toy_demand")


def test_only_who_may_promote_may_update(served: Desk) -> None:
    with pytest.raises(NotAllowed):
        served.as_(Actor("ann", "analyst")).update("toy_demand")


def test_a_version_that_is_not_safe_does_not_serve_and_leaves_nothing(served: Desk, sold: Sold, monkeypatch: pytest.MonkeyPatch) -> None:
    served.load(sold(91), table="sales")
    blobs = set(served.blobs.digests())
    monkeypatch.setitem(gates.LIMITS, "memory_mb", (1.0, "MB", "a limit nobody keeps"))  # type: ignore[attr-defined]
    with pytest.raises(GoalMissed, match="memory_mb"):
        served.update("toy_demand")
    assert kinds(served)[-1] == "failed" and served.deployment("toy_demand").stable == 1
    assert list(served.view.versions["toy_demand"]) == [1] and not served.view.tried
    assert [name.partition("-")[0] for name in served.pool.held()] == ["toy_demand@1"]
    assert set(served.blobs.digests()) == blobs


def test_the_number_of_a_version_that_failed_is_given_again_and_no_answer_of_it_is_kept(
    served: Desk, sold: Sold, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.load(sold(91), table="sales")
    monkeypatch.setitem(gates.LIMITS, "memory_mb", (1.0, "MB", "a limit nobody keeps"))  # type: ignore[attr-defined]
    with pytest.raises(GoalMissed):
        served.update("toy_demand")
    monkeypatch.setitem(gates.LIMITS, "memory_mb", (512.0, "MB", "as it was"))  # type: ignore[attr-defined]
    served.load(sold(98), table="sales")
    served.update("toy_demand")
    answer = served.predict("toy_demand", where={"product": "a"})
    assert answer.source["version"] == 2 and str(answer.table.column("date")[0]) == "2024-04-08"


def test_another_version_that_began_to_serve_meanwhile_is_not_overridden(served: Desk, sold: Sold) -> None:
    served.load(sold(91), table="sales")
    served.train("toy_demand")

    def switch(stage: str) -> None:
        if stage == "update":
            served.promote("toy_demand", 2, force=True, reason="a person was quicker")

    with pytest.raises(Busy, match="meanwhile"):
        served.update("toy_demand", progress=Progress(lambda step: switch(step.stage)))
    assert served.deployment("toy_demand").stable == 2 and 3 not in served.view.versions["toy_demand"]


def test_it_does_not_run_beside_a_training(served: Desk, sold: Sold) -> None:
    served.load(sold(91), table="sales")
    with served.lock("train-toy_demand"), pytest.raises(Busy):
        served.update("toy_demand")


def test_a_worker_that_dies_leaves_the_old_version_serving(served: Desk, sold: Sold) -> None:
    served.load(sold(91), table="sales")

    def die(name: str) -> None:
        if name.startswith("toy_demand@2"):
            raise WorkerDied("the worker ended")

    served.pool.broken = die  # type: ignore[attr-defined]
    with pytest.raises(WorkerDied):
        served.update("toy_demand")
    assert served.predict("toy_demand", horizon=1).source["version"] == 1


def test_the_packed_version_is_signed_as_any_other(served: Desk, sold: Sold) -> None:
    served.load(sold(91), table="sales")
    answer = served.update("toy_demand")
    found = artifact.unpack(served.blobs.get(answer.source["blob"]), served.keys)
    assert found.version == 2 and found.manifest["made"]["by"] == "owner"
    served.verify("toy_demand")
