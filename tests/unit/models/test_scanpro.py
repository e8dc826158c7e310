import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import Incompatible, LearnFailed, Tampered
from tradewind.core.table import Table
from tradewind.data.infer import infer
from tradewind.data.read import read
from tradewind.models import part, recipe
from tradewind.models._kit import tensors
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import scanpro, scanpro_learn
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.forecast.stats import SCANPRO
from tradewind.models._kit.panel import Panel

NONE = np.empty(0, "i8")
STORES, WEEKS, CUT = 12, 112, 104
OWN = np.array([-2.0, -3.0, -1.0])
RIVAL = np.array([[0.0, 1.2, 0.0], [0.8, 0.0, 0.0], [0.0, 0.0, 0.0]])  # of the row by the price of the column


def world(seed=0, noise=0.1, together=0.8, products=3):
    """Return a panel of stores in which a leaflet does more at a low price, and rivals' prices count, with log sales that are true."""
    draw = np.random.default_rng(seed)
    product, store = (part.ravel() for part in np.meshgrid(np.arange(products), np.arange(STORES), indexing="ij"))
    deal = draw.random((products, STORES, WEEKS)) < 0.25
    cut = np.where(deal, -draw.uniform(0.05, 0.5, deal.shape), 0.0)
    leaflet = (draw.random(deal.shape) < 0.4) & deal
    usual = np.log(draw.uniform(1, 4, (products, STORES, 1)))
    own, rival = np.resize(OWN, products), np.pad(RIVAL, ((0, products - 3), (0, products - 3)))
    logged = own[:, None, None] * cut - together * cut * leaflet + 0.3 * leaflet + np.einsum("pr,rsw->psw", rival, cut)
    level = draw.uniform(3, 5, (products, STORES, 1))
    truth = (level + logged).reshape(-1, WEEKS)
    units = np.exp(truth + noise * draw.normal(size=truth.shape)).astype("f4")
    units[:, CUT:] = np.nan
    price, flag = np.exp(usual + cut).reshape(-1, WEEKS).astype("f4"), leaflet.reshape(-1, WEEKS).astype("f4")
    keys = {"product": np.array([f"P{at:02}" for at in product], object), "store": np.array([f"S{at:02}" for at in store], object)}
    kinds = {"leaflet": "lever", "price": "price"}
    return Panel(Clock(GRAINS["week"]), 900, CUT, keys, units, {"leaflet": flag, "price": price}, kinds, {}, {}, {}), np.exp(truth)


def look(panel, horizon=8, series=None):
    series = np.arange(len(panel)) if series is None else series
    return Look(panel.planned(series, horizon, NONE, NONE, {}), series, np.arange(horizon), horizon)


def learned(panel, horizon=8):
    return SCANPRO.learn(panel, {}, seed=0, horizon=horizon)


def test_own_levers_together_and_rivals_are_told():
    panel, truth = world()
    found = scanpro_learn.learn(panel, np.zeros(len(panel)))
    assert found.names == ("price", "leaflet")
    at = dict(zip(found.terms, found.beta[::STORES].T, strict=True))
    bent = at[0, 0] * 0.25  # half of what the bend adds at the usual depth
    np.testing.assert_allclose(at[0, scanpro.ALONE] + bent, OWN, atol=0.45)
    np.testing.assert_allclose(at[0, 1], -0.8, atol=0.4)
    assert abs(np.corrcoef(found.rivals[:STORES].ravel(), np.log(panel.ahead["price"][STORES : 2 * STORES]).ravel())[0, 1]) > 0.2
    said = learned(panel).say(look(panel)).quantiles[..., 7]
    rate = np.abs(said - truth[:, CUT:]).sum() / truth[:, CUT:].sum()
    assert rate < 0.07


def test_rivals_are_what_makes_the_difference():
    panel, truth = world(noise=0.15)
    alone = replace(panel, keys={"product": np.array([f"{p} {s}" for p, s in zip(*panel.keys.values(), strict=True)], object)})
    blind = replace(panel, keys={"product": panel.keys["product"], "store": np.array([f"X{at}" for at in range(len(panel))], object)})
    assert not scanpro_learn.learn(blind, np.zeros(len(panel))).rivals.any()

    def missed(of):
        return np.abs(learned(of).say(look(of)).quantiles[..., 7] - truth[:, CUT:]).sum()

    assert missed(panel) < 0.85 * missed(blind)
    assert missed(panel) < missed(alone)  # each series by itself has a twelfth of the rows


