"""Difference in differences, synthetic control, structural impact and test design: known effects are found, bad panels are named."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.effect import Effect
from tradewind.core.errors import BadValue, InvalidInput, TooBig
from tradewind.core.table import Table
from tradewind.models._kit.causal import design, did, given, impact, law, refute, synth

LIFT = 0.15


def places(seed: int, units: int = 14, before: int = 60, after: int = 10, lift: float = LIFT) -> pl.DataFrame:
    """Return long rows of places that share two wandering factors; the first is treated after `before` days."""
    random = np.random.default_rng(seed)
    count = before + after
    factors = np.cumsum(random.normal(0, 0.02, (count, 2)), 0)
    weights = random.uniform(0.5, 1.5, (2, units))
    values = np.exp(random.normal(5, 0.5, units) + factors @ weights + random.normal(0, 0.03, (count, units)))
    values[before:, 0] *= 1 + lift
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=day) for day in range(count)]
    return pl.DataFrame(
        {
            "place": np.tile([f"p{number:02d}" for number in range(units)], count),
            "day": np.repeat(np.array(days, "M8[D]"), units),
            "sales": values.ravel(),
        }
    )


START = dt.date(2026, 3, 2)


def columns(frame: pl.DataFrame) -> tuple[pl.Series, pl.Series, pl.Series]:
    return frame["place"], frame["day"], frame["sales"]


def test_a_synthetic_control_finds_the_lift_and_says_what_it_tried() -> None:
    said = synth.effect(*columns(places(13)), ["p00"], START)
    assert said.lift is not None
    low, high = said.lift.intervals[90]
    assert low < LIFT < high and said.lift.excludes(0.0, level=90)
    assert said.total.estimate == pytest.approx(10 * said.effect.estimate)
    assert sum(said.weights.values()) == pytest.approx(1, abs=0.35)
    assert [check.name for check in said.effect.checks] == [
        "placebo in space",
        "placebo in time",
        "without the heaviest donor",
        "fit before",
    ]
    assert said.effect.sound
    assert ((said.lo90 < said.expected) & (said.expected < said.hi90)).all()


def test_the_order_of_rows_and_the_unit_of_money_do_not_matter() -> None:
    frame = places(2)
    one = synth.effect(*columns(frame), ["p00"], START)
    mixed = synth.effect(*columns(frame.sample(fraction=1, shuffle=True, seed=3)), ["p00"], START)
    assert mixed.effect.estimate == pytest.approx(one.effect.estimate, rel=1e-9)
    dear = synth.effect(*columns(frame.with_columns(pl.col("sales") * 100)), ["p00"], START)
    assert dear.effect.estimate == pytest.approx(100 * one.effect.estimate, rel=1e-6)
    assert dear.lift is not None and one.lift is not None and dear.lift.estimate == pytest.approx(one.lift.estimate, rel=1e-6)


def test_several_treated_units_are_one_mean_and_donors_can_be_chosen() -> None:
    frame = places(3, lift=0.0)
    said = synth.effect(*columns(frame), ["p00", "p01"], START, donors=[f"p{number:02d}" for number in range(4, 14)])
    assert "10 donors" in said.effect.method and set(said.weights) <= {f"p{number:02d}" for number in range(4, 14)}
    assert said.total.estimate == pytest.approx(2 * 10 * said.effect.estimate)


def test_the_interval_of_a_synthetic_control_covers_nothing_where_nothing_was_done() -> None:
    covered = []
    for seed in range(40):
        frame = places(seed, units=9, before=32, after=6, lift=0.0)
        treated = ["p00", "p01"][: 1 + seed % 2]
        covered.append(not synth.effect(*columns(frame), treated, dt.date(2026, 2, 2)).effect.excludes(0.0, level=90))
    assert 0.78 <= np.mean(covered) <= 0.99


def test_profits_below_zero_have_an_effect_but_no_lift() -> None:
    frame = places(4).with_columns(pl.col("sales") - 1000)
    said = synth.effect(*columns(frame), ["p00"], START)
    assert said.lift is None and said.effect.estimate > 0


def test_difference_in_differences_is_exact_without_noise_at_any_starts() -> None:
    units, periods = 6, 8
    outcome = np.add.outer(np.arange(periods) ** 1.5, 10.0 * np.arange(units))
    starts = {"u0": 4, "u1": 6}
    outcome[4:, 0] += 3
    outcome[6:, 1] += 5
    who = np.tile([f"u{number}" for number in range(units)], periods)
    when = np.repeat(np.arange(periods), units)
    said = did.effect(who, when, outcome.ravel(), starts)
    assert said.estimate == pytest.approx(4.0) and said.standard_error == pytest.approx(0.0, abs=1e-9)
    study = did.event_study(who, when, outcome.ravel(), starts, before=3, after=2)
    assert study.lags == (-3, -2, 0, 1)
    np.testing.assert_allclose([effect.estimate for effect in study.effects], [0, 0, 4, 4], atol=1e-9)
    assert study.parallel.passed


def test_adding_a_constant_or_a_shock_for_all_changes_no_difference() -> None:
    frame = places(5, units=10)
    one = did.effect(*columns(frame), {"p00": START})
    shifted = frame.with_columns(pl.col("sales") + 7 + 100 * (pl.col("day") > START))
    two = did.effect(*columns(shifted), {"p00": START})
    assert two.estimate == pytest.approx(one.estimate) and two.standard_error == pytest.approx(one.standard_error)


def test_a_treated_unit_that_drifted_before_fails_its_check() -> None:
    frame = places(6, units=10, lift=0.0).with_columns(
        pl.col("sales") + pl.when(pl.col("place") == "p00").then(30.0 * pl.int_range(pl.len()) / 10).otherwise(0.0)
    )
    said = did.effect(*columns(frame), {"p00": START})
    assert not said.sound
    assert {check.name for check in said.checks if check.passed is False} >= {"parallel before"}


def test_the_interval_of_a_difference_covers_the_truth() -> None:
    covered = []
    for seed in range(120):
        random = np.random.default_rng(seed)
        outcome = random.normal(0, 2, 16) + np.cumsum(random.normal(0, 0.5, 12))[:, None] + random.normal(0, 1, (12, 16))
        treated = 1 + seed % 7
        outcome[6:, :treated] += 1.5
        starts = dict.fromkeys(range(treated), 6)
        said = did.effect(np.tile(np.arange(16), 12), np.repeat(np.arange(12), 16), outcome.ravel(), starts)
        covered.append(not said.excludes(1.5, level=90))
    assert 0.83 <= np.mean(covered) <= 0.96


def test_a_structural_impact_finds_the_lift_with_and_without_controls() -> None:
    panel = given.panel(*columns(places(7, lift=0.3)))
    with_controls = impact.effect(panel.outcome[:, 0], 60, controls=panel.outcome[:, 1:])
    alone = impact.effect(panel.outcome[:, 0], 60)
    for said in (with_controls, alone):
        assert said.lift is not None and said.lift.intervals[95][0] < 0.3 < said.lift.intervals[95][1]
        assert said.total.estimate == pytest.approx(10 * said.effect.estimate)
    assert with_controls.factors >= 1 and alone.factors == 0
    assert with_controls.effect.standard_error < alone.effect.standard_error


def test_an_impact_on_plain_numbers_moves_with_a_constant_and_knows_a_season() -> None:
    random = np.random.default_rng(8)
    value = 20 * np.sin(2 * np.pi * np.arange(84) / 7) + random.normal(0, 1, 84)
    value[70:] += 6
    one, two = (impact.effect(value + add, 70, season=7, logs=False) for add in (0.0, 1000.0))
    assert one.effect.estimate == pytest.approx(two.effect.estimate, abs=1e-6)
    assert one.effect.intervals[95][0] < 6 < one.effect.intervals[95][1] and one.effect.excludes(0.0)
    assert one.lift is None or one.lift.unit == "share"
    blind = impact.effect(value, 70, logs=False)
    assert blind.effect.standard_error > 3 * one.effect.standard_error


def test_a_place_counts_for_itself_as_far_as_places_differ_more_than_chance() -> None:
    random = np.random.default_rng(2)
    chance = np.exp(0.4 * random.normal(size=(40, 4)))
    alike = synth._counts(np.sqrt((chance**2).mean(1)), chance, 0.01)
    steady = np.exp(random.normal(size=(40, 1))) * chance**0.1
    differing = synth._counts(np.sqrt((steady**2).mean(1)), steady, 0.01)
    assert alike < 0.35 and differing > 0.95
    assert synth._counts(np.ones(5), np.ones((5, 4)), 0.01) == 0.0 and synth._counts(np.zeros(5), np.zeros((5, 4)), 0.0) == 1.0


def test_a_steady_place_among_restless_ones_is_measured_as_well_as_it_can_be() -> None:
    random = np.random.default_rng(5)
    noise = np.where(np.arange(20) % 2, 0.06, 0.01)
    values = 100 * np.exp(np.cumsum(random.normal(0, 0.01, (120, 1)), 0) + random.normal(0, 1, (120, 20)) * noise)
    who, when = np.tile(np.arange(20), 120), np.repeat(np.arange(120), 20)
    steady, restless = (synth.effect(who, when, values.ravel(), [one], 110).effect.standard_error for one in (0, 1))
    assert restless > 3 * steady  # half the way to the typical one it was 2.2 times


def test_a_design_names_places_and_a_lift_it_can_find() -> None:
    frame = places(9, units=12, before=70, after=0, lift=0.0)
    said = design.geo(*columns(frame), count=1, length=7, seed=0, tries=12, never=["p03"])
    assert len(said.treated) == 1 and said.treated != ("p03",)
    assert said.strain >= 1 and said.power[0] >= 1 - said.level / 100 - 1e-6  # what finds nothing finds it at the level, or more often
    assert (np.diff(said.power) >= 0).all()
    assert said.power_at(said.detectable) == pytest.approx(0.8, abs=0.03)
    assert said.treated[0] in said.words
    again = design.geo(*columns(frame), count=1, length=7, seed=0, tries=12, never=["p03"])
    assert again.treated == said.treated and again.detectable == said.detectable


def test_a_design_promises_less_where_chosen_places_strayed_further_than_they_said() -> None:
    calm = [np.array([[0.01, 0.01], [-0.005, 0.01]])] * 3
    wild = [one * np.array([3.0, 1.0]) for one in calm]
    assert design._strain(calm, 10.0) == 1.0 and 1.3 < design._strain(wild, 10.0) < 3.0
    plain, strained = (design._Law(0.02, 10.0, 90, strain, 0.0) for strain in (1.0, 1.5))
    assert plain.power(0.0) == pytest.approx(0.1, abs=1e-6) and strained.power(0.0) > 0.15
    assert strained.smallest(0.8) > 1.1 * plain.smallest(0.8)
    assert strained.power(strained.smallest(0.8)) == pytest.approx(0.8, abs=1e-6)
    assert design._Law(5.0, 10.0, 90, 1.0, 0.0).smallest(0.8) == float("inf")


def test_a_promise_allows_for_an_error_that_is_another_one_in_each_stretch() -> None:
    steady, shaky = design._Law(0.02, 10.0, 90, 1.0, 0.0), design._Law(0.02, 10.0, 90, 1.0, 0.3)
    assert shaky.power(0.0) == pytest.approx(0.1, abs=1e-6)  # without a lift it does not matter
    promised = shaky.smallest(0.8)
    assert promised > 1.04 * steady.smallest(0.8)
    rng = np.random.default_rng(3)
    ratio, error = rng.standard_t(10, 200_000), 0.02 * np.exp(0.3 * rng.normal(size=200_000))
    found = np.abs(ratio + promised / error) > law.tail(10.0, 90)
    assert found.mean() == pytest.approx(0.8, abs=0.005)


def test_how_unsteady_errors_are_is_read_off_stretches_and_drawn_to_what_placebos_allow() -> None:
    calm, wild = np.full((3, 3), 0.02), 0.02 * np.array([[0.5, 1.0, 2.0]] * 3)
    assert design._unsteady(calm, 10.0) == pytest.approx(np.sqrt(0.15 / 5 * 4 / 3))
    assert 0.45 < design._unsteady(wild, 10.0) < np.log(2) * np.sqrt(4 / 3)
    assert design._unsteady(calm[:, :1], 10.0) == pytest.approx(np.sqrt(0.05 * 2))  # one stretch: belief alone
    assert design._unsteady(np.zeros((3, 3)), 10.0) == 0.0


def test_controls_that_stray_further_than_they_say_widen_an_impact() -> None:
    rng = np.random.default_rng(4)
    level = np.cumsum(rng.normal(0, 0.1, (80, 12)), 0) + 5
    calm = impact.effect(level[:, 0], 70, controls=level[:, 1:], logs=False)
    shocked = level.copy()
    shocked[70:, 1:] += 4 * rng.choice([-1.0, 1.0], 11)  # after the start every control goes its own way
    wild = impact.effect(shocked[:, 0], 70, controls=shocked[:, 1:], logs=False)
    assert wild.effect.standard_error > 1.5 * calm.effect.standard_error
    few = impact.effect(level[:, 0], 70, controls=shocked[:, 1:4], logs=False)  # too few to be tried on one another
    assert few.effect.standard_error < wild.effect.standard_error
    alone = impact.effect(level[:, 0], 70, logs=False)
    assert alone.effect.standard_error > 0


def test_placebos_in_time_and_space_count_false_alarms() -> None:
    frame = places(10, units=10, lift=0.0)
    untreated = [f"p{number:02d}" for number in range(1, 5)]
    space = refute.in_space(lambda unit: did.effect(*columns(frame), {unit: START}), untreated)
    assert space.passed is not None and 0 <= (space.value or 0) <= 1
    before = frame.filter(pl.col("day") < START)
    starts = [dt.date(2026, 1, 20), dt.date(2026, 2, 1), dt.date(2026, 2, 10)]
    assert refute.in_time(lambda start: did.effect(*columns(before), {"p00": start}), starts).name == "placebo in time"
    wrong = Effect.normal(9.0, 1.0, method="always finds something", n=2)
    assert refute.in_space(lambda _: wrong, untreated).passed is False


def test_tables_arrays_and_frames_are_all_taken() -> None:
    frame = places(11)
    table = Table.from_frame(frame)
    arrays = [table.column(name) for name in ("place", "day", "sales")]
    pandas = frame.to_pandas()
    want = did.effect(*columns(frame), {"p00": START}).estimate
    assert did.effect(*arrays, {"p00": np.datetime64(START)}).estimate == pytest.approx(want)
    assert did.effect(pandas["place"], pandas["day"], pandas["sales"], {"p00": "2026-03-02"}).estimate == pytest.approx(want)


def test_bad_panels_are_named() -> None:
    frame = places(12, units=6, before=20, after=5)
    who, when, what = columns(frame)
    start = dt.date(2026, 1, 21)
    double = pl.concat([frame, frame[:1]])
    cases = [
        lambda: did.effect(*columns(frame.filter(pl.col("place") == "p00")), {"p00": start}),  # one unit
        lambda: did.effect(who, when, what, {f"p{number:02d}": start for number in range(6)}),  # no control
        lambda: did.effect(who, when, what, {"p00": dt.date(2026, 1, 1)}),  # no time before
        lambda: did.effect(who, when, what, {"p00": dt.date(2027, 1, 1)}),  # no time after
        lambda: did.effect(who, when, what, {}),
        lambda: did.effect(who, when, what, {"nowhere": start}),
        lambda: did.effect(*columns(double), {"p00": start}),  # duplicate rows
        lambda: did.effect(*columns(frame[1:]), {"p00": start}),  # a gap
        lambda: did.effect(who, when, np.where(np.arange(len(what)) == 3, np.nan, what.to_numpy()), {"p00": start}),
        lambda: did.effect(who, when, np.ones(len(what)), {"p00": start}),
        lambda: synth.effect(*columns(frame.filter(pl.col("place") < "p03")), ["p00"], start),  # two donors
        lambda: synth.effect(who, when, what, ["p00"], dt.date(2026, 1, 5)),  # four days before
        lambda: synth.effect(who, when, what, [], start),
        lambda: synth.effect(who, when, pl.Series(np.where(who == "p00", 5.0, what)), ["p00"], start),  # constant
        lambda: impact.effect(what[:4], 2),
        lambda: impact.effect(what[:20], 0),
        lambda: impact.effect(-what[:20], 10, logs=True),
        lambda: impact.effect(np.r_[np.ones(20), np.arange(5)], 20),
        lambda: design.geo(who, when, what, count=5, length=3, seed=0),
        lambda: design.geo(who, when, what, count=1, length=20, seed=0),
        lambda: design.geo(who, when, -what, count=1, length=3, seed=0),
        lambda: refute.in_time(lambda at: did.effect(who, when, what, {"p00": at}), []),
    ]
    for case in cases:
        with pytest.raises(BadValue):
            case()
    with pytest.raises(TooBig):
        impact.effect(np.arange(2000.0), 1000)
    with pytest.raises(InvalidInput):
        did.effect(who[:3], when, what, {"p00": start})
