"""Recalibration: transforms and their reverse, coverage, shifts that blocks agree on, intervals that end at zero."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.models._kit.forecast import recalibrate
from tradewind.models._kit.intervals import LEVELS, TAUS

RNG = np.random.default_rng(0)


def raw(rows: int, *, width: float = 1.0) -> np.ndarray:
    """Return quantiles of an exponential-like distribution of mean 10."""
    return np.repeat((-10 * np.log(1 - TAUS) * width)[None], rows, 0)


def test_a_transform_and_its_reverse_agree() -> None:
    quantiles = raw(500)
    truth = RNG.exponential(10, 500)
    found = recalibrate.transform(quantiles, truth, np.zeros(500))
    back = recalibrate.inverse(quantiles, found[:, None])[:, 0]
    inside = found < 0.9999  # the tail is cut there
    np.testing.assert_allclose(back[inside], truth[inside], rtol=1e-6, atol=1e-6)


def test_transforms_of_the_right_distribution_are_even() -> None:
    found = recalibrate.transform(raw(20_000), RNG.exponential(10, 20_000), RNG.random(20_000))
    assert np.abs(np.quantile(found, TAUS) - TAUS).max() < 0.02


def test_ties_at_zero_are_parted_evenly() -> None:
    shift = -10 * np.log(0.7)  # three tenths of the mass lie at zero
    quantiles = np.maximum(raw(20_000) - shift, 0)
    truth = np.maximum(RNG.exponential(10, 20_000) - shift, 0)
    found = recalibrate.transform(quantiles, truth, RNG.random(20_000))
    assert np.abs(np.quantile(found, TAUS) - TAUS).max() < 0.02


def learned(width: float, *, rows: int = 6000, horizon: int = 28) -> tuple[recalibrate.Recalibration, np.ndarray]:
    quantiles, truth = raw(rows, width=width), RNG.exponential(10, rows)
    found = recalibrate.transform(quantiles, truth, RNG.random(rows))
    ahead, age = np.arange(rows) % horizon, np.arange(rows) // horizon % 6
    return recalibrate.learn(found, ahead, np.full(rows, 10.0), np.zeros(rows), age, horizon=horizon), quantiles


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_coverage_is_put_right(width: float) -> None:
    bands, quantiles = learned(width)
    truth = RNG.exponential(10, len(quantiles))
    rows = (quantiles, np.arange(len(quantiles)) % 28, np.full(len(quantiles), 10.0), np.zeros(len(quantiles)))
    said = recalibrate.intervals(lambda levels: bands(*rows, levels))
    for level in (50, 80, 90):
        low, high = (said[:, list(LEVELS).index(f"{side}{level}")] for side in ("lo", "hi"))
        assert ((truth >= low) & (truth <= high)).mean() == pytest.approx(level / 100, abs=0.03)


def test_levels_asked_together_are_those_asked_alone() -> None:
    bands, quantiles = learned(0.5, rows=900)
    rows = (quantiles, np.arange(900) % 28, np.full(900, 10.0), np.zeros(900))
    whole = bands(*rows, recalibrate.SHOWN)  # in no order
    assert (whole > quantiles.max()).any() and (whole < quantiles.min()).any()  # some lie in either tail
    for at, level in enumerate(recalibrate.SHOWN):
        np.testing.assert_array_equal(whole[:, at], bands(*rows, np.array([level]))[:, 0])


def test_nothing_known_leaves_quantiles_alone() -> None:
    quantiles = raw(10)
    rows = (np.arange(10), np.full(10, 10.0), np.zeros(10))
    np.testing.assert_allclose(recalibrate.untouched()(quantiles, *rows), quantiles, rtol=1e-2)
    none = np.full(10, np.nan)
    assert recalibrate.learn(none, *rows, np.zeros(10), horizon=10).curves.shape == (1, 1, 2, len(recalibrate.GRID))


def moved(by: float, rows: int = 500) -> np.ndarray:
    """Return even transforms whose log odds are moved."""
    even = (np.arange(rows) + 0.5) / rows
    found: np.ndarray = even / (even + (1 - even) * np.exp(-by))
    return found


def curve(lies: list[np.ndarray], *, age: list[int] | None = None, state: list[int] | None = None, of: int = 0, at: int = 0) -> np.ndarray:
    """Return what one cell is calibrated by, after parts of transforms, each with its block's age (the last is the newest) and state."""
    sizes = [len(part) for part in lies]
    ages = np.repeat(age if age is not None else np.arange(len(lies))[::-1], sizes)
    states = np.repeat(state if state is not None else np.zeros(len(lies), "i8"), sizes)
    count = len(ages)
    ahead = np.arange(count) % 4 if at == 0 else np.zeros(count)
    made = recalibrate.learn(np.concatenate(lies), ahead, np.full(count, 5.0), states, ages, horizon=4)
    cell = made._cell(np.array([at]), np.array([5.0]), np.array([of]))
    return made.curves.reshape(-1, len(recalibrate.GRID))[cell[0]]


