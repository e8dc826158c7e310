"""The recipes on a small world: what they promise, what they do with a plan, what they say of themselves."""

import numpy as np
import pytest

from tradewind.core.errors import BadValue, Incompatible, LearnFailed, NotFound, Tampered, TooBig
from tradewind.core.table import Table
from tradewind.data.align import align
from tradewind.models import get, recipe
from tradewind.models._kit.world import make
from tradewind.models.demand.assemble import assemble

BOUNDS = ("lo95", "lo90", "lo80", "lo50", "p50", "hi50", "hi80", "hi90", "hi95")
FAST = {"rounds": 60, "rows": 30_000, "threads": 1}


@pytest.fixture(scope="module")
def panel():
    world = make(seed=3, years=1.5, products=8, stores=2, customers=0, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)
    return align(assemble(dict(world.tables)))[0]


@pytest.fixture(scope="module")
def naive(panel):
    return recipe("demand", "naive"), recipe("demand", "naive").fit(panel, {}, 0)


@pytest.fixture(scope="module")
def boosted(panel):
    return recipe("demand", "boosted"), recipe("demand", "boosted").fit(panel, FAST, 0)


@pytest.fixture(params=["naive", "boosted"])
def either(request):
    return request.getfixturevalue(request.param)


def one(state, days=14, **plan):
    """Questions of the first living series."""
    place = int(np.flatnonzero(state.panel.alive)[0])
    keys = {name: np.repeat(value[place : place + 1], days) for name, value in state.panel.keys.items()}
    dates = state.panel.clock.date(state.panel.first + state.panel.cut + np.arange(days))
    return Table.from_columns({**keys, "date": dates, **{name: np.full(days, value, "f8") for name, value in plan.items()}})


def total(said):
    return float(said.column("mean").sum())


def test_answers_keep_their_promises(either):
    maker, state = either
    asked = maker.expand(state, None, {})
    said = maker.predict(state, asked).checked(get("demand").gives)
    bounds = np.stack([said.column(name) for name in BOUNDS], 1)
    assert len(said) == len(asked) and np.isfinite(bounds).all() and (np.diff(bounds, axis=1) >= 0).all()


def test_answers_come_in_the_order_asked(either):
    maker, state = either
    asked = maker.expand(state, 10, {})
    shuffled = np.random.default_rng(0).permutation(len(asked))
    first, second = maker.predict(state, asked), maker.predict(state, asked.take(shuffled))
    np.testing.assert_allclose(second.column("mean"), first.column("mean")[shuffled], rtol=1e-6)


def test_one_row_alone_is_answered_as_among_others(either):
    maker, state = either
    asked = maker.expand(state, 20, {})
    whole = maker.predict(state, asked).column("mean")
    for at in (0, 19, 77):
        alone = maker.predict(state, asked.take(np.array([at]))).column("mean")[0]
        assert alone == pytest.approx(whole[at], rel=1e-5)


def test_parts_go_round(either):
    maker, state = either
    asked = maker.expand(state, None, {})
    again = maker.load(maker.dump(state))
    for name in ("mean", *BOUNDS):
        np.testing.assert_allclose(maker.predict(again, asked).column(name), maker.predict(state, asked).column(name), rtol=1e-6)


