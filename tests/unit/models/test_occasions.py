"""What events do to the days around them: found where they came once, shared where they come together, none where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradewind.core.errors import Incompatible
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import occasions
from tradewind.models._kit.forecast.occasions import AFTER, BEFORE, Occasions
from tradewind.models._kit.panel import Panel

DAYS, SERIES = 500, 40
FEAST, MARKET = (350,), (100, 280, 420)
RUN_UP = 8


def days(*at: int, periods: int = DAYS) -> np.ndarray:
    flags = np.zeros((1, periods), "f4")
    flags[0, list(at)] = 1
    return flags


def made(events: dict[str, np.ndarray], effect: np.ndarray, grain: str = "day") -> Panel:
    """Return series with a week, a slow year and noise of counts, times exp(effect)."""
    rng = np.random.default_rng(0)
    at = np.arange(DAYS)
    level = rng.uniform(3, 12, (SERIES, 1)) * (1 + 0.4 * (at % 7 >= 5)) * (1 + 0.2 * np.sin(at / 58))
    target = rng.poisson(level * np.exp(effect)).astype("f4")
    clock = Clock(GRAINS[grain])
    keys = {"product": np.array([f"P{number}" for number in range(SERIES)], object)}
    return Panel(clock, 17_000, DAYS, keys, target, events, dict.fromkeys(events, "event"), {}, {}, {})


def run_up(at: tuple[int, ...], size: float) -> np.ndarray:
    effect = np.zeros(DAYS)
    for day in at:
        effect[day - RUN_UP : day] = size
    return effect


def test_what_leads_up_to_an_event_is_seen_where_it_came_once() -> None:
    panel = made({"event_feast": days(*FEAST)}, run_up(FEAST, 0.35))
    found = occasions.learn(panel, panel.target)
    lift = found.lift(panel)[0]
    np.testing.assert_allclose(lift[FEAST[0] - RUN_UP : FEAST[0]], 0.35, atol=0.15)
    assert lift[FEAST[0] - RUN_UP : FEAST[0]].mean() == pytest.approx(0.33, abs=0.04)
    assert np.abs(lift[: FEAST[0] - BEFORE]).max() == 0 and np.abs(lift[FEAST[0] + AFTER + 1 :]).max() == 0
    assert np.abs(lift[FEAST[0] : FEAST[0] + AFTER]).max() < 0.12


def test_events_that_come_together_share_what_they_do() -> None:
    second = tuple(day + 1 for day in FEAST)
    panel = made({"event_feast": days(*FEAST), "event_second": days(*second)}, run_up(FEAST, 0.35))
    found = occasions.learn(panel, panel.target)
    np.testing.assert_allclose(found.lift(panel)[0][FEAST[0] - RUN_UP + 1 : FEAST[0]], 0.35, atol=0.15)
    assert max(abs(value) for effect in found.effects.values() for value in effect) < 0.4


def test_an_event_that_does_nothing_is_said_to_do_next_to_nothing() -> None:
    panel = made({"event_market": days(*MARKET)}, np.zeros(DAYS))
    assert np.abs(occasions.learn(panel, panel.target).lift(panel)).max() < 0.1


def test_events_of_some_series_are_told_from_those() -> None:
    flags = np.zeros((SERIES, DAYS), "f4")
    flags[: SERIES // 2, list(MARKET)] = 1
    panel = made({"event_market": flags}, np.where(np.arange(SERIES)[:, None] < SERIES // 2, run_up(MARKET, 0.5), 0.0))
    lift = occasions.learn(panel, panel.target).lift(panel)
    np.testing.assert_allclose(lift[0, MARKET[1] - RUN_UP : MARKET[1]], 0.5, atol=0.1)
    assert np.abs(lift[-1]).max() == 0


@pytest.mark.parametrize("change", ["week", "short", "none", "unsold"])
def test_where_nothing_can_be_told_nothing_is(change: str) -> None:
    panel = made({"event_feast": days(*FEAST)}, run_up(FEAST, 0.35))
    if change == "week":
        panel = replace(panel, clock=Clock(GRAINS["week"]))
    elif change == "short":
        panel = replace(panel, cut=40)
    elif change == "none":
        panel = replace(panel, ahead={}, kinds={})
    else:
        panel = replace(panel, target=np.zeros_like(panel.target))
    found = occasions.learn(panel, panel.target)
    assert np.abs(found.lift(panel)).max() == 0


def test_what_lies_ahead_is_read_off_the_plan_and_from_any_start() -> None:
    panel = made({"event_feast": days(*FEAST)}, run_up(FEAST, 0.35))
    found = occasions.learn(panel, panel.target)
    planned = replace(panel, ahead={"event_feast": days(*FEAST, 480)})
    lift = found.lift(planned)
    np.testing.assert_allclose(lift[0, 480 - RUN_UP : 480], lift[0, FEAST[0] - RUN_UP : FEAST[0]])
    np.testing.assert_array_equal(found.lift(planned, 460)[:, AFTER:], lift[:, 460 + AFTER :])


def test_it_is_written_and_read_back() -> None:
    effect = tuple(float(number) for number in range(BEFORE + 1 + AFTER))
    found = Occasions({"event_feast": effect})
    assert Occasions.from_meta(found.meta()) == found
    with pytest.raises(Incompatible, match="other days"):
        Occasions.from_meta(found.meta() | {"events": {"event_feast": [1.0]}})
