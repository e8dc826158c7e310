"""Reasons: drivers in units that add up, and what each lever does."""

import numpy as np
import pytest

from tradewind.core.errors import BadValue, TooBig
from tradewind.models import recipe
from tradewind.models._kit.forecast import naive, stats
from tradewind.models._kit.forecast.blend import Blender
from tradewind.models._kit.forecast.explain import MOST_EXPLAINED, Ensemble
from tradewind.models.demand import MODEL

FAST = {"rounds": 60, "rows": 30_000, "threads": 1}


@pytest.fixture(scope="module")
def boosted(shop, as_table):
    maker = recipe("demand", "boosted")
    return maker, maker.fit(as_table(shop(days=500, products=5)), FAST, 0)


def drivers(found):
    return {name: found.column(name) for name in found.names if name.startswith("driver_")}


def ask(maker, state, days=7, **plan):
    asked = maker.expand(state, days, {"product": "P1", "store": "S0"})
    return asked.with_columns({name: np.full(len(asked), value, "f8") for name, value in plan.items()})


@pytest.mark.parametrize("plan", [{}, {"price": 2.0}, {"promotion": 1.0, "price": 2.5}])
def test_drivers_add_up_to_the_mean(boosted, plan):
    asked = ask(*boosted, **plan)
    maker, state = boosted
    np.testing.assert_allclose(sum(drivers(maker.explain(state, asked)).values()), maker.predict(state, asked).column("mean"), rtol=1e-4)


def test_a_change_of_price_shows_under_price(boosted):
    maker, state = boosted
    plain, cut = (drivers(maker.explain(state, ask(*boosted, promotion=0, price=price))) for price in (3.0, 2.1))
    change = {name: float((cut[name] - plain[name]).sum()) for name in plain}
    whole = sum(change.values())
    assert whole > 0 and change["driver_price"] > 0.6 * whole


def test_keys_and_dates_stand_beside_the_drivers(boosted):
    maker, state = boosted
    asked = ask(*boosted)
    found = maker.explain(state, asked)
    assert len(found) == len(asked) and {"product", "store", "date"} <= set(found.names)


def test_too_many_rows_are_refused(boosted):
    maker, state = boosted
    asked = maker.expand(state, MOST_EXPLAINED // len(state.panel) + 1, {})
    assert len(asked) > MOST_EXPLAINED
    with pytest.raises(TooBig):
        maker.explain(state, asked)


def test_effects_hold_the_true_elasticity_of_most_products(boosted):
    maker, state = boosted
    found = maker.effects(state)
    price = found.column("lever") == "price"
    assert found.column("kind")[price].tolist() == ["elasticity"] * 5 and found.column("product")[price].tolist() == [
        f"P{n}" for n in range(5)
    ]
    low, high, value = (found.column(name)[price] for name in ("lo95", "hi95", "effect"))
    assert ((low <= -2) & (high >= -2)).sum() >= 4
    assert np.abs(value + 2).mean() < 0.4
    lift = found.column("effect")[found.column("lever") == "promotion"]
    assert np.abs(lift - np.log(1.3)).mean() < 0.15
    assert (found.column("lo95") < found.column("lo80")).all() and (found.column("hi80") < found.column("hi95")).all()


def test_without_trees_the_plan_is_taken_away_step_by_step(shop, as_table):
    table = as_table(shop(days=80))
    maker = Ensemble(MODEL.gives, Blender((naive.LEARNER, stats.LEARNER)))
    state = maker.blend({"stats": recipe("demand", "stats").fit(table, {}, 0)}, {"stats": 1.0})
    asked = maker.expand(state, 3, {})
    found = maker.explain(state, asked)
    parts = [found.column(name) for name in found.names if name.startswith("driver_")]
    np.testing.assert_allclose(np.sum(parts, axis=0), maker.predict(state, asked).column("mean"), rtol=1e-5, atol=1e-6)
    with pytest.raises(BadValue, match="no boosted trees"):
        maker.effects(state)
