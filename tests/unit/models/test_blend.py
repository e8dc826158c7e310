"""Ensembles: weights, what is written down, and answers that pool their members'."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tradewind.core.errors import Incompatible, LearnFailed
from tradewind.models import recipe
from tradewind.models._kit.forecast import blend, boosted, naive, stats
from tradewind.models._kit.forecast.blend import Blender, blended
from tradewind.models._kit.forecast.explain import Ensemble
from tradewind.models._kit.forecast.learner import Look, Said
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import from_table
from tradewind.models.demand import MODEL

FAST = {"rounds": 30, "rows": 10_000, "threads": 1}


@dataclass(frozen=True)
class Flat:
    """Says one number."""

    value: float
    reach: int = 5

    def say(self, look):
        shape = len(look.series), len(look.steps)
        return Said(np.full(shape, self.value), np.full((*shape, len(TAUS)), self.value) * TAUS)

    def moved(self, panel, place):
        return replace(self, value=self.value + len(place))

    def dump(self):
        return {"flat.json": b"{}"}


@dataclass(frozen=True)
class Refusing:
    name: str = "refusing"
    knobs: tuple = ()

    def learn(self, panel, knobs, *, seed, horizon):
        raise LearnFailed("too short for this one")


@pytest.fixture(scope="module")
def panel(shop, as_table):
    return from_table(as_table(shop(days=120)))


@pytest.fixture(scope="module")
def ensemble(shop, as_table):
    """Return the recipe, its state of boosted and stats, and the states it was made of."""
    table = as_table(shop(days=120))
    maker = Ensemble(MODEL.gives, Blender((stats.LEARNER, boosted.LEARNER, naive.LEARNER)))
    states = {"boosted": recipe("demand", "boosted").fit(table, FAST, 0), "stats": recipe("demand", "stats").fit(table, {}, 0)}
    return maker, maker.blend(states, {"boosted": 0.75, "stats": 0.25}, "measured so", together=0.9), states


def look(panel):
    series = np.arange(len(panel))
    none = np.empty(0, "i8")
    return Look(panel.planned(series, 12, none, none, {}), series, np.arange(10), 30)


def test_a_blend_says_the_mean_of_means_and_the_quantiles_of_the_mixture(panel):
    made = blended({"one": Flat(10), "two": Flat(30)}, {"one": 3.0, "two": 1.0}, {})
    said = made.say(look(panel))
    assert made.weights == {"one": 0.75, "two": 0.25}
    np.testing.assert_allclose(said.mean, 15)
    below = 0.75 * np.clip(said.quantiles / 10, 0.025, 0.975) + 0.25 * np.clip(said.quantiles / 30, 0.025, 0.975)
    np.testing.assert_allclose(below, np.broadcast_to(TAUS, below.shape), atol=0.02)
    assert (np.diff(said.quantiles, axis=-1) >= 0).all()


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (1 / 3, 1 / 3, 1 / 3), (0.05, 0.95)])
def test_members_that_agree_say_what_each_says(weights):
    curve = 10 + 20 * np.repeat(TAUS[None].astype("f4"), 4, 0)
    np.testing.assert_allclose(blend.pooled([(weight, curve) for weight in weights]), curve, atol=0.15)


def test_the_pool_of_many_drawn_outcomes_is_their_quantiles():
    rng = np.random.default_rng(0)
    drawn = [np.sort(rng.gamma(2.0, 3.0, 200_000)), np.sort(rng.normal(20.0, 2.0, 200_000))]
    mixed = np.concatenate([drawn[0], np.repeat(drawn[1], 3)])
    parts = [(0.25, np.quantile(drawn[0], TAUS)[None].astype("f4")), (0.75, np.quantile(drawn[1], TAUS)[None].astype("f4"))]
    below = np.searchsorted(np.sort(mixed), blend.pooled(parts)[0]) / len(mixed)
    np.testing.assert_allclose(below, TAUS, atol=0.02)


def test_where_one_member_expects_nothing_the_pool_expects_nothing_as_often_as_it_weighs():
    sells = np.array([[5.0] * len(TAUS)], "f4")
    found = blend.pooled([(0.6, np.zeros_like(sells)), (0.4, sells)])[0]
    assert (found[TAUS < 0.59] == 0).all() and (found[TAUS > 0.61] == 5).all()


def test_errors_that_do_not_go_together_narrow_the_spread_and_leave_the_median(panel):
    weights, members = {"one": 3.0, "two": 1.0}, {"one": Flat(10), "two": Flat(30)}
    apart = blended(members, weights, {}, together=0.0).say(look(panel)).quantiles
    half = blended(members, weights, {}, together=0.5).say(look(panel)).quantiles
    away = np.sqrt((0.75 * 10) ** 2 + (0.25 * 30) ** 2) * (TAUS - 0.5)  # standard deviations of independent errors
    np.testing.assert_allclose(apart, np.broadcast_to(7.5 + away, apart.shape))
    np.testing.assert_allclose((half - 7.5) ** 2, (away**2 + (15 * (TAUS - 0.5)) ** 2) / 2 + 0 * half)
    assert (np.diff(apart, axis=-1) > 0).all()


def test_a_member_without_weight_is_left_out_and_the_longest_reach_stands():
    made = blended({"one": Flat(10, 5), "two": Flat(30, 9), "three": Flat(1, 99)}, {"one": 1.0, "two": 1.0, "three": 0.0}, {})
    assert list(made.members) == ["one", "two"] and made.reach == 9


@pytest.mark.parametrize("weights", [{}, {"one": 0.0}, {"other": 1.0}])
def test_no_weight_at_all_is_refused(weights):
    with pytest.raises(LearnFailed):
        blended({"one": Flat(10)}, weights, {})


def test_every_member_moves(panel):
    moved = blended({"one": Flat(10), "two": Flat(30)}, {"one": 1.0, "two": 1.0}, {}).moved(panel, np.arange(4))
    assert [member.value for member in moved.members.values()] == [14, 34]


def test_a_member_that_cannot_be_learned_is_named(panel):
    made = Blender((naive.LEARNER, Refusing())).learn(panel, {}, seed=0, horizon=10)
    assert made.weights == {"naive": 1.0} and made.facts["failed"] == {"refusing": "too short for this one"}
    with pytest.raises(LearnFailed, match="no member") as told:
        Blender((Refusing(),)).learn(panel, {}, seed=0, horizon=10)
    assert "too short for this one" in told.value.hint


def test_the_recipe_answers_with_the_weighted_mean(ensemble):
    maker, state, states = ensemble
    asked = maker.expand(state, 10, {})
    each = {name: recipe("demand", name).predict(one, asked).column("mean") for name, one in states.items()}
    np.testing.assert_allclose(maker.predict(state, asked).column("mean"), 0.75 * each["boosted"] + 0.25 * each["stats"], rtol=1e-5)


def test_parts_go_round(ensemble):
    maker, state, _ = ensemble
    parts = maker.dump(state)
    again = maker.load(parts)
    asked = maker.expand(state, 20, {})
    first, second = maker.predict(state, asked), maker.predict(again, asked)
    for name in ("mean", "p50", "lo80", "hi95"):
        np.testing.assert_allclose(second.column(name), first.column(name), rtol=1e-5)
    assert again.learned.weights == {"boosted": 0.75, "stats": 0.25} and again.learned.together == 0.9
    assert maker.notes(again, asked) == maker.notes(state, asked)


@pytest.mark.parametrize("part", ["learned.blend.json", "learned.boosted.boosted.json"])
def test_a_missing_part_is_refused(ensemble, part):
    maker, state, _ = ensemble
    parts = dict(maker.dump(state))
    assert part in parts
    del parts[part]
    with pytest.raises(Incompatible):
        maker.load(parts)


def test_a_member_nobody_knows_is_refused(ensemble, panel):
    with pytest.raises(Incompatible):
        Blender((naive.LEARNER,)).read(ensemble[1].learned.dump(), panel)


def test_it_says_who_answers_and_why(ensemble):
    maker, state, _ = ensemble
    notes = maker.notes(state, maker.expand(state, 5, {}))
    assert "answered by boosted 75% + stats 25%: measured so" in notes


def test_drivers_add_up_to_the_mean_of_the_ensemble(ensemble):
    maker, state, _ = ensemble
    asked = maker.expand(state, 10, {})
    drivers = maker.explain(state, asked)
    summed = sum(drivers.column(name) for name in drivers.names if name.startswith("driver_"))
    np.testing.assert_allclose(summed, maker.predict(state, asked).column("mean"), rtol=1e-4)
    assert np.abs(drivers.column("driver_other_recipes")).max() > 0


def test_members_are_those_it_may_be_made_of(ensemble):
    assert ensemble[0].members == ("stats", "boosted", "naive")
    assert set(recipe("demand", "ensemble").members) == {"stats", "scanpro", "boosted", "lstm"}
    assert isinstance(ensemble[1].learned, blend.Blend)


class Speaker:
    """Has something to say, and no more."""

    def notes(self, panel, where):
        return ["the same", "and so on"]


def test_what_several_members_say_is_said_once():
    said = blended({"one": Speaker(), "two": Speaker()}, {"one": 0.5, "two": 0.5}, {}).notes(None, None)
    assert said[1:] == ["the same", "and so on"]
