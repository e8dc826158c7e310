"""Several places in one media model: what moves them together, and columns that only tell places apart."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from tradewind import models
from tradewind.core.errors import BadValue
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.roi import paths, setup
from tradewind.models.roi.assemble import assemble
from tradewind.models.roi.media import read
from tradewind.models.roi.posterior import LEVEL, Prior, Problem, log_posterior, shaped, slots_of

GEOS, WEEKS, NAMES = 3, 60, ("tv", "radio")
DATES = np.datetime64("2024-01-01") + 7 * np.arange(WEEKS)
PARAMS = settle(models.recipe("roi", "exact").knobs, {})


def places(shock: float = 0.1, **more: Any) -> dict[str, Table]:
    rng = np.random.default_rng(4)
    common = rng.normal(0, shock, WEEKS)
    spend = rng.uniform(5e3, 3e4, (GEOS, len(NAMES), WEEKS))
    sales = 1e5 * np.arange(1, GEOS + 1)[:, None] * (1 + common + rng.normal(0, 0.02, (GEOS, WEEKS))) + 2.0 * spend.sum(1)
    geo = np.repeat(np.array(["a", "b", "c"], object), WEEKS)
    outcomes = {"date": np.tile(DATES, GEOS), "geo": geo, "revenue": sales.ravel()}
    outcomes |= {name: np.asarray(value(spend)).ravel() for name, value in more.items()}
    media = {
        "date": np.tile(DATES, GEOS * len(NAMES)),
        "geo": np.repeat(np.array(["a", "b", "c"], object), WEEKS * len(NAMES)),
        "channel": np.tile(np.repeat(np.array(NAMES, object), WEEKS), GEOS),
        "spend": spend.ravel(),
    }
    return {"marketing": Table.from_columns(media), "outcomes": Table.from_columns(outcomes)}


def test_the_density_is_that_of_all_geos_with_their_shocks_in_one_covariance() -> None:
    rng = np.random.default_rng(0)
    geos, periods, channels, fixed, turning = 3, 30, 2, 5, 2
    slots = slots_of(channels, geos, "geometric", "hill")
    size = max(part.stop for part in slots.values())
    problem = Problem(
        rng.normal(1, 0.1, (geos, periods)),
        (rng.random((geos, periods)) > 0.1) * 1.0,
        rng.random((channels, 4, geos * periods)),
        rng.random((geos, channels)),
        rng.normal(0, 0.3, (geos, periods, fixed)),
        rng.random((geos, periods, turning)),
        "geometric",
        "hill",
        Prior(np.zeros(channels), np.ones(channels)),
        slots=slots,
    )
    theta = rng.normal(0, 0.3, (4, size))
    theta[:, slots["noise"]] -= 2
    theta[:, slots["trend"]] -= 2
    theta[:, slots["shock"]] += np.array([-6.0, -3.0, -1.0, 0.5])[:, None]
    known = problem.weight.ravel() > 0
    prior = log_posterior(replace(problem, weight=0.0 * problem.weight), theta)  # nothing learned from: the prior alone
    dense = []
    for at in theta:
        media = shaped(problem, at[None])
        rest = (problem.y - LEVEL - (media.beta[..., None] * media.sat).sum(0)[0]).ravel()
        covariance = np.kron(np.ones((geos, geos)), np.eye(periods)) * np.exp(2 * at[slots["shock"]])[0]
        for geo in range(geos):
            columns = np.concatenate([problem.base[geo], problem.trend[geo] * np.exp(at[slots["trend"]])[0]], 1)
            here = slice(geo * periods, (geo + 1) * periods)
            covariance[here, here] += columns @ columns.T + np.eye(periods) * np.exp(2 * at[slots["noise"]][geo])
        dense.append(multivariate_normal(np.zeros(known.sum()), covariance[np.ix_(known, known)]).logpdf(rest[known]))
    gap = log_posterior(problem, theta) - prior - np.array(dense)
    np.testing.assert_allclose(gap, gap[0], atol=1e-6)


def test_shocks_are_told_from_the_noise_of_a_place() -> None:
    made = setup.setup(read(assemble(places())), PARAMS)
    problem = made.problem
    at = setup.start(problem)
    at[problem.slots["noise"]] = np.log(0.02)
    tries = np.repeat(at[None], 3, 0)
    tries[:, problem.slots["shock"]] = np.log([[0.005], [0.09], [0.9]])
    told = log_posterior(problem, tries)
    assert told[1] > told[0] + 20
    assert told[1] > told[2] + 5


def test_what_is_not_known_of_the_sum_holds_the_shocks_once_for_all() -> None:
    made = setup.setup(read(assemble(places())), PARAMS)
    at = np.repeat(setup.start(made.problem)[None], 300, 0)
    at[:, made.problem.slots["noise"]], at[:, made.problem.slots["shock"]] = np.log(0.02), np.log(0.1)
    learned = setup.learned(made, at, (at[0], np.eye(at.shape[1])), 0, recipe="exact")
    drawn = paths.noise(learned, slice(WEEKS, WEEKS + 50))
    level = made.level
    np.testing.assert_allclose(drawn.std((0, 2)), np.hypot(0.02, 0.1) * level, rtol=0.1)
    np.testing.assert_allclose(drawn.sum(1).std(), np.hypot(0.02 * np.sqrt((level**2).sum()), 0.1 * level.sum()), rtol=0.1)
    before = paths.noise(replace(learned, shock=0.0 * learned.shock), slice(WEEKS, WEEKS + 50))
    assert before.sum(1).std() < 0.3 * drawn.sum(1).std()


def test_a_column_that_only_tells_places_apart_is_no_control() -> None:
    tables = places(population=lambda _: np.repeat([1e6, 2e6, 5e6], WEEKS), weather=lambda _: np.random.default_rng(1).normal(size=180))
    media = read(assemble(tables))
    assert media.controls == ("weather",)
    assert any("population" in note for note in media.notes)


def test_a_control_that_rests_in_one_place_says_nothing_there() -> None:
    values = np.random.default_rng(1).normal(size=(GEOS, WEEKS))
    values[1] = 7e5
    made = setup.setup(read(assemble(places(visits=lambda _: values))), PARAMS)
    assert (made.problem.base[1, :, -1] == 0).all()
    assert made.problem.base[0, :, -1].std() == pytest.approx(0.3)


def test_spend_that_stands_in_the_outcomes_too_is_no_control() -> None:
    tables = places(tv_spend=lambda spend: spend[:, 0], radio_cents=lambda spend: 100 * spend[:, 1], wind=lambda spend: spend[:, 0] ** 0.5)
    assert read(assemble(tables)).controls == ("wind",)


def test_a_version_from_before_the_shocks_is_not_moved_on() -> None:
    made = setup.setup(read(assemble(places())), PARAMS)
    at = np.repeat(setup.start(made.problem)[None], 3, 0)
    learned = setup.learned(made, at, (at[0], np.eye(at.shape[1])), 0, recipe="exact")
    older = replace(learned, mean=learned.mean[:-1], cov=learned.cov[:-1, :-1])
    with pytest.raises(BadValue, match="shocks") as caught:
        setup.setup(made.media, PARAMS, previous=older)
    assert "train" in caught.value.hint


def test_geos_are_drawn_in_a_process_of_their_own_without_waiting_for_each_other() -> None:
    """Two batched factorisations in one pool of JAX wait for each other for ever."""
    pytest.importorskip("jax")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_roi_geos import PARAMS, assemble, places\n"
        "from tradewind.models.roi.exact import learn\n"
        "learned = learn(assemble(places()), {**PARAMS, 'steps': 40, 'checks': False}, 0, None)\n"
        "print(float((learned.shock / learned.y.mean(1)).mean()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, timeout=240, check=True)
    assert 0.03 < float(done.stdout) < 0.3