def test_a_rival_that_does_nothing_is_drawn_to_nothing():
    found = scanpro_learn.learn(world(noise=0.3)[0], np.zeros(3 * STORES))
    idle = found.rivals[2 * STORES :]
    assert np.abs(idle).max() < 0.5 * np.abs(found.rivals[: 2 * STORES]).max()


def test_stores_that_differ_have_coefficients_of_their_own():
    draw = np.random.default_rng(3)
    true = np.linspace(-4.0, -1.0, STORES)
    cut = np.where(draw.random((STORES, WEEKS)) < 0.3, -draw.uniform(0.05, 0.4, (STORES, WEEKS)), 0.0)
    units = np.exp(4 + true[:, None] * cut + 0.1 * draw.normal(size=cut.shape)).astype("f4")
    panel = world()[0].take(np.arange(STORES))
    apart = replace(panel, target=units, ahead={"price": np.exp(cut).astype("f4")}, kinds={"price": "price"})
    found = scanpro_learn.learn(apart, np.zeros(STORES))
    moved = cut[:, :CUT] - cut[:, :CUT].mean(1, keepdims=True)
    slope = (found.own[:, :CUT] * moved).sum(1) / (moved**2).sum(1)
    np.testing.assert_allclose(slope, true, atol=0.5)
    same = np.exp(4 - 2.0 * cut + 0.4 * draw.normal(size=cut.shape)).astype("f4")
    alike = scanpro_learn.learn(replace(apart, target=same), np.zeros(STORES)).beta
    assert np.ptp(alike[:, 0]) < 1.0


def test_a_higher_price_never_sells_more():
    draw = np.random.default_rng(1)
    panel, _ = world(noise=1.5, together=-3.0)  # bent the wrong way, and noisy
    panel.target[: 2 * STORES, :CUT] = draw.lognormal(3, 1, (2 * STORES, CUT))
    model = learned(panel)
    before = None
    for factor in (0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.5):
        price = panel.ahead["price"].copy()
        price[:, CUT:] *= factor
        now = model.say(look(replace(panel, ahead={**panel.ahead, "price": price}))).mean
        assert before is None or (now <= before * (1 + 1e-5)).all()
        before = now


def test_steeper_terms_are_taken_back_as_far_as_they_would_turn_the_price():
    terms, names = ((0, -1), (1, -1), (0, 0), (0, 1)), ["price", "leaflet"]
    low, high = np.array([-0.4, 0.0]), np.array([0.1, 1.0])
    for beta in ([-1.0, 0.2, 3.0, 2.0], [0.5, 0.2, 3.0, -1.0], [-2.0, 0.2, -1.0, -1.0], [-0.1, 0.0, 0.0, 5.0]):
        kept = scanpro_learn._falling(np.array(beta), terms, names, low, high)
        price = np.linspace(-0.65, 0.35, 60)[None]
        for leaflet in (-0.5, 0.0, 1.0, 1.5):
            said = sum(scanpro.term([price, np.full_like(price, leaflet)], pair) * one for pair, one in zip(terms, kept, strict=True))
            assert (np.diff(said[0]) <= 1e-9).all()
        assert kept[1] == beta[1]
    np.testing.assert_array_equal(scanpro_learn._falling(np.array([-2.0, 0.2, -1.0, -1.0]), terms, names, low, high)[0], -2.0)


def test_nothing_past_the_cut_is_looked_at_but_the_plan():
    panel, _ = world()
    model = learned(panel)
    known = replace(panel, target=np.where(np.isfinite(panel.target), panel.target, 1e6))
    assert learned(known).dump() == model.dump()
    price = panel.ahead["price"].copy()
    price[STORES : 2 * STORES, CUT:] *= 0.6  # of a rival: it is in the path
    moved = learned(replace(panel, ahead={**panel.ahead, "price": price}))
    assert moved.say(look(panel)).mean[:STORES].sum() < 0.8 * model.say(look(panel)).mean[:STORES].sum()


def test_past_the_horizon_rivals_are_as_usual():
    panel, _ = world()
    model = learned(panel, 4)
    price = panel.ahead["price"].copy()
    price[:, CUT + 4 :] = np.exp(np.log(price[:, :CUT]).mean(1, keepdims=True))
    price[STORES : 2 * STORES, CUT + 4 :] *= 0.5  # a rival's plan past what was learned
    far = model.say(look(replace(panel, ahead={"leaflet": np.zeros_like(price), "price": price}), 8)).mean
    np.testing.assert_allclose(far[:STORES, 4:], np.repeat(far[:STORES, 4:5], 4, 1), rtol=1e-5)


