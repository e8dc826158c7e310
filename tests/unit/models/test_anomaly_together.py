"""Several figures of a period together: a combination that is odd while each figure looks usual, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import BadValue
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.anomaly.assemble import assemble
from tradewind.models.anomaly.forest import grow
from tradewind.models.anomaly.together import ALL

Array = np.ndarray[Any, Any]
DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2025-02-04"))
FIGURES = ("visits", "baskets", "orders", "refunds")
ODD = (80, 150, 220, 290, 360)


def column(values: list[str]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def world(seed: int, odd: tuple[int, ...] = ODD, places: tuple[str, ...] = ()) -> tuple[Table, Array]:
    """Return figures that a busy or a quiet day moves all alike; on the odd days orders move the other way, no further than usual."""
    rng = np.random.default_rng(seed)
    tables, shocks = [], []
    for place in places or ("",):
        shock = rng.normal(0, 0.12, len(DAYS))
        shock[list(odd)] = 0.13 * np.where(np.arange(len(odd)) % 2, 1, -1)
        own = {name: shock + rng.normal(0, 0.02, len(DAYS)) for name in FIGURES}
        own["orders"] = np.where(np.isin(np.arange(len(DAYS)), odd), -own["orders"], own["orders"])
        columns = {name: (at + 1) * 500 * np.exp(own[name]) for at, name in enumerate(FIGURES)}
        tables.append({"date": DAYS, **({"geo": column([place] * len(DAYS))} if places else {}), **columns})
        shocks.append(shock)
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return Table.from_columns(joined), np.stack(shocks)


def learned(table: Table, recipe: str = "decompose", **knobs: Any) -> tuple[Any, Any]:
    chosen = models.recipe("anomaly", recipe)
    return chosen, chosen.fit(assemble({"outcomes": table}), settle(chosen.knobs, knobs), 0)


def of(chosen: Any, state: Any, metric: str, **where: str) -> Table:
    return chosen.predict(state, chosen.expand(state, len(DAYS), {"metric": metric, **where}))


@pytest.mark.parametrize("recipe", ["decompose", "driven"])
def test_figures_that_go_apart_are_found_where_each_alone_looks_usual(recipe: str) -> None:
    chosen, state = learned(world(1)[0], recipe)
    together = of(chosen, state, ALL)
    odd = np.isin(together.column("date"), DAYS[list(ODD)])
    if recipe == "decompose":  # driven knows what moves the others, and sees it in the one figure, too
        alone = [of(chosen, state, name).column("alert")[list(ODD)].sum() for name in FIGURES]
        assert sum(alone) == 0, "each figure by itself must look usual, or this proves nothing"
    assert together.column("alert")[odd].mean() == 1.0
    assert together.column("alert")[~odd].mean() <= 0.03
    assert together.column("score")[odd].min() > together.column("score")[~odd].max()
    assert set(together.column("kind")[odd].tolist()) == {"combination"}
    assert set(together.column("class")[odd].tolist()) == {"relation"}
    assert all(said.startswith("orders too ") for said in together.column("driver")[odd].tolist())
    assert (together.column("severity")[odd] > 0).all()


def test_usual_days_keep_to_the_budget_and_a_new_one_is_judged_from_the_figures_beside_it_as_update_does() -> None:
    table, _ = world(3, odd=(len(DAYS) - 1,))
    seen = table.take(np.arange(len(DAYS) - 1))
    chosen, state = learned(seen)
    assert 0.015 <= of(chosen, state, ALL).column("alert").mean() <= 0.045
    last = {name: float(table.column(name)[-1]) for name in FIGURES}
    asked = Table.from_columns(
        {
            "metric": column([*FIGURES, ALL]),
            "date": np.repeat(DAYS[-1:], 5),
            "units": np.array([*last.values(), np.nan]),
        }
    )
    told = chosen.predict(state, asked)
    assert told.column("alert")[-1] == 1
    assert told.column("p_value")[-1] < 0.01
    later = chosen.update(state, assemble({"outcomes": table}))
    known = chosen.predict(later, asked.select(["metric", "date"]))
    np.testing.assert_allclose(told.column("score"), known.column("score"), rtol=1e-6)
    again = chosen.load(chosen.dump(later))
    np.testing.assert_allclose(chosen.predict(again, asked.select(["metric", "date"])).column("score"), known.column("score"), rtol=1e-6)
    with pytest.raises(BadValue, match="from the figures themselves"):
        chosen.predict(state, asked.take(np.array([4])))


def test_each_place_has_its_own_verdict_and_a_missing_figure_does_not_stop_it() -> None:
    table, _ = world(4, odd=(200,), places=("north", "south"))
    gone = table.column("visits").copy()
    gone[210] = np.nan
    chosen, state = learned(table.with_columns({"visits": gone}))
    north, south = (of(chosen, state, ALL, store=place) for place in ("north", "south"))
    assert north.column("alert")[200] == south.column("alert")[200] == 1
    assert np.isfinite(north.column("units")[210])
    assert len(north) == len(south) == len(DAYS)


def test_one_figure_or_a_short_past_has_no_vector() -> None:
    table, _ = world(5)
    _, state = learned(table.select(["date", "visits"]))
    assert state.together is None
    chosen, state = learned(table.take(np.arange(40)))
    assert state.together is None
    assert any("go together" in note for note in chosen.notes(state, table))


def test_the_forest_served_from_arrays_is_the_one_that_was_grown() -> None:
    from sklearn.ensemble import IsolationForest

    rows = np.random.default_rng(0).normal(size=(400, 3)).astype("f4")
    rows[7] = 6.0
    theirs = -IsolationForest(n_estimators=100, max_samples=256, random_state=5, n_jobs=1).fit(rows).score_samples(rows)
    ours = grow(rows, 5).odd(rows)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert ours.argmax() == 7