def half(found: np.ndarray) -> float:
    return float(np.interp(0.5, recalibrate.GRID, found))


def median(*moves: float) -> float:
    """Return where the middle lies after blocks, oldest first, whose log odds were moved by so much."""
    return half(curve([moved(by) for by in moves]))


def test_a_move_to_one_side_is_believed_as_far_as_blocks_agree() -> None:
    whole = median(-0.5, -0.5, -0.5, -0.5)
    assert whole == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.015)
    assert 0.51 < median(-0.4, -0.5, -0.6, -0.5) < whole - 0.005
    assert median(0.5, -0.6, 0.4, -0.7) == pytest.approx(0.5, abs=0.005)  # a shock of this block or of that
    assert 0.51 < median(-0.15, -0.25, -0.2) < median(*[-0.15, -0.25, -0.2] * 3) - 0.005  # three blocks know less than nine


@pytest.mark.parametrize("by", [0.5, 1.0, 2.0, 3.0])
def test_one_block_moves_nothing_however_far_it_lies(by: float) -> None:
    for moves in ((by,), (-by,), (0.0, 0.0, 0.0, by)):
        found = curve([moved(one) for one in moves])
        assert half(found) == pytest.approx(0.5, abs=0.02), moves
        assert found[0] >= 0 and found[-1] == pytest.approx(1.0) and (np.diff(found) >= 0).all()
        assert (np.diff(found) > 0).mean() > 0.9  # no tail is gone


@pytest.mark.parametrize("shares", [(0.2, 0.2, 0.2, 0.2), (0.05, 0.5, 0.1, 0.4), (0.1, 0.3, 0.2, 0.1)])
def test_a_pool_has_a_move_of_its_own_however_often_it_is_in_a_block(shares: tuple[float, ...]) -> None:
    lies, ages, states = [], [], []
    for age, share in enumerate(shares):
        lies += [moved(0.0, round(2000 * (1 - share))), moved(-0.8, round(2000 * share))]
        ages, states = [*ages, age, age], [*states, 0, 1]
    promoted, plain = (half(curve(lies, age=ages, state=states, of=of)) for of in (1, 0))
    assert promoted == pytest.approx(1 / (1 + np.exp(-0.8)), abs=0.03)
    assert plain == pytest.approx(0.5, abs=0.02)


def test_a_few_actuals_do_not_move_their_pool() -> None:
    few = [np.array([low]) for low in (0.05, 0.10, 0.08)]
    found = curve([moved(0.0)] * 3 + few, age=[2, 1, 0] * 2, state=[0] * 3 + [1] * 3, of=1)
    assert half(found) == pytest.approx(0.5, abs=0.05)
    assert np.interp(0.9, recalibrate.GRID, found) < 0.95


