from typing import Any

import numpy as np
import pytest

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Schema
from tradewind.core.table import Table
from tradewind.registry import gates

NONE = Schema(())


def model(**goal: Any) -> Model:
    return Model("demand", "?", "forecast", "demand", ("sales",), NONE, NONE, NONE, Goal("wape", **goal), ("naive",))


@pytest.mark.parametrize(
    ("gain", "error", "passed"),
    [
        (0.05, 0.01, True),
        (0.01, 0.01, True),
        (0.009, 0.01, False),
        (0.0, 0.0, False),
        (-0.1, 0.0, False),
        (None, 0.01, False),
        (0.1, None, False),
    ],
)
def test_the_goal_is_a_gain_of_one_standard_error(gain: float | None, error: float | None, passed: bool) -> None:
    found = gates.goal(model(), {"scores": {"gain": gain, "gain_error": error}})
    assert found.passed is passed and found.may_force and found.words
    assert found.fact.value == gain


def test_the_goal_may_be_a_bound() -> None:
    assert gates.goal(model(at_most=0.2), {"scores": {"wape": 0.2}}).passed
    assert not gates.goal(model(at_most=0.2), {"scores": {"wape": 0.21}}).passed
    assert not gates.goal(model(at_most=0.2), {"scores": {"wape": None}}).passed
    assert not gates.goal(model(at_most=0.2), {}).passed


@pytest.mark.parametrize(
    ("mine", "theirs", "passed"), [(0.2, 0.3, True), (0.3, 0.3, True), (0.31, 0.3, False), (None, 0.3, False), (0.3, None, False)]
)
def test_the_incumbent_must_be_reached_on_the_same_folds(mine: float | None, theirs: float | None, passed: bool) -> None:
    manifest = {"scores": {"wape": mine}, "leaderboard": {"recipe": ["naive", "incumbent"], "wape": [0.5, theirs]}}
    assert gates.incumbent(model(), manifest).passed is passed


def test_a_version_that_was_not_compared_is_not_let_through() -> None:
    found = gates.judge(model(), {"scores": {"wape": 0.1, "gain": 1, "gain_error": 0.1}}, compare_incumbent=True)
    assert [(gate.name, gate.passed) for gate in found] == [("goal", True), ("incumbent", False)]
    assert len(gates.judge(model(), {}, compare_incumbent=False)) == 1


def table(**columns: Any) -> Table:
    return Table.from_columns({name: np.array(values) for name, values in columns.items()})


GOLDEN = table(store=np.array(["a", "b", None], object), p50=[100.0, 0.5, np.nan], day=np.array(["2026-11-21"] * 3, "M8[D]"))


def test_golden_answers_must_come_back() -> None:
    assert gates.golden(GOLDEN, GOLDEN).fact.value == 0.0
    near = GOLDEN.with_columns({"p50": np.array([100.005, 0.5, np.nan])})
    assert gates.golden(GOLDEN, near).passed and gates.golden(GOLDEN, near).fact.value == 5e-5
    assert gates.golden(GOLDEN, GOLDEN.with_columns({"more": np.ones(3)})).passed
    assert not gates.golden(GOLDEN, near, tolerance=1e-6).passed


@pytest.mark.parametrize(
    "got",
    [
        None,
        GOLDEN.with_columns({"p50": np.array([100.05, 0.5, np.nan])}),
        GOLDEN.with_columns({"p50": np.array([100.0, 0.5, 0.0])}),
        GOLDEN.with_columns({"p50": np.array([100.0, np.nan, np.nan])}),
        GOLDEN.with_columns({"p50": np.array([np.inf, 0.5, np.nan])}),
        GOLDEN.with_columns({"p50": np.array(["100", "0.5", None], object)}),
        GOLDEN.with_columns({"store": np.array(["a", "c", None], object)}),
        GOLDEN.with_columns({"day": np.array(["2026-11-22"] * 3, "M8[D]")}),
        GOLDEN.select(["store", "day"]),
        GOLDEN.take(np.array([0, 1])),
    ],
)
def test_any_other_answer_is_refused(got: Table | None) -> None:
    found = gates.golden(GOLDEN, got)
    assert not found.passed and not found.may_force


def test_no_golden_answers_are_no_proof() -> None:
    assert not gates.golden(GOLDEN.take(np.array([], int)), GOLDEN).passed


def test_limits_name_what_is_over() -> None:
    good = {"load_s": 0.4, "one_ms": 1.0, "hundred_ms": 8.0, "memory_mb": 120.0}
    assert all(gate.passed and not gate.may_force for gate in gates.limits(good))
    for name in good:
        over = gates.limits({**good, name: 1e6})
        assert [gate.name for gate in over if not gate.passed] == [name]
        assert not all(gate.passed for gate in gates.limits({key: value for key, value in good.items() if key != name}))
    assert not gates.limits(good, at_most={"one_ms": 0.5})[1].passed


@pytest.mark.parametrize(("level", "required", "passed"), [("full", True, True), ("degraded", True, False), ("degraded", False, True)])
def test_isolation_is_asked_for_where_it_is_required(level: str, required: bool, passed: bool) -> None:
    found = gates.isolation({"level": level}, required=required)
    assert found.passed is passed and found.fact.value == level
    assert not gates.isolation({}, required=True).passed
