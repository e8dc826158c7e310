import json

import numpy as np
import pytest

from tradewind import models
from tradewind.core.bundle import join, split
from tradewind.core.catalog import TABLES
from tradewind.core.errors import Incompatible
from tradewind.core.table import Table
from tradewind.models import recipe, run
from tradewind.models._kit.forecast.recipe import Forecaster
from tradewind.models.demand.assemble import assemble

FRESH = "the bands rest on 0 held-out blocks and the model's own spread: too little history for 3"


@pytest.fixture(scope="module")
def parts():
    days, names = 120, ("tea", "coffee")
    rng = np.random.default_rng(0)
    product = np.empty(2 * days, object)
    product[:] = [name for name in names for _ in range(days)]
    dates = np.tile(np.datetime64("2024-01-01") + np.arange(days), 2)
    sales = Table.from_columns({"date": dates, "product": product, "units": rng.poisson(9, 2 * days).astype(float)}, TABLES["sales"])
    panel = assemble({"sales": sales})
    found = {}
    for name in ("naive", "boosted"):
        maker = recipe("demand", name)
        state = maker.fit(panel, {} if name == "naive" else {"rounds": 20, "threads": 1}, 0)
        found[name] = {"manifest": json.dumps({"model": "demand", "recipe": name}).encode(), **maker.dump(state)}
    return found


def ask(serve, asked=None, **head):
    request = {"head": json.dumps({"do": "predict", "horizon": None, "where": {}, "explain": False} | head).encode()}
    reply = split(serve(join(request | ({"asked": asked.to_bytes()} if asked is not None else {}))))
    said = json.loads(reply["head"])
    return said, Table.from_bytes(reply["table"]) if "table" in reply else None


@pytest.mark.parametrize("name", ["naive", "boosted"])
def test_everything_is_answered(parts, name):
    run.prepare("demand", name)
    said, table = ask(run.open_server(parts[name]), horizon=5)
    assert said == {"ok": True, "recipe": name, "notes": [FRESH]} and len(table) == 10 and "hi95" in table


@pytest.mark.parametrize(("by", "rows"), [(["product"], 2), (["total"], 1), (["week"], 2), (["product", "date"], 16)])
def test_sums_are_answered(parts, by, rows):
    serve = run.open_server(parts["boosted"])
    _, whole = ask(serve, horizon=8)
    said, table = ask(serve, horizon=8, by=by)
    assert said["ok"] and len(table) == rows
    assert table.column("mean").sum() == pytest.approx(whole.column("mean").sum(), rel=1e-5)


def test_weeks_and_months_that_are_not_whole_are_said(parts):
    """Sales end on Monday 29 April: eight days to come are a week that lacks its Monday and two days of the next."""
    serve = run.open_server(parts["naive"])
    assert ask(serve, horizon=8, by=["week"])[0]["notes"] == [
        "sums at the ends are not whole: of the week from 2024-04-29 6 of 7 days and of the week from 2024-05-06 2 of 7 days are asked",
        FRESH,
    ]
    months = ask(serve, horizon=8, by=["product", "month"])[0]["notes"][0]
    assert "of the month from 2024-04-01 1 of 30 days and of the month from 2024-05-01 7 of 31 days" in months
    assert ask(serve, horizon=8, by=["product"])[0]["notes"] == [FRESH]
    week = Table.from_columns({"product": np.array(["tea"] * 7, object), "date": np.datetime64("2024-05-06") + np.arange(7)})
    assert ask(serve, week, by=["week"])[0]["notes"] == [FRESH], "a whole week"
    assert "of the week from 2024-05-06 2 of 7 days are asked" in ask(serve, week.take(np.arange(1, 3)), by=["week"])[0]["notes"][0]


def test_quantiles_of_choice_stand_beside_the_answer(parts):
    said, table = ask(run.open_server(parts["naive"]), horizon=5, quantiles=[0.05, 0.99])
    assert said["ok"] and (table.column("q5") <= table.column("p50")).all() and (table.column("q99") >= table.column("p50")).all()


def test_effects_of_levers_are_answered_by_trees_alone(parts):
    said, _ = ask(run.open_server(parts["naive"]), do="effects")
    assert "cannot say what the levers do" in said["error"]["message"]
    said, table = ask(run.open_server(parts["boosted"]), do="effects")
    assert said["ok"] and len(table) == 0, "these sales know no lever"


def test_rows_are_answered_and_explained(parts):
    serve = run.open_server(parts["boosted"])
    _, whole = ask(serve, horizon=4, where={"product": "tea"})
    said, table = ask(serve, whole.select(["product", "date"]), explain=True)
    assert said["ok"] and len(table) == 4
    drivers = [name for name in table.names if name.startswith("driver_")]
    np.testing.assert_allclose(sum(table.column(name) for name in drivers), table.column("mean"), rtol=1e-4)


def test_notes_come_along(parts):
    said, _ = ask(run.open_server(parts["boosted"]), horizon=60)
    assert any("past 30 days" in note for note in said["notes"])


@pytest.mark.parametrize(
    ("head", "error"),
    [
        ({"horizon": 0}, "BadValue"),
        ({"horizon": 10_000}, "BadValue"),
        ({"horizon": 2.5}, "BadValue"),
        ({"horizon": True}, "BadValue"),
        ({"where": {"product": "nothing"}}, "NotFound"),
        ({"where": "tea"}, "BadValue"),
        ({"do": "dance"}, "BadValue"),
        ({"by": ["colour"]}, "NotFound"),
        ({"by": ["week", "month"]}, "BadValue"),
        ({"by": "store"}, "BadValue"),
        ({"by": ["total"], "explain": True}, "BadValue"),
        ({"quantiles": [0.5, 1.0]}, "BadValue"),
    ],
)
def test_what_cannot_be_answered_is_a_typed_error(parts, head, error):
    said, table = ask(run.open_server(parts["naive"]), **head)
    assert said["error"]["error"] == error and table is None


def test_a_recipe_without_reasons_says_so(parts):
    said, _ = ask(run.open_server(parts["naive"]), explain=True)
    assert "cannot explain" in said["error"]["message"]


@pytest.mark.parametrize("request_", [{}, {"head": b"not json"}, {"head": b"[]"}])
def test_a_broken_head_is_refused(parts, request_):
    reply = split(run.open_server(parts["naive"])(join(request_)))
    assert json.loads(reply["head"])["error"]["error"] == "BadValue"


def test_a_broken_request_is_refused(parts):
    reply = split(run.open_server(parts["naive"])(b"x"))
    assert json.loads(reply["head"])["error"]["error"] == "Tampered"


@pytest.mark.parametrize("manifest", [b"", b"{}", b"[]", b'{"model": "demand"}'])
def test_a_version_without_a_manifest_is_refused(parts, manifest):
    with pytest.raises(Incompatible):
        run.open_server({**parts["naive"], "manifest": manifest})


def test_a_version_is_made_ready_when_it_is_opened(parts, monkeypatch):
    warmed = []
    monkeypatch.setattr(Forecaster, "warm", lambda self, state: warmed.append(self.name))
    run.open_server(parts["naive"])
    assert warmed == ["naive"]


def test_a_model_of_ours_is_found_without_reading_entry_points(monkeypatch):
    def read():
        raise AssertionError("every package's metadata was read")

    monkeypatch.setattr(models, "_homes", read)
    assert models.get("demand").name == "demand"
    with pytest.raises(AssertionError):
        models.get("somebody's")
