import numpy as np
import pytest

from tradewind.core.errors import Incompatible, LearnFailed, Tampered
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.forecast.naive import LEARNER
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

NONE = np.empty(0, "i8")


def panel(units, grain="day"):
    units = np.asarray(units, "f4")
    keys = np.array([f"P{at}" for at in range(len(units))], object)
    return Panel(Clock(GRAINS[grain]), 18000, units.shape[1], {"product": keys}, units, {}, {}, {}, {}, {})


def look(whole, horizon):
    every = np.arange(len(whole))
    return Look(whole.planned(every, horizon + 1, NONE, NONE, {}), every, np.arange(horizon), horizon)


def learned(whole, horizon=14):
    return LEARNER.learn(whole, {}, seed=0, horizon=horizon)


def test_the_last_week_is_repeated():
    units = np.random.default_rng(0).poisson(9, (2, 70))
    said = learned(panel(units)).say(look(panel(units), 16))
    np.testing.assert_array_equal(said.mean, units[:, -7:][:, np.arange(16) % 7])
    np.testing.assert_array_equal(said.quantiles[..., len(TAUS) // 2], said.mean)


def test_a_gap_is_filled_from_the_week_before_and_then_from_the_level():
    units = np.tile(np.arange(1.0, 8.0), (1, 10))
    units[0, -1] = np.nan
    assert learned(panel(units)).say(look(panel(units), 7)).mean[0, -1] == 7
    young = np.array([[np.nan] * 30 + [2.0, 4.0]])
    assert learned(panel(young)).say(look(panel(young), 3)).mean[0, 0] == 3


@pytest.mark.parametrize("level", [0.4, 6.0, 400.0])
def test_quantiles_hold_on_what_came_afterwards(level):
    units = np.random.default_rng(2).poisson(level, (60, 428))
    past = panel(units[:, :400])
    said = learned(past).say(look(past, 28))
    came = units[:, 400:, None]
    below, upto = (came < said.quantiles).mean((0, 1)), (came <= said.quantiles).mean((0, 1))
    outer = np.abs(TAUS - 0.5) > 0.2
    assert (below[outer] < TAUS[outer] + 0.04).all() and (upto[outer] > TAUS[outer] - 0.04).all()
    assert (said.quantiles >= 0).all() and (np.diff(said.quantiles, axis=2) >= 0).all()
    np.testing.assert_array_equal(said.quantiles, np.rint(said.quantiles))


@pytest.mark.parametrize(
    "units",
    [np.zeros((2, 60)), np.full((2, 60), 3.0), np.eye(1, 60, 30), [[5.0]], [[np.nan, 2.0]], np.where(np.arange(60) % 2, np.nan, 4.0)[None]],
    ids=["all zero", "constant", "one spike", "one actual", "one known", "half missing"],
)
def test_odd_histories_get_finite_answers(units):
    said = learned(panel(units)).say(look(panel(units), 40))
    assert np.isfinite(said.mean).all() and np.isfinite(said.quantiles).all() and (said.quantiles >= 0).all()
    assert (np.diff(said.quantiles, axis=2) >= 0).all()


def test_no_actual_at_all_is_an_error():
    with pytest.raises(LearnFailed):
        learned(panel(np.full((2, 9), np.nan)))


def test_what_was_dumped_says_the_same():
    units = panel(np.random.default_rng(3).poisson(4, (5, 90)))
    first = learned(units)
    again = LEARNER.read(first.dump(), units)
    for name in ("mean", "quantiles"):
        np.testing.assert_allclose(getattr(again.say(look(units, 20)), name), getattr(first.say(look(units, 20)), name), rtol=1e-5)


def test_damaged_bytes_are_refused():
    parts = learned(panel(np.ones((1, 30)))).dump()
    with pytest.raises(Incompatible):
        LEARNER.read({"naive.json": parts["naive.json"]}, panel(np.ones((1, 30))))
    with pytest.raises((Tampered, Incompatible)):
        LEARNER.read(parts | {"naive.safetensors": parts["naive.safetensors"][:-9]}, panel(np.ones((1, 30))))