@pytest.mark.parametrize(("grain", "periods", "horizon"), [("month", 12, 12), ("week", 52, 13)])
def test_the_season_goes_on_past_the_horizon(grain, periods, horizon):
    draw = np.random.default_rng(0)
    history, ahead, series = 5 * periods, 2 * periods, 30
    at = np.arange(history + ahead)
    clock, first = Clock(GRAINS[grain]), 600 if grain == "month" else 2600
    day = clock.date(first + at).astype("M8[D]").astype("i8")
    truth = 100 * np.exp(0.5 * np.sin(2 * np.pi * day / 365.2425))
    price = draw.choice([1.6, 2.0], (series, len(at))).astype("f4")
    units = (truth * (2 / price) ** 2 * np.exp(0.05 * draw.normal(size=price.shape))).astype("f4")
    units[:, history:] = np.nan
    keys = {"product": np.array([f"P{one % 3}" for one in range(series)], object)}
    keys["store"] = np.array([f"S{one // 3}" for one in range(series)], object)
    panel = Panel(clock, first, history, keys, units, {"price": price}, {"price": "price"}, {}, {}, {})
    said = learned(panel, horizon).say(look(panel, ahead)).quantiles[..., 7]
    wanted = truth[history:] * (2 / price[:, history:]) ** 2
    for some in (slice(0, horizon), slice(horizon, ahead)):
        assert np.abs(said[:, some] - wanted[:, some]).sum() / wanted[:, some].sum() < 0.12


def test_what_a_store_never_did_is_known_from_its_sisters():
    panel, _ = world()
    price, leaflet = panel.ahead["price"].copy(), panel.ahead["leaflet"].copy()
    price[0], leaflet[1, :CUT] = 2.0, 0.0
    whole = replace(panel, ahead={"leaflet": leaflet, "price": price})
    model = learned(whole)
    cheap, shown = price.copy(), leaflet.copy()
    cheap[0, CUT:], shown[:, CUT:] = 1.4, 0.0
    plain = model.say(look(replace(whole, ahead={"leaflet": shown, "price": price}))).mean
    cut = model.say(look(replace(whole, ahead={"leaflet": shown, "price": cheap}))).mean
    on = shown.copy()
    on[1, CUT:] = 1.0
    leaf = model.say(look(replace(whole, ahead={"leaflet": on, "price": price}))).mean
    assert (cut[0] > 1.5 * plain[0]).all() and (leaf[1] > 1.1 * plain[1]).all()


def test_levers_that_move_most_are_kept():
    panel, _ = world()
    draw = np.random.default_rng(0)
    rare = {f"m{at}": (draw.random(panel.target.shape) < 0.01).astype("f4") for at in range(4)}
    many = replace(panel, ahead={**rare, **panel.ahead}, kinds={**dict.fromkeys(rare, "lever"), **panel.kinds})
    names = scanpro_learn._names(many)
    assert names[:2] == ["price", "leaflet"] and len(names) == scanpro_learn.MOST_OWN


def test_a_rival_is_one_of_the_same_channel():
    panel, _ = world()
    count = len(panel)
    both = panel.take(np.tile(np.arange(count), 2))
    channel = np.repeat(np.array(["a", "b"], object), count)
    beside = scanpro_learn._beside(replace(both, keys={**both.keys, "channel": channel}))
    assert (channel[beside] == channel[:, None]).all()


def test_it_comes_back_as_it_was_and_damaged_bytes_are_refused():
    panel, _ = world()
    model = learned(panel)
    parts = model.dump()
    again = SCANPRO.read(parts, panel)
    np.testing.assert_array_equal(again.say(look(panel)).quantiles, model.say(look(panel)).quantiles)
    assert again.dump() == parts
    numbers = tensors.load(parts["stats.safetensors"])
    short = tensors.save(numbers | {"scanpro/beta": numbers["scanpro/beta"][:, :-1]})
    far = parts["stats.json"].replace(b'"terms":[[0,-1]', b'"terms":[[9,-1]')
    assert far != parts["stats.json"]
    for damaged in ({**parts, "stats.safetensors": short}, {**parts, "stats.json": far}):
        with pytest.raises((Incompatible, Tampered)):
            SCANPRO.read(damaged, panel)


