"""Panels as they should not be: every recipe answers with finite numbers in order and says what was done, or refuses with a typed error."""

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, LearnFailed, TradewindError
from tradewind.models import recipe

BOUNDS = ("lo95", "lo90", "lo80", "lo50", "p50", "hi50", "hi80", "hi90", "hi95")
PARAMS = {"naive": {}, "boosted": {"rounds": 20, "rows": 5000, "threads": 1}, "stats": {}, "lstm": {"steps": 10}}
DAY = pl.int_range(pl.len()).over("product", "store")
KNOWN = pl.col("units").is_not_null()
ODD = pl.col("product") == "P1"
SINGLES = ("naive", "boosted", "stats")


def sold(frame, amount, where=None):
    """Return the frame with other units, of the odd product alone unless told."""
    return frame.with_columns(pl.when(KNOWN & (ODD if where is None else where)).then(amount).otherwise(pl.col("units")).alias("units"))


def thinned(frame):
    return sold(frame, None, ODD & (DAY * 37 % 100 < 51))


MADE = {
    "zeros beside others": lambda frame: sold(frame, 0.0),
    "one spike": lambda frame: sold(frame, pl.when(DAY == 100).then(1e5).otherwise(pl.col("units"))),
    "constant": lambda frame: sold(frame, 7.0),
    "all constant": lambda frame: sold(frame, 7.0, pl.lit(value=True)),
    "below zero": lambda frame: sold(frame, -pl.col("units")),
    "51 % missing": thinned,
    "daily to weekly": lambda frame: frame.filter((DAY < 90) | (DAY % 7 == 0)),
    "price never varied": lambda frame: frame.with_columns(price=pl.lit(2.0)),
    "promotion always on": lambda frame: frame.with_columns(promotion=pl.lit(1.0)),
    "three weeks only": lambda frame: frame.filter(DAY >= 139),
    "three days of one": lambda frame: frame.filter(~ODD | (DAY >= 157)),
    "unicode": lambda frame: frame.with_columns(product=pl.col("product").replace({"P1": 'Žluťoučký 🍊 "x",\\n'})),
    "not finite": lambda frame: sold(
        frame, pl.when(DAY % 5 == 0).then(float("inf")).when(DAY % 7 == 0).then(float("nan")).otherwise("units")
    ),
    "price not finite": lambda frame: frame.with_columns(price=pl.when(ODD & (DAY % 4 == 0)).then(float("inf")).otherwise("price")),
    "price of nothing": lambda frame: frame.with_columns(price=pl.when(ODD & (DAY % 4 == 0)).then(0.0).otherwise("price")),
    "no price": lambda frame: frame.with_columns(price=pl.when(ODD).then(None).otherwise("price")),
    "huge": lambda frame: sold(frame, pl.col("units") * 1e12),
    "all huge": lambda frame: frame.with_columns(units=pl.col("units") * 1e12),
    "tiny": lambda frame: frame.with_columns(units=pl.col("units") * 1e-9),
    "one series": lambda frame: frame.filter(ODD & (pl.col("store") == "S0")),
}
SAID = {
    "zeros beside others": "2 series have sold nothing",
    "one spike": "more than 10 times any other (such as 100000 on 2024-04-10)",
    "below zero": "320 actuals lie below zero and count as nothing sold",
    "51 % missing": "2 series have an actual in fewer than half of their days",
    "daily to weekly": "actuals come every 7 days only",
    "three weeks only": "6 series have a shorter history than the time asked for",
    "three days of one": "2 series have a shorter history than the time asked for",
    "not finite": "64 actuals are no finite number and are left out",
}


UNTOUCHED = set(MADE) - {"all constant", "daily to weekly", "three weeks only", "all huge", "tiny", "one series", "price never varied"}
"""Kinds of which the other series sell what they always do."""


def others(asked, said):
    """Return what the ordinary series are said to sell."""
    return said.column("mean")[np.isin(asked.column("product").astype(str), ["P0", "P2"])].sum()


@pytest.fixture(scope="module")
def learned(shop, as_table):
    """Return what makes a state of a panel of some kind, once; the ensemble is made of what its members learned."""
    frame, kept = shop(), {}

    def get(name, kind):
        if (name, kind) not in kept:
            try:
                if name == "ensemble":
                    states = {one: get(one, kind) for one in ("boosted", "stats")}
                    kept[name, kind] = recipe("demand", name).blend(states, dict.fromkeys(states, 0.5))
                else:
                    kept[name, kind] = recipe("demand", name).fit(as_table(MADE[kind](frame)), PARAMS[name], 0)
            except TradewindError as error:
                kept[name, kind] = error
        if isinstance(kept[name, kind], TradewindError):
            raise kept[name, kind]
        return kept[name, kind]

    return get


def answered(maker, state):
    """Return the answer for every series, from the state as it is served; its numbers are checked."""
    state = maker.load(maker.dump(state))
    asked = maker.expand(state, None, {})
    said = maker.predict(state, asked)
    bounds = np.stack([said.column(name) for name in BOUNDS], 1)
    assert np.isfinite(bounds).all() and np.isfinite(said.column("mean")).all()
    assert (np.diff(bounds, axis=1) >= 0).all() and (bounds >= 0).all()
    return asked, said, maker.notes(state, asked)


