"""Support: how far a plan lies inside what a series has seen."""

import numpy as np
import polars as pl
import pytest

from tradewind.models import recipe


@pytest.fixture(scope="module")
def naive(shop, as_table):
    maker = recipe("demand", "naive")
    return maker, maker.fit(as_table(shop(products=2, stores=1)), {}, 0)


def ask(maker, state, **plan):
    asked = maker.expand(state, 5, {"product": "P0"})
    asked = asked.with_columns({name: np.full(len(asked), value, "f8") for name, value in plan.items()})
    return maker.predict(state, asked), maker.notes(state, asked)


def test_without_a_plan_there_is_no_support(naive):
    assert "support" not in ask(*naive)[0].names


def test_support_falls_the_further_a_price_lies_outside(naive):
    seen = naive[1].panel.ahead["price"][0, : naive[1].panel.cut]
    usual = float(np.median(seen))
    found = [ask(*naive, price=usual * factor)[0].column("support")[0] for factor in (1.0, 1.25, 1.6, 3.0)]
    assert found[0] > 0.85 and found[1] < found[0] and found[2] < 0.05 and found[3] < 0.001


def test_a_price_between_two_that_were_seen_is_better_known_than_one_beyond(naive):
    seen = np.unique(naive[1].panel.ahead["price"][0, : naive[1].panel.cut])
    beyond = seen[-1] * np.exp(0.15)
    gap = int(np.diff(np.log(seen)).argmax())
    between = np.sqrt(seen[gap] * seen[gap + 1])
    assert ask(*naive, price=between)[0].column("support")[0] > ask(*naive, price=beyond)[0].column("support")[0]


def test_a_price_outside_is_noted_and_one_inside_is_not(naive):
    usual = float(np.median(naive[1].panel.ahead["price"][0, : naive[1].panel.cut]))
    assert any("planned prices lie outside" in note for note in ask(*naive, price=usual * 4)[1])
    assert not any("planned prices lie outside" in note for note in ask(*naive, price=usual)[1])


def test_a_promotion_seen_often_is_known_and_so_is_none(naive):
    assert ask(*naive, promotion=1)[0].column("support").min() > 0.7
    assert ask(*naive, promotion=0)[0].column("support").min() > 0.9


@pytest.mark.parametrize(("always", "plan"), [(0.0, 1), (1.0, 0)])
def test_a_promotion_never_seen_or_never_left_out_is_not_known(shop, as_table, always, plan):
    maker = recipe("demand", "naive")
    state = maker.fit(as_table(shop(products=2, stores=1).with_columns(promotion=np.full(380, always))), {}, 0)
    said, notes = ask(maker, state, promotion=plan)
    assert said.column("support").max() == 0
    assert any("promotion was on in every past day" in note for note in notes) is (always == 1)
    assert any("promotion was never on in the past of 1 series" in note for note in notes) is (always == 0)


def test_a_price_that_never_moved_is_said_where_another_is_planned(shop, as_table):
    maker = recipe("demand", "naive")
    state = maker.fit(as_table(shop(products=2, stores=1).with_columns(price=np.full(380, 2.0))), {}, 0)
    assert any("the price of 1 series never moved" in note for note in ask(maker, state, price=2.5)[1])
    assert not any("never moved" in note for note in ask(maker, state, price=2.0)[1])


def test_what_was_seen_long_before_what_is_kept_counts_and_travels(shop, as_table):
    """Statistical paths keep the last 91 days: prices, promotions, actuals and a spike of before were said never to have been."""
    day = pl.int_range(pl.len()).over("product", "store")
    frame = shop(products=2, stores=1).with_columns(
        price=pl.when(day < 66).then(2.0 + 0.2 * (day % 3)).otherwise(3.0),
        promotion=(day > 66).cast(pl.Float64),
        units=pl.when(day == 20).then(1e5).otherwise(pl.col("units")),
    )
    stats, maker = recipe("demand", "stats"), recipe("demand", "ensemble")
    state = stats.fit(as_table(frame), {"seconds": 0.0}, 0)
    assert state.panel.cut < 100
    for one in (maker.blend({"stats": state}, {"stats": 1.0}), maker.load(maker.dump(maker.blend({"stats": state}, {"stats": 1.0})))):
        said, notes = ask(maker, one, price=2.2, promotion=0)
        assert said.column("support").min() > 0.9
        assert not any("lie outside what was seen" in note or "in every past day" in note for note in notes)
        assert any("seen 2 to 3)" in note for note in ask(maker, one, price=9.0)[1])
        notes = maker.notes(one, maker.expand(one, 120, {"product": "P0"}))
        assert not any("shorter history" in note for note in notes) and any("such as 100000 on" in note for note in notes)