@pytest.mark.parametrize("part", ["meta.json", "series.safetensors"])
def test_damaged_parts_are_refused(either, part):
    maker, state = either
    parts = maker.dump(state)
    for broken in (b"", b"{}", parts[part][: len(parts[part]) // 2]):
        with pytest.raises((Incompatible, Tampered)):
            maker.load({**parts, part: broken})
    parts.pop(part)
    with pytest.raises(Incompatible):
        maker.load(parts)


def test_the_naive_forecast_is_last_weeks_same_day(naive):
    maker, state = naive
    asked = one(state)
    said = maker.predict(state, asked)
    last = state.panel.target[int(np.flatnonzero(state.panel.alive)[0]), state.panel.cut - 7 : state.panel.cut]
    if np.isfinite(last).all():
        np.testing.assert_allclose(said.column("mean"), np.tile(last, 2))
    np.testing.assert_array_equal(said.column("p50"), said.column("mean"))


def test_a_higher_price_never_sells_more(boosted):
    maker, state = boosted
    seen = state.panel.ahead["price"][int(np.flatnonzero(state.panel.alive)[0]), state.panel.cut - 1]
    found = np.array([maker.predict(state, one(state, price=seen * factor)).column("mean") for factor in np.linspace(0.5, 1.8, 40)])
    assert (np.diff(found, axis=0) <= 1e-6 * found[1:]).all()
    assert found[0].sum() > 1.5 * found[-1].sum(), "price must matter in this world"


def test_a_promotion_lifts_and_calling_it_off_lowers(boosted):
    maker, state = boosted
    plain, cut = total(maker.predict(state, one(state, promotion=0))), total(maker.predict(state, one(state, promotion=1, discount=0.25)))
    assert cut > 1.2 * plain


def test_a_discount_alone_lowers_the_price(boosted):
    maker, state = boosted
    assert total(maker.predict(state, one(state, discount=0.3))) > 1.2 * total(maker.predict(state, one(state, promotion=0)))


def test_drivers_add_up_to_the_mean(boosted):
    maker, state = boosted
    asked = one(state, price=3.0)
    drivers = maker.explain(state, asked)
    summed = sum(drivers.column(name) for name in drivers.names if name.startswith("driver_"))
    np.testing.assert_allclose(summed, maker.predict(state, asked).column("mean"), rtol=1e-4)


def test_a_price_cut_shows_as_a_price_driver(boosted):
    maker, state = boosted
    usual = float(state.panel.ahead["price"][int(np.flatnonzero(state.panel.alive)[0]), state.panel.cut - 1])
    at = {factor: maker.explain(state, one(state, promotion=0, price=usual * factor)).column("driver_price").sum() for factor in (0.8, 1.0)}
    assert at[0.8] > at[1.0]


def test_too_many_rows_to_explain_are_refused(boosted):
    maker, state = boosted
    asked = maker.expand(state, 200, {})
    with pytest.raises(TooBig, match="explain"):
        maker.explain(state, asked)


def test_notes_say_what_was_not_as_asked(boosted):
    maker, state = boosted
    assert maker.notes(state, one(state)) == ["the bands rest on 0 held-out blocks and the model's own spread: too little history for 3"], (
        "nothing else is out of the ordinary"
    )
    said = " | ".join(maker.notes(state, one(state, days=100, price=900.0, colour=1.0)))
    for words in ("past 30 days", "plan is known to", "planned prices lie outside", "column colour"):
        assert words in said


def test_bands_widen_past_the_learned_horizon(boosted):
    maker, state = boosted
    said = maker.predict(state, one(state, days=300))
    width = (said.column("hi80") - said.column("lo80")) / np.maximum(said.column("mean"), 0.1)
    assert width[200:].mean() > 1.5 * width[20:30].mean()


@pytest.mark.parametrize("horizon", [0, -3, 10_000])
def test_horizons_that_are_none_are_refused(either, horizon):
    maker, state = either
    with pytest.raises(BadValue, match="horizon"):
        maker.expand(state, horizon, {})


def test_unknown_names_are_refused(either):
    maker, state = either
    with pytest.raises(NotFound):
        maker.expand(state, 3, {"product": "P9999"})
    asked = one(state).with_columns({"product": np.array(["P9999"] * 14, object)})
    with pytest.raises(NotFound, match="P9999"):
        maker.predict(state, asked)


def test_the_same_seed_gives_the_same_bytes(panel, boosted):
    maker, state = boosted
    again = maker.fit(panel, FAST, 0)
    assert maker.dump(again) == maker.dump(state)


def test_knobs_are_checked(panel):
    maker = recipe("demand", "boosted")
    for params in ({"rounds": 1}, {"leaves": "many"}, {"depth": 3}):
        with pytest.raises(BadValue):
            maker.fit(panel, params, 0)


def test_too_short_a_past_is_refused(panel):
    short = panel.take(panel.column("date") < panel.column("date").min() + 3)
    with pytest.raises(LearnFailed, match="too few"):
        recipe("demand", "boosted").fit(short, {}, 0)
    alone = panel.take(panel.column("date") == panel.column("date").min())
    with pytest.raises(LearnFailed, match="one past period"):
        recipe("demand", "naive").fit(alone, {}, 0)


def test_sales_of_nothing_are_refused(panel):
    none = panel.with_columns({"units": np.where(np.isfinite(panel.column("units")), 0.0, np.nan)}, panel.schema.get("units"))
    with pytest.raises(LearnFailed, match="zero"):
        recipe("demand", "boosted").fit(none, {"rounds": 20, "threads": 1}, 0)