@pytest.mark.parametrize("kind", list(MADE))
@pytest.mark.parametrize("name", [*SINGLES, "ensemble"])
def test_it_is_answered_and_what_was_done_is_said(learned, name, kind):
    maker = recipe("demand", name)
    asked, said, notes = answered(maker, learned(name, kind))
    if kind in SAID:
        assert any(SAID[kind] in note for note in notes), notes
    if kind in UNTOUCHED:
        plain, usual, _ = answered(maker, learned(name, "constant"))
        ratio = others(asked, said) / others(plain, usual)
        assert 0.5 < ratio < 2, "the other series must not suffer"


@pytest.mark.parametrize("name", [*SINGLES, "ensemble"])
def test_numbers_are_what_they_must_be(learned, name):
    maker = recipe("demand", name)

    def odd(kind, column="mean"):
        asked, said, _ = answered(maker, learned(name, kind))
        return said.column(column)[asked.column("product") == "P1"]

    assert odd("zeros beside others").max() < 0.01 and odd("below zero").max() < 0.01
    assert np.abs(odd("constant") - 7).max() < 0.5 and np.abs(odd("all constant") - 7).max() < 0.5
    plain = odd("price of nothing").mean()
    for kind in ("51 % missing", "three days of one", "not finite", "no price"):
        assert 0.5 < odd(kind).mean() / plain < 2, kind
    assert 0.5 < odd("all huge").mean() / 1e12 / plain < 2 and 0.5 < odd("tiny").mean() * 1e9 / plain < 2
    assert 0.5 < odd("huge").mean() / 1e12 / plain < 2


@pytest.mark.parametrize("kind", ["zeros beside others", "one spike", "51 % missing", "three days of one", "not finite", "all huge"])
def test_the_network_answers_too(learned, kind):
    maker = recipe("demand", "lstm")
    _, _, notes = answered(maker, learned("lstm", kind))
    assert any(SAID[kind] in note for note in notes) if kind in SAID else notes


@pytest.mark.parametrize("name", list(PARAMS))
def test_nothing_but_zeros_is_refused_or_answered_with_nothing(shop, as_table, name):
    maker = recipe("demand", name)
    table = as_table(sold(shop(), 0.0, pl.lit(value=True)))
    if name in ("boosted", "lstm"):
        with pytest.raises(LearnFailed, match="zero"):
            maker.fit(table, PARAMS[name], 0)
        return
    _, said, notes = answered(maker, maker.fit(table, PARAMS[name], 0))
    assert said.column("mean").max() == 0 and any("6 series have sold nothing" in note for note in notes)


@pytest.mark.parametrize("name", list(PARAMS))
def test_three_periods_in_all_are_refused_or_repeated(shop, as_table, name):
    maker = recipe("demand", name)
    table = as_table(shop().filter(DAY >= 157))
    if name in ("boosted", "lstm"):
        with pytest.raises(LearnFailed, match="too few"):
            maker.fit(table, PARAMS[name], 0)
        return
    _, _, notes = answered(maker, maker.fit(table, PARAMS[name], 0))
    assert any("6 series have a shorter history" in note for note in notes)


@pytest.mark.parametrize("name", list(PARAMS))
def test_several_rows_of_one_key_are_refused(shop, as_table, name):
    frame = shop()
    with pytest.raises(BadValue, match="several rows of one series"):
        recipe("demand", name).fit(as_table(pl.concat([frame, frame.filter(DAY % 3 == 0)])), PARAMS[name], 0)


@pytest.mark.parametrize("name", [*SINGLES, "ensemble"])
def test_what_was_never_seen_is_said_where_it_is_planned(learned, name):
    maker = recipe("demand", name)
    for kind, plan, words in (
        ("price never varied", {"price": 3.0}, "planned prices lie outside what was seen"),
        ("promotion always on", {"promotion": 0.0}, "promotion was on in every past day"),
    ):
        state = learned(name, kind)
        asked = maker.expand(state, 5, {})
        asked = asked.with_columns({column: np.full(len(asked), value) for column, value in plan.items()})
        assert any(words in note for note in maker.notes(state, asked))
        said = maker.predict(state, asked)
        assert np.isfinite(said.column("mean")).all() and said.column("support").max() < 0.01


@pytest.mark.parametrize("name", [*SINGLES, "ensemble"])
def test_a_horizon_longer_than_the_history_is_said(learned, name):
    maker = recipe("demand", name)
    state = learned(name, "three weeks only")
    asked = maker.expand(state, 200, {})
    said = maker.predict(state, asked)
    assert np.isfinite(said.column("mean")).all() and np.isfinite(said.column("hi95")).all()
    notes = " | ".join(maker.notes(state, asked))
    for words in ("past 30 days ahead", "shorter history than the time asked for", "plan is known to"):
        assert words in notes
    with pytest.raises(BadValue, match="horizon"):
        maker.expand(state, 100_000, {})


@pytest.mark.parametrize("plan", [{"price": np.inf}, {"price": 0.0}, {"price": -1.0}, {"promotion": -1.0}, {"promotion": np.inf}])
def test_a_plan_that_is_none_is_refused(learned, plan):
    maker, state = recipe("demand", "naive"), learned("naive", "constant")
    asked = maker.expand(state, 5, {})
    with pytest.raises(BadValue):
        maker.predict(state, asked.with_columns({name: np.full(len(asked), value) for name, value in plan.items()}))


def test_a_plan_of_nothing_is_the_known_one(learned):
    maker, state = recipe("demand", "boosted"), learned("boosted", "constant")
    asked = maker.expand(state, 5, {})
    empty = asked.with_columns({"price": np.full(len(asked), np.nan)})
    np.testing.assert_array_equal(maker.predict(state, empty).column("mean"), maker.predict(state, asked).column("mean"))
