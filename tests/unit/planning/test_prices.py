"""The price planner: what it may do, and that it changes nothing where nothing gains surely."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.planning import price_search, prices

COUNT = 6


def shop(own: float = -1.5, spread: float = 0.1, cost: float = 0.5, *, stays: float = 0.0, kinds: int = 1):
    """Return a respond function of six products at a price of 10."""
    rng = np.random.default_rng(0)
    draws = own + spread * rng.normal(size=(100, COUNT))
    quiet = np.zeros((100, COUNT))

    def respond(request):
        assert request["about"] == "prices"
        said = dict.fromkeys(("own", "own_second"), draws)
        said |= dict.fromkeys(("siblings", "siblings_second"), quiet + 0.1) | dict.fromkeys(("sisters", "sisters_second"), quiet)
        names = np.array([f"P{at}" for at in range(COUNT)], object)
        text = {
            "product": names,
            "category": np.array([f"c{at % kinds}" for at in range(COUNT)], object),
            "brand": np.array(["b"] * COUNT, object),
        }
        return (
            said
            | text
            | {
                "price": np.full(COUNT, 10.0),
                "cost": np.full(COUNT, 10 * cost),
                "units": np.full(COUNT, 100.0),
                "weight": np.array([0.5]),
                "signed": np.ones(COUNT),
                "lowest": np.full(COUNT, 9.0),
                "highest": np.full(COUNT, 11.0),
                "stays": np.full(100, stays),
            }
        )

    return respond


def wishes(asked=None, lock=None, **limits):
    return {"asked": asked, "budget": None, "lock": lock or {}, "limits": limits}


def fact(planned, name):
    return next(one.value for one in planned.facts if one.name == name)


def test_prices_that_are_too_low_are_raised_to_the_largest_move():
    planned = prices.plan(shop(), wishes(move=0.08))
    np.testing.assert_allclose(planned.table.column("price"), 10.8, atol=1e-3)
    assert fact(planned, "gain") > 0 and fact(planned, "chance") >= 0.8 and fact(planned, "chance_second") >= 0.8
    assert "Change 6 prices" in planned.words


def test_nothing_is_changed_where_nothing_gains_surely():
    planned = prices.plan(shop(own=-2.0, spread=1.5), wishes())
    assert planned.table.column("price").tolist() == [10.0] * COUNT
    assert planned.words.startswith("Do not change") and fact(planned, "changes") == 0


def test_limits_are_kept():
    rows = Table.from_columns({"product": np.array(["P0", "P1", "P2"], object), "ceiling": np.array([10.2, np.nan, np.nan])})
    planned = prices.plan(shop(), wishes(asked=rows, frozen=["P1"], lock={"P5": 9.0}))
    price = planned.table.column("price")
    assert price[0] <= 10.2 + 1e-6 and price[1] == 10.0 and price[3] == price[4] == 10.0 and price[5] == 9.0 and price[2] > 10.5


def test_endings_and_the_number_of_changes_are_kept():
    planned = prices.plan(shop(), wishes(endings=[0.99, 0.49], changes=2))
    price = planned.table.column("price")
    changed = price[np.abs(price - 10) > 1e-9]
    assert len(changed) == 2 and all(min(abs(one % 1 - 0.99), abs(one % 1 - 0.49)) < 1e-6 for one in changed)


def test_ladders_volume_and_revenue_are_kept():
    planned = prices.plan(shop(), wishes(ladders=[["P0", "P1"]], lock={"P1": 10.0}, volume=0.97))
    assert planned.table.column("price")[0] <= 10.0 + 1e-6
    assert fact(planned, "volume_change") >= -0.031


def test_the_front_holds_no_point_that_another_beats():
    table = prices.plan(shop(), wishes(front=9)).table
    rows = np.stack([table.column(name) for name in ("margin_change", "revenue_change", "volume_change")], 1)
    assert len(rows) >= 2
    for one in rows:
        assert not any((other >= one - 1e-9).all() and (other > one + 1e-6).any() for other in rows)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"colour": 1}, "no limit"),
        ({"move": 3.0}, "move must"),
        ({"chance": 0.5}, "chance must"),
        ({"objective": "fame"}, "no objective"),
        ({"frozen": ["P9"]}, "cannot be planned"),
        ({"ladders": [["P0"]]}, "pair of products"),
        ({"index": 1.0}, "needs competitor prices"),
        ({"margin_floor": 0.9}, "no price fits"),
    ],
)
def test_limits_that_cannot_be_are_refused(given, said):
    with pytest.raises(BadValue, match=said):
        prices.plan(shop(), wishes(**given))


def test_customers_that_other_categories_keep_are_worth_a_higher_price():
    alone = prices.plan(shop(own=-2.2, kinds=2), wishes())
    caught = prices.plan(shop(own=-2.2, kinds=2, stays=0.4), wishes())
    assert fact(alone, "changes") == 0 or fact(caught, "gain") > fact(alone, "gain")
    assert (caught.table.column("price") > 10.5).all() and fact(caught, "volume_change") > -0.22


def test_more_than_what_leaves_is_never_caught():
    respond = shop(own=-2.0, kinds=2, stays=1.0)
    said = respond({"about": "prices"})
    field = price_search.field_of(said)
    kept = np.einsum("p,dpq->dq", field.units, field.matrix)
    assert (kept <= 1e-9).all()
    other = np.arange(COUNT)[:, None] % 2 != np.arange(COUNT)[None] % 2
    assert (field.matrix[:, other] > 0.2).all()


def lacking(**columns):
    """Return a respond function in which the first product has other numbers."""
    whole = shop()

    def respond(request):
        said = dict(whole(request))
        for name, value in columns.items():
            said[name] = said[name].copy()
            said[name][0] = value
        return said

    return respond


@pytest.mark.parametrize("columns", [{"cost": np.nan}, {"cost": 11.5}, {"price": np.nan}])
def test_a_product_that_no_price_can_be_planned_for_is_left_out_and_told(columns):
    planned = prices.plan(lacking(**columns), wishes(move=0.08))
    assert planned.table.column("product").tolist() == [f"P{at}" for at in range(1, COUNT)]
    np.testing.assert_allclose(planned.table.column("price"), 10.8, atol=1e-3)
    assert fact(planned, "left_out") == 1 and "P0." in planned.words
    with pytest.raises(BadValue):
        prices.plan(lacking(**columns), wishes(asked=Table.from_columns({"product": np.array(["P0", "P1"], object)})))


def test_prices_never_seen_are_told():
    planned = prices.plan(shop(), wishes(move=0.3))
    assert fact(planned, "above_seen") == COUNT and "above the highest price ever seen" in planned.words
    inside = prices.plan(shop(), wishes(move=0.08))
    assert fact(inside, "above_seen") == 0 and "ever seen" not in inside.words


def test_a_locked_price_far_outside_earns_nothing():
    price = np.full(COUNT, 10.0)
    field = prices._field(shop(own=-0.5), None, set())[0]
    earned = [price_search.outcome(field, np.where(np.arange(COUNT) == 0, far, price)).revenue for far in (20.0, 1e3, 1e9)]
    assert earned == sorted(earned, reverse=True) and earned[-1] < 0


def test_one_name_or_ending_may_stand_by_itself():
    alone, listed = (prices.plan(shop(), wishes(frozen=frozen, endings=ending)) for frozen, ending in (("P1", 0.5), (["P1"], [0.5])))
    np.testing.assert_array_equal(alone.table.column("price"), listed.table.column("price"))
    assert alone.table.column("price")[1] == 10.0


@pytest.mark.parametrize(
    "limits",
    [{"frozen": 1}, {"ladders": 3}, {"ladders": ["P1", "P2"]}, {"ladders": "P1"}, {"changes": 1.5}, {"front": 2.7}, {"endings": {}}],
)
def test_limits_of_the_wrong_kind_are_refused_in_words(limits):
    with pytest.raises(BadValue):
        prices.plan(shop(), wishes(**limits))


def test_the_most_volume_that_earns_nothing_is_not_called_unsure():
    planned = prices.plan(shop(own=-1.2), wishes(objective="volume"))
    assert fact(planned, "changes") == 0
    assert "most volume" in planned.words and "front" in planned.words


def test_limits_that_cannot_be_kept_are_said():
    cases = (
        (wishes(lock={"P0": 10.9}, ladders=[["P0", "P1"]], frozen=["P1"]), "P0 costs 10.9, more than P1 at 10"),
        (wishes(volume=1.5), "volume is 1 of today's, not 1.5"),
        (wishes(lock={"P0": 9.0}, revenue=1.5), "not 1.5"),
    )
    for wish, said in cases:
        planned = prices.plan(shop(), wish)
        assert fact(planned, "limits_missed") == 1 and said in planned.words
    assert fact(prices.plan(shop(), wishes(volume=0.8)), "limits_missed") == 0


def test_a_floor_that_the_guard_does_not_follow_is_said():
    rows = Table.from_columns({"product": np.array(["P0"], object), "floor": np.array([10.5])})
    planned = prices.plan(shop(own=-2.0, spread=1.5), wishes(asked=rows))
    assert planned.table.column("price")[0] == 10.0
    assert "P0 stays at 10, below the 10.5 that its limits ask for" in planned.words


def test_a_product_asked_about_twice_is_refused():
    rows = Table.from_columns({"product": np.array(["P0", "P0"], object), "floor": np.array([10.2, np.nan])})
    with pytest.raises(BadValue, match="more than once: P0"):
        prices.plan(shop(), wishes(asked=rows))


def test_words_give_the_least_chance_of_all_forms():
    """A locked price that loses: they gave the first form's chance, "margin -0.1 %, with a chance of 99 % to gain"."""
    planned = prices.plan(shop(), wishes(lock={"P0": 8.0}))
    least = min(fact.value for fact in planned.facts if fact.name in ("chance", "chance_second", "chance_shares"))
    assert least < 0.2
    assert f"with a chance of {100 * least:.0f} % to gain" in planned.words
