"""The walks of the house, end to end, over the Python face."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tradewind
from tradewind.core.errors import Busy, GoalMissed, Incompatible, NotAllowed, NotFound, NotReady, NotSignedIn, Tampered, TradewindError
from tradewind.core.event import Actor
from tradewind.desk import Desk, restore


def asked(desk: Desk, days: int = 14, **columns: float) -> list[dict[str, object]]:
    first = desk.predict("demand", horizon=1).table
    product, store, day = (first.column(name)[0] for name in ("product", "store", "date"))
    return [{"product": product, "store": store, "date": str(day + at), **columns} for at in range(days)]


def test_default_answers_and_rows_agree(shop: Desk) -> None:
    rows = asked(shop)
    whole = shop.predict("demand", horizon=14, where={"product": rows[0]["product"], "store": rows[0]["store"]})
    single = shop.predict("demand", rows)
    assert len(whole.table) == len(single.table) == 14
    np.testing.assert_allclose(whole.table.column("p50"), single.table.column("p50"), rtol=1e-4)
    for low, high in (("lo95", "lo80"), ("lo80", "lo50"), ("lo50", "p50"), ("p50", "hi50"), ("hi50", "hi80"), ("hi80", "hi95")):
        assert (whole.table.column(low) <= whole.table.column(high) + 1e-6).all()


def test_a_default_answer_given_twice_is_the_same_object(shop: Desk) -> None:
    rows = asked(shop)
    where = {"product": rows[0]["product"], "store": rows[0]["store"]}
    first = shop.predict("demand", horizon=30, where=where)
    assert shop.cached("demand", horizon=30, where=where)
    assert shop.predict("demand", horizon=30, where=where) is first


def test_a_higher_price_never_sells_more(shop: Desk) -> None:
    cheap = shop.predict("demand", asked(shop, price=2.0)).table.column("mean").sum()
    dear = shop.predict("demand", asked(shop, price=6.0)).table.column("mean").sum()
    assert dear <= cheap + 1e-6


def test_drivers_come_with_the_answer_when_asked_for(shop: Desk) -> None:
    answer = shop.predict("demand", asked(shop), explain=True)
    assert [name for name in answer.table.names if name.startswith("driver_")]


def test_promotion_rollback_and_split_are_events(shop: Desk) -> None:
    shop.promote("demand", 2, force=True, reason="second season")
    assert shop.deployment("demand").stable == 2
    began = time.perf_counter()
    shop.rollback("demand", reason="worse on Monday")
    assert time.perf_counter() - began < 1
    assert shop.predict("demand", horizon=1).source["version"] == 1
    shop.split("demand", 2, 0.5)
    served = {shop.predict("demand", horizon=1, key=f"k{at}").source["version"] for at in range(40)}
    assert served == {1, 2}
    kinds = [event.kind for event in shop.ledger.read("promote", "rollback", "split")]
    assert kinds == ["promote", "promote", "rollback", "split"]


def test_a_promotion_that_misses_a_gate_is_refused_and_written_down(shop: Desk) -> None:
    shop.train("demand", recipes=["naive"])
    with pytest.raises(GoalMissed):
        shop.promote("demand")
    assert shop.deployment("demand").stable == 1
    assert shop.ledger.read("failed")[-1].body["action"] == "promote"
    with pytest.raises(TradewindError, match="reason"):
        shop.promote("demand", force=True)


def test_every_action_writes_one_event_and_a_refusal_too(shop: Desk) -> None:
    shop.ledger.flush()
    before = shop.ledger.head()
    shop.predict("demand", horizon=1)
    shop.ledger.flush()
    assert [event.kind for event in shop.ledger.read(after=before)] == ["predict"]
    viewer = shop.as_(Actor("vera", "viewer"))
    with pytest.raises(NotAllowed):
        viewer.train("demand")
    refused = shop.ledger.read("refused")[-1]
    assert (refused.actor, refused.body["action"]) == ("vera", "train")
    with pytest.raises(NotAllowed):
        shop.as_(Actor("x", "no such role")).predict("demand", horizon=1)


def test_tokens_open_the_door_until_they_are_revoked(shop: Desk) -> None:
    token = str(shop.create_token("viewer", name="page").fact("token"))
    assert shop.actor_of(token) == Actor("page", "viewer")
    assert token not in Path(shop.folder / "ledger.db").read_bytes().decode("latin-1")
    shop.revoke_token("page")
    with pytest.raises(NotSignedIn):
        shop.actor_of(token)
    old = str(shop.create_token("viewer", days=1e-9).fact("token"))
    time.sleep(1.1)
    with pytest.raises(NotSignedIn, match="expired"):
        shop.actor_of(old)


def test_loading_the_same_file_twice_changes_nothing(shop: Desk, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    shop.table("sales").frame.write_csv(file)
    digest = shop.table_digest("sales")
    answer = shop.load(file, table="sales")
    assert answer.fact("changed") is False and shop.table_digest("sales") == digest


def test_a_new_day_is_appended_and_the_old_state_stays_readable(shop: Desk) -> None:
    frame = shop.table("sales").frame
    day = frame.filter(pl.col("date") == frame["date"].max()).with_columns(date=pl.col("date") + pl.duration(days=1))
    shop.load(day, table="sales")
    assert len(shop.table("sales")) == frame.height + day.height
    assert len(shop.table("sales", version=1)) == frame.height


def test_a_bad_file_leaves_everything_as_it_was(shop: Desk, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("when,what\nyesterday,thing\n")
    digest, blobs = shop.table_digest("sales"), set(shop.blobs.digests())
    with pytest.raises(TradewindError) as caught:
        shop.load(file, table="sales")
    assert caught.value.hint
    assert shop.table_digest("sales") == digest and set(shop.blobs.digests()) == blobs


def test_a_reopened_workspace_is_the_same(shop: Desk) -> None:
    said = shop.predict("demand", horizon=3).table.to_rows()
    shop.close()
    with tradewind.open(shop.folder) as again:
        assert again.predict("demand", horizon=3).table.to_rows() == said
        assert again.audit(verify=True).fact("events_checked") > 3


def test_a_changed_byte_of_a_version_is_refused(shop: Desk) -> None:
    blob = str(shop.version("demand", 1).body["blob"])
    file = next(path for path in (shop.folder / "blobs").rglob(f"{blob}*") if path.stat().st_size > 1000)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    with pytest.raises(Tampered):
        shop.verify("demand", version=1)
    with pytest.raises(Tampered):
        shop.predict("demand", horizon=1)


def test_export_and_import_keep_the_version(shop: Desk, tmp_path: Path) -> None:
    shop.export("demand", tmp_path / "out")
    assert (tmp_path / "out" / "demand_forecasting.json").is_file()
    with tradewind.open(tmp_path / "other") as other:
        with pytest.raises(Tampered):
            other.import_("demand", tmp_path / "out")
        other.import_("demand", tmp_path / "out", trust=tmp_path / "out.pub.pem")
        other.promote("demand", force=True, reason="from head office")
        assert other.predict("demand", horizon=5).table.to_rows() == shop.predict("demand", horizon=5).table.to_rows()


def test_backup_and_restore(shop: Desk, tmp_path: Path) -> None:
    shop.backup(tmp_path / "shop.backup")
    with restore(tmp_path / "shop.backup", tmp_path / "copy") as copy:
        assert copy.predict("demand", horizon=2).table.to_rows() == shop.predict("demand", horizon=2).table.to_rows()
    with pytest.raises(TradewindError):
        restore(tmp_path / "shop.backup", tmp_path / "copy")


def test_rotation_keeps_everything_readable(shop: Desk) -> None:
    shop.rotate()
    assert shop.verify().fact("versions") == 2
    shop.close()
    with tradewind.open(shop.folder) as again:
        assert len(again.table("sales"))


def test_a_workspace_of_the_future_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text('{"tradewind": 99}')
    with pytest.raises(Incompatible):
        tradewind.open(tmp_path)


def test_what_is_not_there_is_said(shop: Desk) -> None:
    with pytest.raises(NotFound):
        shop.predict("weather", horizon=3)
    with pytest.raises(NotFound):
        shop.show("reviews")
    with pytest.raises(NotFound):
        shop.predict("demand", horizon=3, where={"product": "no such thing"})
    with tradewind.open() as empty, pytest.raises(NotReady):
        empty.predict("demand", horizon=3)
    for horizon in (0, -1, 10_000, 2.5, True):
        with pytest.raises(TradewindError):
            shop.predict("demand", horizon=horizon)


def _hold_lock(folder: str, ready: object) -> None:
    with tradewind.open(folder) as desk, desk.lock("train-demand"):
        ready.set()  # type: ignore[attr-defined]
        time.sleep(20)


def test_two_trainings_of_one_model_do_not_run_at_once(shop: Desk) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=_hold_lock, args=(str(shop.folder), ready))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(Busy):
            shop.train("demand")
    finally:
        other.kill()
        other.join()


def test_a_killed_training_leaves_no_half_version_and_goes_on(shop: Desk) -> None:
    code = f"import tradewind as tw\ndesk = tw.open({str(shop.folder)!r})\ndesk.train('demand', seed=5)\n"
    before = shop.ledger.head()
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    until = time.monotonic() + 60
    while len(shop.ledger.read("piece", after=before)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert shop.ledger.read("piece", after=before), "the training was killed before its first finished piece"
    shop.audit(verify=True)
    assert sorted(shop.view.fresh(now=True).versions["demand"]) == [1, 2]
    steps: list[str] = []
    shop.train("demand", seed=5, progress=tradewind.core.model.Progress(lambda step: steps.append(step.stage)))
    assert "resume" in steps and sorted(shop.view.fresh(now=True).versions["demand"]) == [1, 2, 3]


def _predict_many(folder: str, times: int) -> None:
    with tradewind.open(folder) as desk:
        for _ in range(times):
            desk.predict("demand", horizon=1)


def test_two_processes_write_one_ledger(shop: Desk) -> None:
    context = multiprocessing.get_context("spawn")
    before = shop.ledger.head()
    others = [context.Process(target=_predict_many, args=(str(shop.folder), 40)) for _ in range(2)]
    for process in others:
        process.start()
    for process in others:
        process.join(120)
        assert process.exitcode == 0
    assert shop.ledger.verify() >= before + 80
    assert len(shop.ledger.read("predict", after=before)) == 80