def test_gaps_strangers_and_products_that_a_store_does_not_carry():
    panel, _ = world()
    rows = np.setdiff1d(np.arange(len(panel)), [3, STORES + 5, 2 * STORES])
    some = panel.take(rows)
    target, price = some.target.copy(), some.ahead["price"].copy()
    target[0, 20:60] = np.nan
    target[1] = np.nan  # never sold
    price[2, 30:40] = np.nan
    odd = replace(some, target=target, ahead={**some.ahead, "price": price})
    model = learned(odd)
    said = model.say(look(odd))
    assert np.isfinite(said.mean).all() and np.isfinite(said.quantiles).all() and not said.mean[1].any()
    whole, _ = world(seed=0)
    place = np.full(len(whole), -1)
    place[rows] = np.arange(len(rows))
    later = model.moved(whole, place).say(look(whole)).mean
    assert later.shape == (len(whole), 8) and (later[3] > 0).all()


def test_many_rivals_are_those_that_sell_most():
    panel, _ = world(products=20)
    panel.target[: 5 * STORES] *= 0.001
    beside = scanpro_learn._beside(panel)
    assert beside.shape == (20 * STORES, scanpro_learn.MOST_RIVALS)
    assert (beside[10 * STORES :] >= 5 * STORES).all()
    assert learned(panel).facts["families"] == {"scanpro": 240.0}


def test_without_a_price_that_moved_there_is_nothing_to_learn():
    panel, _ = world()
    still = replace(panel, ahead={**panel.ahead, "price": np.full_like(panel.ahead["price"], 2.0)})
    free = replace(panel, ahead={"leaflet": panel.ahead["leaflet"]}, kinds={"leaflet": "lever"})
    short = replace(panel, cut=20)
    for one in (still, free, short):
        assert not scanpro_learn.tells(one)
        with pytest.raises(LearnFailed, match="price"):
            learned(one)
    assert scanpro_learn.tells(panel)
    model = learned(panel)  # a later table may hold no price that moved: the level still stands
    assert np.isfinite(model.moved(still, np.arange(len(still))).say(look(still)).mean).all()


@pytest.mark.parametrize(("days", "priced", "offered"), [(7, True, True), (1, True, False), (7, False, False)])
def test_it_is_tried_on_weeks_whose_prices_moved(days, priced, offered):
    assembled = _sales(days, priced=priced)
    found = part("demand", "route", "route")(assembled)
    assert found.name == "panel" and ("scanpro" in found.recipes) == offered
    assert found.recipes[-1] == "ensemble" and ("no scanpro" in found.why) != offered


def test_it_is_tried_on_a_few_short_series_too():
    assert part("demand", "route", "route")(_sales(7, series=12, periods=60)).recipes == ("naive", "stats", "scanpro", "ensemble")
    assert "scanpro" not in part("demand", "route", "route")(_sales(7, series=4, periods=60)).recipes


def test_alone_it_says_that_rivals_count_as_planned_before():
    maker = recipe("demand", "scanpro")
    state = maker.fit(_sales(7), {}, 0)
    asked = maker.expand(state, 2, {"store": "S1"})
    planned = Table.from_columns({name: asked.column(name) for name in asked.names} | {"price": np.full(len(asked), 1.6)})
    assert any("rivals count as planned before" in note for note in maker.notes(state, planned))
    assert not any("rivals" in note for note in maker.notes(state, asked))


def _sales(days, *, priced=True, series=60, periods=110):
    draw = np.random.default_rng(0)
    day = dt.date(2023, 1, 2)
    rows = [(day + dt.timedelta(days=days * at), f"P{one % 6}", f"S{one // 6}") for one in range(series) for at in range(periods)]
    date, product, store = (list(part) for part in zip(*rows, strict=True))
    price = draw.choice([1.6, 2.0], len(rows)) if priced else np.full(len(rows), 2.0)
    units = draw.poisson(30 * (2 / price) ** 2)
    columns = {"date": date, "product": product, "store": store, "units": units.astype("f8"), "price": price}
    return part("demand", "assemble", "assemble")({"sales": _table(columns)})


def _table(columns):
    found = infer(read(pl.DataFrame(columns)), table="sales")
    return Table.from_frame(found.frame, found.schema)