def test_a_block_that_has_only_begun_moves_nothing() -> None:
    def after(filled: int) -> list[float]:
        ahead, lies, ages = [], [], []
        for age in range(5):
            for step in range(12 if age else filled):
                lies.append(moved(0.25 * (step // 4)))
                ahead.append(np.full(500, step))
                ages.append(np.full(500, age))
        rows = [np.concatenate(part) for part in (lies, ahead, ages)]
        count = len(rows[0])
        made = recalibrate.learn(rows[0], rows[1], np.full(count, 5.0), np.zeros(count), rows[2], horizon=12)
        cells = made._cell(np.array([0, 4, 10]), np.full(3, 5.0), np.zeros(3))
        return [half(one) for one in made.curves.reshape(-1, len(recalibrate.GRID))[cells]]

    whole = after(12)
    assert whole[0] > whole[1] > whole[2]
    for filled in (1, 3, 6):
        np.testing.assert_allclose(after(filled), whole, atol=0.015)


def test_newer_blocks_count_more() -> None:
    ages = [11, 10, 9, 2, 1, 0]
    low = curve([moved(by) for by in (-0.4, -0.4, -0.4, -0.5, -0.5, -0.5)], age=ages)
    high = curve([moved(by) for by in (-0.5, -0.5, -0.5, -0.4, -0.4, -0.4)], age=ages)
    assert half(low) > half(high) + 0.005 > 0.55


def test_shocks_of_blocks_widen_and_do_not_move() -> None:
    even = np.linspace(0, 1, 500)
    low, high = even**2, 1 - even**2
    under, over = (float(np.interp(at, recalibrate.GRID, curve([low, high, low, high]))) for at in (0.1, 0.9))
    assert under > 0.15 and over < 0.85  # more came outside of 80 % than was said
    assert under + over == pytest.approx(1.0, abs=0.02)


def test_what_lies_far_above_is_not_put_below() -> None:
    lies = np.concatenate([np.linspace(0, 0.97, 970), np.full(30, 1.0)])  # three of a hundred are far above all that was said
    found = curve([lies] * 3)
    assert np.interp(0.002, recalibrate.GRID, found) < 0.004
    assert np.interp(0.99, recalibrate.GRID, found) < 0.98


def test_whole_numbers_lie_evenly_in_a_right_forecast_that_is_rounded() -> None:
    for mean in (0.4, 1.5, 8.0):
        quantiles = np.repeat((-mean * np.log(1 - TAUS))[None], 30_000, 0)
        truth = np.round(RNG.exponential(mean, 30_000))
        found = recalibrate.counted(quantiles, truth, RNG.random(30_000))
        assert np.abs(np.quantile(found, TAUS) - TAUS).max() < 0.02, mean
    often = np.maximum(quantiles - 5, 0)  # nothing sells where less than 5 is wanted
    found = recalibrate.counted(often, np.round(np.maximum(RNG.exponential(8.0, 30_000) - 5, 0)), RNG.random(30_000))
    assert np.abs(np.quantile(found, TAUS) - TAUS).max() < 0.02


def test_an_interval_that_ends_at_zero_misses_only_above() -> None:
    mass = np.concatenate([np.zeros(7), np.linspace(1, 8, 8)])  # 40 % of the mass at zero
    said = recalibrate.intervals(lambda levels: np.interp(levels, TAUS, mass)[None])
    names = list(LEVELS)
    assert said[0, names.index("lo80")] == 0
    assert said[0, names.index("hi80")] == pytest.approx(np.interp(0.8, TAUS, mass))
    assert said[0, names.index("hi95")] == pytest.approx(np.interp(0.95, TAUS, mass))


def test_a_recalibration_comes_back_from_its_arrays() -> None:
    bands, quantiles = learned(0.7, rows=900)
    again = recalibrate.Recalibration.from_arrays(bands.arrays("x/"), "x/")
    rows = (quantiles, np.arange(900) % 28, np.full(900, 10.0), np.zeros(900))
    np.testing.assert_allclose(again(*rows), bands(*rows), rtol=1e-4)


def drifting(seed: int, blocks: int, steps: int = 28, together: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Return transforms (1, blocks, steps) of blocks whose misses hang together, and normal quantiles that are right for each actual."""
    from scipy.stats import norm

    random = np.random.default_rng(seed)
    miss = np.sqrt(together) * random.normal(size=(blocks, 1)) + np.sqrt(1 - together) * random.normal(size=(blocks, steps))
    return norm.cdf(miss)[None], 100 + 10 * norm.ppf(TAUS)


def test_what_hangs_together_is_worth_less_and_what_does_not_is_not() -> None:
    random = np.random.default_rng(5)
    apart = random.random((60, 3, 28))
    assert recalibrate.worth(apart) == pytest.approx(1.0, abs=0.25)
    shifted = (random.random((60, 3, 1)) + 0.2 * random.random((60, 3, 28))) / 1.2
    assert recalibrate.worth(shifted) == pytest.approx(1 / 28, abs=0.02)
    assert recalibrate.worth(np.full((1, 3, 28), 0.9)) == pytest.approx(1 / 28)
    assert recalibrate.worth(np.full((2, 3, 28), np.nan)) == 1.0
    holed = np.where(random.random(apart.shape) < 0.3, np.nan, apart)
    assert 0 < recalibrate.worth(holed) <= 1


def test_three_drifting_blocks_of_one_series_do_not_undo_right_quantiles() -> None:
    covered = {each: [] for each in ("all alike", "by worth")}
    where = np.tile(np.arange(28), 3), np.full(84, 100.0), np.zeros(84), np.repeat([2, 1, 0], 28)
    for seed in range(300):
        found, quantiles = drifting(seed, 4)
        seen, coming = found[:, :3], found[0, 3]
        for name, each in (("all alike", 1.0), ("by worth", recalibrate.worth(seen))):
            made = recalibrate.learn(seen.ravel(), *where, horizon=28, each=each)
            low, high = made(np.tile(quantiles, (28, 1)), np.arange(28), np.full(28, 100.0), np.zeros(28), np.array([0.1, 0.9])).T
            truth = recalibrate.inverse(np.tile(quantiles, (28, 1)), coming[:, None])[:, 0]
            covered[name].append(np.mean((truth >= low) & (truth <= high)))
    assert np.mean(covered["all alike"]) < 0.73  # what three blocks do that are trusted as 84 actuals
    assert np.mean(covered["by worth"]) == pytest.approx(0.8, abs=0.05)
