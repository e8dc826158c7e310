"""Sums: means add up, bounds hold where errors go together and do not widen where they do not."""

from dataclasses import replace

import numpy as np
import pytest

from tradewind.core.errors import BadValue, NotFound
from tradewind.models import recipe
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import totals
from tradewind.models._kit.forecast.memory import nothing
from tradewind.models._kit.forecast.totals import Paths
from tradewind.models._kit.panel import Panel

SERIES, HORIZON, FIRST = 12, 14, 19723  # 2024-01-01, a Monday
MEAN, SPREAD = 100.0, 10.0


def words(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def panel(series=SERIES):
    names = {"product": words([f"P{at}" for at in range(series)]), "store": words([f"S{at % 3}" for at in range(series)])}
    labels = {"category": words(["tea" if at < 4 else "coffee" for at in range(series)])}
    target = np.full((series, 28), MEAN, "f4")
    return Panel(Clock(GRAINS["day"]), FIRST, 28, names, target, {}, {}, {}, {}, {}, labels)


def errors(rng, blocks, *, shock, lasting=0.0, series=SERIES):
    """Return errors (series, blocks, steps) of deviation SPREAD; `shock` is the share of variance that all series share on one day,
    `lasting` the share that one series keeps through a block."""
    own = rng.normal(size=(series, blocks, HORIZON)) * np.sqrt(1 - shock - lasting)
    own = own + rng.normal(size=(1, blocks, HORIZON)) * np.sqrt(shock)
    return SPREAD * (own + rng.normal(size=(series, blocks, 1)) * np.sqrt(lasting))


def remembered(error):
    memory = nothing(len(error), HORIZON)
    mean = np.full(error.shape, MEAN, "f4")
    return replace(
        memory,
        starts=FIRST + 28 - HORIZON * np.arange(error.shape[1], 0, -1),
        truth=(MEAN + error).astype("f4"),
        mean=mean,
        spread=np.full(error.shape, SPREAD, "f4"),
    )


def rows(series=SERIES, steps=HORIZON):
    size = series * steps
    return Paths(np.repeat(np.arange(series), steps), np.tile(np.arange(steps), series), np.full(size, MEAN), np.full(size, SPREAD))


def covered(by, *, blocks, shock, lasting=0.0, draws=60):
    """Return the share of coming sums inside their 80 % bounds, and that of bounds that take errors as independent."""
    rng = np.random.default_rng(5)
    inside, alone = [], []
    for _ in range(draws):
        past, coming = errors(rng, blocks, shock=shock, lasting=lasting), errors(rng, 1, shock=shock, lasting=lasting)[:, 0]
        found = totals.total(panel(), remembered(past), HORIZON, rows(), by)
        if "date" in by:
            came, parts = MEAN * SERIES + coming.sum(0), SERIES
        elif "store" in by:
            came, parts = np.array([MEAN * 4 * HORIZON + coming[at::3].sum() for at in range(3)]), 4 * HORIZON
        else:
            came, parts = np.array([MEAN * SERIES * HORIZON + coming.sum()]), SERIES * HORIZON
        inside.append((came >= found.column("lo80")) & (came <= found.column("hi80")))
        alone.append(np.abs(came - found.column("mean")) <= 1.2816 * SPREAD * np.sqrt(parts))
    return np.mean(inside), np.mean(alone)


@pytest.mark.parametrize(("by", "sums"), [(["total"], 1), (["store"], 3), (["product"], 12), (["store", "date"], 42), (["category"], 2)])
def test_sums_are_the_sums_of_means(by, sums):
    asked = rows()
    asked = replace(asked, mean=np.random.default_rng(0).uniform(0, 50, len(asked.mean)))
    found = totals.total(panel(), remembered(errors(np.random.default_rng(1), 4, shock=0.0)), HORIZON, asked, by)
    assert len(found) == sums
    assert found.column("mean").sum() == pytest.approx(asked.mean.sum())
    if by == ["store"]:
        expected = [asked.mean[asked.series % 3 == at].sum() for at in range(3)]
        np.testing.assert_allclose(found.column("mean"), expected)
        assert found.column("store").tolist() == ["S0", "S1", "S2"]


@pytest.mark.parametrize("by", [["date"], ["store"]])
def test_bounds_hold_where_all_series_share_a_shock(by):
    ours, alone = covered(by, blocks=8, shock=0.5)
    assert 0.73 < ours < 0.87
    assert alone < 0.65, "adding independent spreads would not do"


@pytest.mark.parametrize("by", [["date"], ["store"]])
def test_bounds_are_no_wider_than_needed_where_errors_are_independent(by):
    ours, alone = covered(by, blocks=8, shock=0.0)
    assert 0.73 < ours < 0.87 and 0.73 < alone < 0.87


@pytest.mark.parametrize(("shock", "lasting"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.3, 0.3)])
def test_one_sum_over_few_blocks_learns_from_finer_sums_how_errors_go_together(shock, lasting):
    ours, _ = covered(["total"], blocks=3, shock=shock, lasting=lasting, draws=200)
    assert 0.68 < ours < 0.95
    past = remembered(errors(np.random.default_rng(2), 3, shock=shock, lasting=lasting))
    found = totals.total(panel(), past, HORIZON, rows(), ["total"])
    width = (found.column("hi80") - found.column("lo80"))[0] / (2 * 1.2816)
    # alike within a day: variance times 1 + shock x 11 of 12 series; alike within a block: 1 + lasting x 13 of 14 days
    true = SPREAD * np.sqrt(SERIES * HORIZON * (1 + shock * (SERIES - 1) + lasting * (HORIZON - 1)))
    half_alike = SPREAD * np.sqrt(SERIES * HORIZON * (1 + 0.5 * (SERIES * HORIZON - 1)))
    assert 0.5 * true < width < 2 * true < half_alike


