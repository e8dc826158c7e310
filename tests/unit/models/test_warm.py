"""A version made ready to serve answers every plan as one that was not."""

import numpy as np
import pytest

from tradewind.data.align import align
from tradewind.models import part, recipe
from tradewind.models._kit.forecast import boosted_serve, lstm_learned
from tradewind.models._kit.forecast.blend import Blend
from tradewind.models.acquisition.assemble import assemble

FAST = {
    "boosted": {"rounds": 30, "rows": 8_000, "threads": 1},
    "lstm": {"hidden": 8, "steps": 10, "batch": 16, "encoder": 28},
    "stats": {"seconds": 0.0},
}
PLANS = {
    "nothing": {},
    "a price": {"price": 1.7},
    "prices some days": {"price": [2.1, np.nan, 3.0]},
    "a promotion": {"promotion": 1.0},
    "no promotion": {"promotion": 0.0},
    "both": {"price": 2.2, "promotion": [1.0, 0.0, np.nan]},
}


@pytest.fixture(scope="module")
def served(shop, as_table):
    """Return the ensemble and its state, as trained and after an update."""
    maker = recipe("demand", "ensemble")
    states = {name: recipe("demand", name).fit(as_table(shop(days=200)), {**FAST[name], "horizon": 14}, 0) for name in FAST}
    state = maker.blend(states, dict.fromkeys(states, 1 / 3))
    return maker, {"trained": state, "updated": maker.update(state, as_table(shop(days=217)))}


def ask(maker, state, horizon, plan, rows=slice(None)):
    asked = maker.expand(state, horizon, {}).take(np.arange(6 * horizon)[rows])
    return asked.with_columns({name: np.resize(np.array(value, "f8"), len(asked)) for name, value in plan.items()})


def both(maker, state):
    """Return a state as it is opened, and the same made ready."""
    plain, warm = (maker.load(maker.dump(state)) for _ in range(2))
    maker.warm(warm)
    return plain, warm


def agree(maker, plain, warm, asked):
    found, wanted = maker.predict(warm, asked), maker.predict(plain, asked)
    assert found.names == wanted.names
    for name in wanted.names:
        if wanted.column(name).dtype.kind == "f":
            np.testing.assert_allclose(found.column(name), wanted.column(name), rtol=1e-9, atol=1e-12, err_msg=name)
    assert maker.notes(warm, asked) == maker.notes(plain, asked)
    return found


@pytest.mark.parametrize("when", ["trained", "updated"])
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_is_answered_as_without(served, when, plan):
    maker, state = served[0], served[1][when]
    plain, warm = both(maker, state)
    assert {"boosted", "lstm"} <= set(warm.memo["kept"]) and "kept" not in plain.memo
    found = agree(maker, plain, warm, ask(maker, state, 14, PLANS[plan]))
    if PLANS[plan]:
        assert not np.allclose(found.column("mean"), maker.predict(plain, ask(maker, state, 14, {})).column("mean"))


@pytest.mark.parametrize(("horizon", "rows"), [(14, slice(3, 4)), (14, slice(0, 84, 5)), (14, slice(83, None, -1)), (20, slice(None))])
def test_some_days_any_order_and_days_past_the_horizon_are_answered_as_without(served, horizon, rows):
    maker, state = served[0], served[1]["trained"]
    agree(maker, *both(maker, state), ask(maker, state, horizon, PLANS["both"], rows))


def test_two_plans_of_one_day_are_answered_as_without(served):
    maker, state = served[0], served[1]["trained"]
    twice = ask(maker, state, 14, {}, np.repeat(np.arange(14), 2)).with_columns({"price": np.tile([1.5, 2.5], 14)})
    found = agree(maker, *both(maker, state), twice)
    assert (found.column("mean")[::2] > found.column("mean")[1::2]).all()


def test_drivers_sums_and_quantiles_are_those_without(served):
    maker, state = served[0], served[1]["trained"]
    plain, warm = both(maker, state)
    asked = ask(maker, state, 14, PLANS["both"])
    for call in (maker.explain, lambda *given: maker.total(*given, ["store"]), lambda *given: maker.quantiles(*given, [0.07, 0.5])):
        found, wanted = call(warm, asked), call(plain, asked)
        for name in wanted.names:
            if wanted.column(name).dtype.kind == "f":
                np.testing.assert_allclose(found.column(name), wanted.column(name), rtol=1e-9, atol=1e-9, err_msg=name)


def test_weeks_are_answered_as_without(shop, as_table):
    maker = recipe("demand", "boosted")
    state = maker.fit(as_table(shop(days=120, step=7)), {**FAST["boosted"], "horizon": 8}, 0)
    assert any(name.startswith("like:") for name in state.learned.names)
    for plan in PLANS.values():
        agree(maker, *both(maker, state), ask(maker, state, 8, plan))


def test_a_price_walks_no_tree_that_does_not_ask_for_it(served, monkeypatch):
    maker, state = served[0], served[1]["trained"]
    _, warm = both(maker, state)
    blend = warm.learned
    assert isinstance(blend, Blend)

    def never(rows):
        raise AssertionError("walked")

    for walk in blend.members["boosted"].scores.values():
        object.__setattr__(walk, "still", never)
    assert len(maker.predict(warm, ask(maker, state, 14, PLANS["a price"]))) == 84
    with pytest.raises(AssertionError, match="walked"):
        maker.predict(warm, ask(maker, state, 14, PLANS["a promotion"]))


def test_what_takes_too_much_room_is_not_kept_and_answers_are_the_same(served, monkeypatch):
    maker, state = served[0], served[1]["trained"]
    monkeypatch.setattr(boosted_serve, "MOST_KEPT", 1000)
    monkeypatch.setattr(lstm_learned, "MOST_KEPT", 1000)
    plain, warm = both(maker, state)
    assert not warm.memo["kept"]
    agree(maker, plain, warm, ask(maker, state, 14, PLANS["both"]))


def test_a_plan_of_spend_is_answered_as_without():
    maker = recipe("acquisition", "boosted")
    rows = align(assemble(dict(part("acquisition", "example", "example")(5).tables)))[0]
    state = maker.fit(rows, FAST["boosted"] | {"horizon": 8}, 0)
    plain, warm = both(maker, state)
    assert "boosted" in warm.memo["kept"]
    spend = next(name for name in state.panel.ahead if name.startswith("spend_"))
    asked = maker.expand(state, 8, {})
    known = agree(maker, plain, warm, asked).column("mean")
    planned = asked.with_columns({spend: np.full(len(asked), 3 * float(np.nanmax(state.panel.ahead[spend])))})
    found = agree(maker, plain, warm, planned).column("mean")
    assert not np.allclose(found, known)
