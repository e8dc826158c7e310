"""Where customers choose among siblings, prices that are right stay: cheaper ones take what dearer ones lose, and make no customers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind.planning import price_search, prices

COST = np.array([3.0, 3.5, 4.0, 4.5])
DISLIKE, LIKED = 1.3, np.array([7.5, 8.0, 8.9, 9.4])


def share(price: np.ndarray) -> np.ndarray:
    """Return the true shares of a logit with an outside good."""
    worth = np.exp(LIKED - DISLIKE * price)
    return worth / (1 + worth.sum())


def profit(price: np.ndarray) -> float:
    return float(((price - COST) * share(price)).sum())


def best() -> np.ndarray:
    """Return the prices with the most profit: every product has the same markup, 1 / (dislike x share of the outside good)."""
    markup = 1.0
    for _ in range(500):
        markup = 0.5 * markup + 0.5 / (DISLIKE * (1 - share(COST + markup).sum()))
    return COST + markup


def respond_at(price: np.ndarray) -> Any:
    """Return a respond function that knows the true elasticities at these prices, nearly."""
    sold = share(price)
    own = -DISLIKE * price * (1 - sold)
    beside = DISLIKE * ((price * sold).sum() - price * sold)
    draws = 1 + 0.02 * np.random.default_rng(1).normal(size=(100, 1))

    def respond(request: Any) -> Any:
        said = dict.fromkeys(("own", "own_second"), own * draws) | dict.fromkeys(("siblings", "siblings_second"), beside * draws)
        said |= dict.fromkeys(("sisters", "sisters_second"), np.zeros((100, 4)))
        text = {"product": [f"P{at}" for at in range(4)], "category": ["c"] * 4, "brand": [""] * 4}
        return (
            said
            | {name: np.array(values, object) for name, values in text.items()}
            | {"price": price, "cost": COST, "units": 1000 * sold, "weight": np.array([0.5]), "signed": np.ones(4)}
            | {"lowest": 0.8 * price, "highest": 1.2 * price, "stays": np.zeros(100)}
        )

    return respond


def planned(price: np.ndarray) -> tuple[Any, float]:
    """Return the plan, and what it truly brings as a share of today's profit."""
    made = prices.plan(respond_at(price), {"asked": None, "budget": None, "lock": {}, "limits": {}})
    return made, profit(made.table.column("price")) / profit(price) - 1


def test_prices_that_are_right_stay() -> None:
    made, gained = planned(best())
    promised = next(fact.value for fact in made.facts if fact.name == "gain")
    assert gained > -0.005
    assert promised < 0.01


@pytest.mark.parametrize("wrong", [0.88, 1.12])
def test_prices_that_are_wrong_are_changed_for_the_better(wrong: float) -> None:
    made, gained = planned(wrong * best())
    assert gained > 0.02
    assert next(fact.value for fact in made.facts if fact.name == "chance_shares") >= 0.8


def test_shares_answer_near_today_as_the_first_form_does() -> None:
    field = prices._field(respond_at(best()), None, set())[0]
    step = field.price * np.array([1.0001, 1, 1, 1])
    sold, slope = (look(field, step, slice(None)) for look in (price_search._shared, price_search._shared_slopes))
    assert np.log(sold[:, 0] / field.units[0]) / np.log(1.0001) == pytest.approx(field.matrix[:, 0, 0], rel=1e-2)
    twice = price_search._shared(field, field.price * np.array([1.0002, 1, 1, 1]), slice(None))
    np.testing.assert_allclose((np.log(twice) - np.log(sold)) / np.log(1.0002 / 1.0001), slope[:, :, 0], rtol=1e-2, atol=1e-3)


def test_a_search_by_the_forms_in_logs_does_not_look_at_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took six times as long: a minute for 200 products."""
    field = prices._field(respond_at(best() * 0.9), None, set())[0]
    monkeypatch.setattr(price_search, "_shared", lambda *_: pytest.fail("the form in shares was looked at"))
    limits = prices._limits(field, None, {}, {"frozen": []})
    price = price_search.continuous(field, limits)
    assert not price_search.unsure(field, price, 0.8).all()
    assert len(price_search.chances(field, price, field.price)) == 2
    price_search.discrete(field, limits, price)
    assert price_search.units(field, price).shape == (4,)


def test_cheaper_siblings_make_no_customers() -> None:
    field = prices._field(respond_at(best()), None, set())[0]
    mixed = field.price * np.array([0.9, 1.1, 0.9, 1.1])
    true = share(mixed).sum() / share(best()).sum()
    shared = price_search._shared(field, mixed, slice(None)).mean(0).sum() / field.units.sum()
    logs = price_search._sold(field, mixed, slice(None), second=False).mean(0).sum() / field.units.sum()
    assert abs(shared - true) < 0.5 * abs(logs - true)