def test_few_sums_of_one_common_shock_are_not_taken_as_independent():
    """All series and days of a block err alike: three blocks are all there is to learn that from."""
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(200):
        past, coming = (np.sqrt(0.5) * (rng.normal(size=(SERIES, n, HORIZON)) + rng.normal(size=(1, n, 1))) * SPREAD for n in (3, 1))
        found = totals.total(panel(), remembered(past), HORIZON, rows(), ["total"])
        came = MEAN * SERIES * HORIZON + coming.sum()
        inside.append(found.column("lo80")[0] <= came <= found.column("hi80")[0])
    assert 0.6 < np.mean(inside) < 0.95


def test_without_a_past_errors_count_as_half_alike():
    found = totals.total(panel(), nothing(SERIES, HORIZON), HORIZON, rows(), ["total"])
    width = (found.column("hi80") - found.column("lo80"))[0] / (2 * 1.2816)
    parts = SERIES * HORIZON
    assert width == pytest.approx(SPREAD * np.sqrt(parts * (1 + 0.5 * (parts - 1))), rel=1e-3)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("date", [f"2024-01-{29 + at}" for at in range(3)] + [f"2024-02-{1 + at:02}" for at in range(11)]),
        ("week", ["2024-01-29", "2024-02-05"]),
        ("month", ["2024-01-01", "2024-02-01"]),
    ],
)
def test_spans_of_time_are_named_by_their_first_day(span, expected):
    found = totals.total(panel(), nothing(SERIES, HORIZON), HORIZON, rows(), [span])
    assert found.column(span).astype("M8[D]").astype(str).tolist() == expected
    if span == "month":
        assert found.column("mean").tolist() == [3 * MEAN * SERIES, 11 * MEAN * SERIES]


@pytest.mark.parametrize("by", [["total"], ["total-period"], ["store", "total-period"]])
def test_without_a_span_all_the_time_is_one_sum(by):
    found = totals.total(panel(), nothing(SERIES, HORIZON), HORIZON, rows(), by)
    assert len(found) == (3 if "store" in by else 1) and not {"date", "week", "month", "total"} & set(found.names)


def test_bounds_are_in_order_and_never_below_zero():
    asked = replace(rows(), mean=np.full(SERIES * HORIZON, 1.0))
    found = totals.total(panel(), remembered(errors(np.random.default_rng(0), 4, shock=0.8)), HORIZON, asked, ["store", "week"])
    bounds = np.stack([found.column(name) for name in ("lo95", "lo90", "lo80", "lo50", "p50", "hi50", "hi80", "hi90", "hi95")], 1)
    assert (np.diff(bounds, axis=1) >= 0).all() and (bounds >= 0).all() and bounds[:, -1].min() > 0


def test_what_there_is_not_is_refused():
    with pytest.raises(NotFound, match="colour"):
        totals.total(panel(), nothing(SERIES, HORIZON), HORIZON, rows(), ["colour"])
    with pytest.raises(BadValue, match="one span"):
        totals.total(panel(), nothing(SERIES, HORIZON), HORIZON, rows(), ["week", "month"])


def test_a_category_of_its_own_for_every_series_can_be_chosen_and_summed_by(shop, as_table):
    """Six products of six categories: too many to learn from, and still what the user groups by."""
    frame = shop(days=60, products=6, stores=1).with_columns(category="kind of " + shop(days=60, products=6, stores=1)["product"])
    maker = recipe("demand", "naive")
    state = maker.fit(as_table(frame), {}, 0)
    assert "category" not in state.panel.codes
    again = maker.load(maker.dump(state))
    for one in (state, again):
        asked = maker.expand(one, 5, {"category": ["kind of P1", "kind of P4"]})
        assert sorted(set(asked.column("product").tolist())) == ["P1", "P4"]
        found = maker.total(one, asked, ["category"])
        assert found.column("category").tolist() == ["kind of P1", "kind of P4"]
        assert found.column("mean").sum() == pytest.approx(maker.predict(one, asked).column("mean").sum(), rel=1e-6)
