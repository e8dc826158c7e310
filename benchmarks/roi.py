"""Returns of media against known truth: speed, error, coverage, lift tests, and whether they stay what they are."""

from __future__ import annotations

import numpy as np

from benchmarks._media import Learned, World, inside, learned, lift_test, off, world
from benchmarks._result import Result, Row, at_least, at_most

CHECK = (
    "roi fast, 30 worlds of 3 channels x 150 weeks: < 2 s, k-hat < .7 in 95 %, median error <= .26, 90 % interval covers .85-.99; "
    "lift test cuts it by 40 %; refresh <= 8 %, noise <= 4 %, placebo < .5"
)
SEEDS = range(30)
FEW = range(10)  # of the checks that learn again
LATER, NOISE = 12, 0.05
FAST_S, TRUST, ERROR, LOW, HIGH = 2.0, 0.7, 0.26, 0.85, 0.99
CUT = 0.40  # of the error of returns, by one lift test


def run() -> Result:
    """Learn every world with each recipe; learn some again with a test, with more weeks, with noise and with a shuffled channel."""
    worlds = [world(seed) for seed in SEEDS]
    fast = [learned(one.tables()) for one in worlds]
    ridge = [learned(one.tables(), "ridge") for one in worlds]
    notes = (
        "generator: flighted and correlated spend that chases the season, a wandering trend, price, promotion, 4 % noise",
        "the prior was chosen on seeds 100-129, and is one for every row; seconds count learning and its checks",
        "`roi_peers` shows pymc-marketing beside it",
    )
    return Result((*_speed(fast), *_truth(worlds, fast, ridge), *_tested(worlds, fast), *_steady(worlds, fast)), notes)


def _speed(fast: list[Learned]) -> list[Row]:
    seconds = [one.seconds for one in fast]
    shapes = np.array([one.health.get("k_hat", np.inf) for one in fast])
    return [
        at_most("full posterior, 3 channels x 150 weeks, median", float(np.median(seconds)), FAST_S, unit="CPU s"),
        Row("the same, slowest", f"{max(seconds):.2f} CPU s"),
        at_least("worlds with k-hat below 0.7", float((shapes < TRUST).mean()), 0.95, baseline=f"largest {shapes.max():.2f}"),
    ]


def _truth(worlds: list[World], fast: list[Learned], ridge: list[Learned]) -> list[Row]:
    told = {name: _error(worlds, each) for name, each in (("fast", fast), ("ridge", ridge))}
    covered = {name: _covered(worlds, each) for name, each in (("fast", fast), ("ridge", ridge))}
    media = {name: _total(worlds, each) for name, each in (("fast", fast), ("ridge", ridge))}
    within = LOW <= covered["fast"] <= HIGH
    return [
        at_most("error of the median return, mean over channels and worlds", told["fast"], ERROR, baseline=f"ridge {told['ridge']:.3f}"),
        Row("90 % interval covers", f"{covered['fast']:.3f}", f"ridge {covered['ridge']:.3f}", f"{LOW} to {HIGH}", within),
        Row("error of all media together", f"{media['fast']:.3f}", f"ridge {media['ridge']:.3f}"),
    ]


def _error(worlds: list[World], each: list[Learned]) -> float:
    return float(np.mean([off(one.returns, made.returns) for made, one in zip(worlds, each, strict=True)]))


def _covered(worlds: list[World], each: list[Learned]) -> float:
    return float(np.mean([inside(one.returns, made.returns) for made, one in zip(worlds, each, strict=True)]))


def _total(worlds: list[World], each: list[Learned]) -> float:
    found = []
    for made, one in zip(worlds, each, strict=True):
        spend = made.spend.sum(0)
        found.append(abs(float(np.median(one.returns @ spend)) / float(made.returns @ spend) - 1))
    return float(np.mean(found))


def _tested(worlds: list[World], fast: list[Learned]) -> list[Row]:
    """Add a lift test of eight weeks with 15 % error on the channel whose return is least certain."""
    before, after, own, width = [], [], [], []
    for seed, made, one in zip(SEEDS, worlds, fast, strict=True):
        logged = np.log(one.returns).std(0)
        channel = int(np.argmax(logged))
        test = lift_test(made, channel, np.random.default_rng([seed, 1]))
        again = learned(made.tables(tests=test), checks=False)
        before.append(off(one.returns, made.returns))
        after.append(off(again.returns, made.returns))
        own.append((before[-1][channel], after[-1][channel]))
        width.append(np.log(again.returns).std(0)[channel] / logged[channel])
    was, now = float(np.mean(before)), float(np.mean(after))
    own_was, own_now = np.mean(own, 0)
    return [
        at_least("one lift test cuts the mean error over all channels by", 1 - now / was, CUT, baseline=f"{was:.3f} to {now:.3f}"),
        Row("the tested channel's own error", f"{own_now:.3f}", f"before the test {own_was:.3f}"),
        Row("the tested channel's spread is left at", f"{float(np.mean(width)):.2f} of what it was"),
        _anchored(worlds, fast),
    ]


def _anchored(worlds: list[World], fast: list[Learned]) -> Row:
    """Measure the cut as the prototype did that the bar comes from: a test tells the return itself, the posterior mean is judged."""
    before, after = [], []
    for seed, made, one in zip(SEEDS, worlds, fast, strict=True):
        channel = int(np.argmax(one.returns.std(0) / one.returns.mean(0)))
        test = lift_test(made, channel, np.random.default_rng([seed, 1]), first=0, weeks=len(made.sales))
        again = learned(made.tables(tests=test), checks=False)
        before.append(np.abs(one.returns.mean(0) / made.returns - 1))
        after.append(np.abs(again.returns.mean(0) / made.returns - 1))
    was, now = float(np.mean(before)), float(np.mean(after))
    check = "as the bar's prototype measured it: a test of all weeks, posterior mean, largest coefficient of variation"
    return at_least(check, 1 - now / was, CUT, baseline=f"{was:.3f} to {now:.3f}; the prototype 0.234 to 0.122")


def _steady(worlds: list[World], fast: list[Learned]) -> list[Row]:
    later, noisy, placebo = [], [], []
    for seed, made, one in list(zip(SEEDS, worlds, fast, strict=True))[: len(FEW)]:
        now = np.median(one.returns, 0)
        rng = np.random.default_rng([seed, 2])
        early = np.median(learned(made.tables(weeks=len(made.sales) - LATER), checks=False).returns, 0)
        later.append(np.abs(now / early - 1))
        told = made.spend * (1 + NOISE * rng.normal(size=made.spend.shape))
        noisy.append(np.abs(np.median(learned(made.tables(spend=told), checks=False).returns, 0) / now - 1))
        mixed = made.spend.copy()
        mixed[:, 1] = rng.permutation(mixed[:, 1])
        placebo.append(np.median(learned(made.tables(spend=mixed), checks=False).returns, 0)[1])
    real = float(np.mean([np.median(one.returns, 0)[1] for one in fast[: len(FEW)]]))
    return [
        at_most(f"{LATER} more weeks move the returns by, {len(FEW)} worlds", 100 * float(np.mean(later)), 8.0, unit="%"),
        at_most("5 % noise on spend moves them by", 100 * float(np.mean(noisy)), 4.0, unit="%"),
        at_most("a channel shuffled in time returns", float(np.mean(placebo)), 0.5, baseline=f"unshuffled {real:.2f}"),
    ]
