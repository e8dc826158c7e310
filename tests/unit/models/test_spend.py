"""What spend does: found where it is there, dropped where it is not, whole in its parts."""

import numpy as np
import pytest

from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import driven, spend, stats
from tradewind.models._kit.forecast.driven import Driving
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.panel import Panel

WEEKS, BETA, DECAY = 160, 0.5, 0.5


def text(*values):
    out = np.empty(len(values), object)
    out[:] = values
    return out


@pytest.fixture(scope="module")
def panel():
    """Three geos whose search works and whose podcast does nothing."""
    rng = np.random.default_rng(4)
    ahead = {
        f"spend_{name}": np.exp(rng.normal(3, 0.7, (3, WEEKS + 10))) * (rng.random((3, WEEKS + 10)) > 0.2) for name in ("search", "podcast")
    }
    stock = spend.carried(ahead["spend_search"], DECAY)
    effect = BETA * spend.shaped(stock / stock[:, :WEEKS].mean(1, keepdims=True), 1.0)
    season = 0.1 * np.cos(2 * np.pi * np.arange(WEEKS + 10) / 52.18)
    target = np.exp(7 + season + effect + 0.03 * rng.normal(size=effect.shape))
    target[:, WEEKS:] = np.nan
    clock = Clock(GRAINS["week"])
    return Panel(clock, 2800, WEEKS, {"geo": text("a", "b", "c")}, target, ahead, dict.fromkeys(ahead, "number"), {}, {}, {})


def test_the_useful_channel_stays_and_the_useless_one_goes(panel):
    found = spend.learn(panel, seed=0)
    assert found.names == ("spend_search",)
    assert found.tried == ("spend_search", "spend_podcast")
    stock = spend.carried(panel.ahead["spend_search"][:, :WEEKS], DECAY)
    ratio = stock / stock.mean(1, keepdims=True)
    true = float((BETA * ratio / (ratio + 1) ** 2).mean())
    assert abs(found.effect[0] - true) < 2.5 * found.error[0] < true
    assert abs(found.effect[1]) < 2.5 * found.error[1]


def test_without_spend_nothing_moves(panel):
    none = spend.nothing(panel)
    calm = driven.calm(panel, none)
    assert not calm.ahead
    np.testing.assert_array_equal(calm.target, panel.target)


def test_what_was_taken_out_is_put_back(panel):
    found = spend.learn(panel, seed=0)
    calm = driven.calm(panel, found)
    back = calm.target[:, :WEEKS] * np.exp(found.parts(panel, np.arange(WEEKS)).sum(0))
    np.testing.assert_allclose(back, panel.target[:, :WEEKS], rtol=1e-5)


def test_carried_spend_keeps_its_sum_and_saturates():
    one = np.zeros((1, 60))
    one[0, 10] = 5.0
    assert spend.carried(one, 0.7).sum() == pytest.approx(5.0, rel=1e-5)
    curve = spend.shaped(np.linspace(0, 10, 50), 1.0)
    assert (np.diff(curve) > 0).all() and (np.diff(curve, 2) < 0).all() and curve[0] == 0


def test_more_spend_is_never_said_to_harm(panel):
    flipped = panel.ahead["spend_podcast"]
    harmful = Panel(
        panel.clock,
        panel.first,
        panel.cut,
        panel.keys,
        panel.target * np.exp(-0.3 * spend.shaped(flipped / flipped.mean(), 1.0)),
        panel.ahead,
        panel.kinds,
        {},
        {},
        {},
    )
    found = spend.learn(harmful, seed=0)
    assert "spend_podcast" not in found.names and (found.beta >= 0).all()


def test_credited_channels_add_up_to_the_whole(panel):
    share = np.array([0.7, 0.3])
    keys = {"geo": text("a", "b", "c", "a", "b", "c"), "channel": text(*["search"] * 3, *["other"] * 3)}
    target = np.concatenate([panel.target * share[0], panel.target * share[1]])
    ahead = {name: np.concatenate([value, value]) for name, value in panel.ahead.items()}
    both = Panel(panel.clock, panel.first, panel.cut, keys, target, ahead, panel.kinds, {}, {}, {})
    np.testing.assert_allclose(spend.summed(both).target[:, :WEEKS], panel.target[:, :WEEKS], rtol=1e-6)
    whole, parts = spend.learn(panel, seed=0), spend.learn(both, seed=0)
    assert parts.names == whole.names
    np.testing.assert_allclose(share @ parts.beta.reshape(2, 3, -1).mean(1), whole.beta.mean(0), rtol=0.05)


def test_a_plan_changes_what_is_said(panel):
    made = Driving("spend", stats.LEARNER).learn(panel, {"seconds": 0.0}, seed=0, horizon=8)
    steps = np.arange(8)

    def said(factor):
        ahead = dict(panel.ahead)
        ahead["spend_search"] = panel.ahead["spend_search"].copy()
        ahead["spend_search"][:, WEEKS:] *= factor
        look = Panel(panel.clock, panel.first, panel.cut, panel.keys, panel.target, ahead, panel.kinds, {}, {}, {})
        return made.say(Look(look, np.arange(3), steps, 8)).mean.sum()

    assert said(0.0) < said(1.0) < said(2.0)
    again = Driving("spend", stats.LEARNER).read(made.dump(), panel)
    look = Look(panel, np.arange(3), steps, 8)
    np.testing.assert_allclose(again.say(look).mean, made.say(look).mean, rtol=1e-5)