def test_promotions_that_nobody_planned_are_said_to_be_missing(shop, as_table):
    """One week in five was promoted: a month without any is a plan that was not loaded."""
    maker = recipe("demand", "naive")
    past = pl.col("units").is_not_null()
    frame = shop(products=2, stores=1).with_columns(promotion=pl.when(past).then("promotion").otherwise(0.0))
    state = maker.fit(as_table(frame), {}, 0)
    missing = "no promotion is planned in the time asked for, and there was one in"
    assert any(missing in note for note in maker.notes(state, maker.expand(state, 30, {})))
    assert not any(missing in note for note in maker.notes(state, maker.expand(state, 2, {}))), "two days without one are nothing special"
    assert not any(missing in note for note in ask(maker, state, promotion=0)[1]), "who says none means none"
    planned = maker.fit(as_table(shop(products=2, stores=1).with_columns(promotion=pl.when(past).then("promotion").otherwise(1.0))), {}, 0)
    assert not any(missing in note for note in maker.notes(planned, maker.expand(planned, 30, {})))


def test_a_price_that_goes_back_after_sales_end_is_said_where_nothing_tells_promotions(shop, as_table):
    maker = recipe("demand", "naive")
    late = pl.int_range(pl.len()).over("product", "store") >= pl.col("units").is_not_null().sum().over("product", "store")
    first = pl.int_range(pl.len()).over("product", "store") < 40
    frame = shop(products=2, stores=1).drop("promotion").with_columns(price=pl.when(late | first).then(2.0).otherwise(1.6))
    state = maker.fit(as_table(frame), {}, 0)
    back = "2 series go back from the price at which sales ended to a higher one (such as 1.6 to 2)"
    assert any(back in note for note in maker.notes(state, maker.expand(state, 5, {})))
    assert not any("go back from the price" in note for note in ask(maker, state, price=1.6)[1]), "who says a price means it"
    dearer = maker.fit(as_table(frame.with_columns(price=pl.when(late).then(2.5).otherwise("price"))), {}, 0)
    assert not any("go back from the price" in note for note in maker.notes(dearer, maker.expand(dearer, 5, {}))), "a rise is a plan"
    same = maker.fit(as_table(frame.with_columns(price=pl.lit(2.0))), {}, 0)
    assert not any("go back from the price" in note for note in maker.notes(same, maker.expand(same, 5, {})))


def test_a_price_that_always_moved_and_is_taken_to_stay_is_said(shop, as_table):
    """An average price of many shops is an outcome, no plan: of such series the 80 % bands held 54 % of what came."""
    maker = recipe("demand", "naive")
    day = pl.int_range(pl.len()).over("product", "store")
    past = pl.col("units").is_not_null()
    waves = pl.when(past).then(2.0 + 0.5 * (day * 0.7).sin()).otherwise(None)
    loose = "the price of 2 series usually moved by"

    def said(price, plan):
        state = maker.fit(as_table(shop(products=2, stores=1).with_columns(price=price)), {}, 0)
        asked = maker.expand(state, 10, {})
        return maker.notes(state, asked.with_columns({"price": np.full(len(asked), 2.0)}) if plan else asked)

    assert any(loose in note and "within 10 days, and none is planned" in note for note in said(waves, plan=False))
    assert not any(loose in note for note in said(waves, plan=True))
    assert not any(loose in note for note in said(waves.fill_null(2.1 + 0.01 * day), plan=False)), "a plan that moves is one"
    cuts = pl.when(day % 30 < 6).then(1.5).otherwise(2.0)
    assert not any(loose in note for note in said(cuts, plan=False)), "a price that is cut now and then stays in between"


def test_before_its_first_actual_a_series_has_seen_nothing(shop, as_table):
    """The price of a launch is carried back to the start of the panel: nobody ever sold at it."""
    day = pl.int_range(pl.len()).over("product", "store")
    young = (pl.col("product") == "P0") & (day < 150)
    frame = shop(products=2, stores=1).with_columns(
        units=pl.when(young).then(None).otherwise("units"), price=pl.when(young).then(None).otherwise(pl.lit(2.0))
    )
    frame = frame.with_columns(promotion=pl.when(young).then(0.0).otherwise(1.0))
    maker = recipe("demand", "naive")
    state = maker.fit(as_table(frame), {}, 0)
    assert state.seen.known.tolist() == [10, 128] and state.seen.pulled["promotion"].tolist() == [10, 160]
    assert any("promotion was on in every past day" in note for note in ask(maker, state, promotion=0)[1])
    unsold = maker.fit(as_table(frame.with_columns(units=pl.when(pl.col("product") == "P0").then(None).otherwise("units"))), {}, 0)
    asked = maker.expand(unsold, 5, {"product": "P1"}).with_columns({"product": np.full(5, "P0", object), "price": np.full(5, 2.0)})
    assert maker.predict(unsold, asked).column("support").max() == 0


def test_the_least_known_part_of_a_plan_counts(naive):
    usual = float(np.median(naive[1].panel.ahead["price"][0, : naive[1].panel.cut]))
    both = ask(*naive, price=usual * 3, promotion=0)[0].column("support")
    np.testing.assert_allclose(both, ask(*naive, price=usual * 3)[0].column("support"))


def test_a_series_without_a_price_knows_none(shop, as_table):
    maker = recipe("demand", "naive")
    frame = shop(products=2, stores=1)
    frame = frame.with_columns(price=np.where(frame["product"].to_numpy() == "P0", np.nan, frame["price"].to_numpy()))
    state = maker.fit(as_table(frame), {}, 0)
    assert ask(maker, state, price=2.0)[0].column("support").max() == 0
