import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tradewind.core.errors import BadValue, Incompatible, LearnFailed, Tampered
from tradewind.core.model import settle
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import lstm_inputs, lstm_learn, lstm_onnx, lstm_train, lstm_windows
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.forecast.lstm import LEARNER
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

HORIZON = 14
LIFT = 1.8
KNOBS = {"hidden": 16, "steps": 150, "batch": 96, "learning_rate": 0.01, "encoder": 28, "dropout": 0.1}


def made(series=24, periods=420, grain="day", seed=3):
    """Sales with a shape of the cycle, a size per series, a promotion that multiplies by LIFT, and days nothing is known of."""
    rng = np.random.default_rng(seed)
    clock = Clock(GRAINS[grain])
    cycle = max(clock.grain.cycle, 2)
    shape = 1 + 0.5 * np.sin(2 * np.pi * np.arange(cycle) / cycle)
    size = rng.uniform(2, 60, series)
    promotion = np.repeat(rng.random((series, periods // 7 + 1)) < 0.2, 7, 1)[:, :periods].astype("f4")
    rate = size[:, None] * shape[np.arange(periods) % cycle] * np.where(promotion > 0, LIFT, 1)
    target = rng.poisson(rate).astype("f4")
    target[rng.random(target.shape) < 0.03] = np.nan
    cut = periods - HORIZON
    truth = target.copy()
    target[:, cut:] = np.nan
    holiday = (np.arange(periods) % 97 == 5).astype("f4")[None]
    price = np.repeat(np.exp(rng.normal(2, 0.3, (series, 1))), periods, 1).astype("f4")
    keys = np.array([f"P{at}" for at in range(series)], object)
    static = {"brand": (np.arange(series) % 3).astype("f4"), "size": size.astype("f4")}
    ahead, kinds = (
        {"price": price, "promotion": promotion, "event_x": holiday},
        {"price": "price", "promotion": "lever", "event_x": "event"},
    )
    panel = Panel(clock, 17_000, cut, {"product": keys}, target, ahead, kinds, {}, static, {"brand": ["a", "b", "c"]})
    return panel, truth[:, cut:], rate[:, cut:]


def asked(panel, steps=None, learned=None, series=None):
    part = panel.tail(learned.reach) if learned else panel
    series = np.arange(len(part)) if series is None else series
    return Look(part, series, np.arange(HORIZON) if steps is None else np.asarray(steps), HORIZON)


@pytest.fixture(scope="module")
def world():
    return made()


@pytest.fixture(scope="module")
def learned(world):
    return LEARNER.learn(world[0], settle(LEARNER.knobs, KNOBS), seed=1, horizon=HORIZON)


def test_it_beats_the_seasonal_naive_and_its_mean_is_nearly_unbiased(world, learned):
    panel, truth, rate = world
    said = learned.say(asked(panel, learned=learned))
    median = said.quantiles[..., list(TAUS).index(0.5)]
    last = panel.target[:, panel.cut - 7 : panel.cut]
    naive = np.tile(np.where(np.isfinite(last), last, np.nanmean(panel.target, 1)[:, None]), 2)
    fine = np.isfinite(truth)
    assert np.abs(truth - median)[fine].sum() < 0.6 * np.abs(truth - naive)[fine].sum()
    assert abs(said.mean.sum() / rate.sum() - 1) < 0.06
    inside = (truth >= said.quantiles[..., list(TAUS).index(0.1)]) & (truth <= said.quantiles[..., list(TAUS).index(0.9)])
    assert 0.65 < inside[fine].mean() < 0.93


def test_quantiles_rise_and_nothing_is_below_zero(world, learned):
    said = learned.say(asked(world[0], learned=learned))
    assert said.mean.shape == (24, HORIZON) and said.quantiles.shape == (24, HORIZON, len(TAUS))
    assert (np.diff(said.quantiles, axis=-1) >= 0).all()
    assert (said.quantiles >= 0).all() and (said.mean >= 0).all()


def test_a_promotion_that_is_planned_lifts_the_forecast_by_what_it_did_before(world, learned):
    panel = world[0]
    plans = []
    for flag in (0.0, 1.0):
        promotion = panel.ahead["promotion"].copy()
        promotion[:, panel.cut :] = flag
        plans.append(learned.say(asked(replace(panel, ahead={**panel.ahead, "promotion": promotion}), learned=learned)).mean.sum())
    assert plans[1] / plans[0] == pytest.approx(LIFT, rel=0.12)


def test_the_same_seed_learns_the_same(world):
    knobs = settle(LEARNER.knobs, KNOBS | {"steps": 10})
    one, two, other = (LEARNER.learn(world[0], knobs, seed=seed, horizon=HORIZON) for seed in (5, 5, 6))
    look = asked(world[0])
    np.testing.assert_array_equal(one.say(look).quantiles, two.say(look).quantiles)
    assert not np.array_equal(one.say(look).quantiles, other.say(look).quantiles)


def test_what_is_written_is_read_back_without_a_training_library(world, learned, tmp_path):
    parts = learned.dump()
    again = LEARNER.read(parts, world[0])
    look = asked(world[0], learned=learned)
    np.testing.assert_array_equal(again.say(look).quantiles, learned.say(look).quantiles)
    assert again.facts == learned.facts and again.layout == learned.layout
    for name, data in parts.items():
        (tmp_path / name).write_bytes(data)
    code = f"""
import sys, pathlib
from tradewind.models._kit.forecast.lstm import LEARNER
where = pathlib.Path({str(tmp_path)!r})
LEARNER.read({{path.name: path.read_bytes() for path in where.iterdir()}}, None)
assert not {{"jax", "optax", "onnx", "scipy", "polars"}} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_damaged_parts_are_refused(world, learned):
    parts = learned.dump()
    with pytest.raises(Tampered):
        LEARNER.read(parts | {"lstm.decoder.onnx": parts["lstm.decoder.onnx"][:200]}, world[0])
    with pytest.raises(Tampered):
        LEARNER.read(parts | {"lstm.decoder.onnx": parts["lstm.encoder.onnx"]}, world[0])
    with pytest.raises(Incompatible):
        LEARNER.read(parts | {"lstm.json": b"{}"}, world[0])
    with pytest.raises(Incompatible):
        LEARNER.read({"lstm.json": parts["lstm.json"]}, world[0])


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(world, learned):
    whole = learned.say(asked(world[0], learned=learned))
    for at in (0, 7):
        alone = learned.say(asked(world[0].take(np.array([at])), learned=learned, series=np.array([at])))
        np.testing.assert_allclose(alone.mean[0], whole.mean[at], rtol=1e-4)


def test_some_steps_are_answered_as_among_all_of_them(world, learned):
    whole = learned.say(asked(world[0], learned=learned))
    some = learned.say(asked(world[0], [3, 9], learned))
    np.testing.assert_allclose(some.mean, whole.mean[:, [3, 9]], rtol=1e-4)
    np.testing.assert_allclose(some.quantiles, whole.quantiles[:, [3, 9]], rtol=1e-4, atol=1e-4)


def test_further_than_was_learned_is_answered(world, learned):
    said = learned.say(asked(world[0], np.arange(3 * HORIZON), learned))
    assert np.isfinite(said.mean).all() and np.isfinite(said.quantiles).all()


def test_a_new_series_is_answered_from_a_week_and_from_nothing(world, learned):
    panel, _, rate = world
    short = panel.target.copy()
    short[:, : panel.cut - 7] = np.nan
    said = learned.moved(panel, np.full(len(panel), -1)).say(asked(replace(panel, target=short), learned=learned))
    assert np.abs(said.mean - rate).sum() < 0.35 * rate.sum()
    nothing = learned.say(asked(replace(panel, target=np.full_like(panel.target, np.nan)), learned=learned))
    assert np.isfinite(nothing.quantiles).all()
    assert 0.2 < nothing.mean.mean() / np.nanmean(panel.target) < 3


def test_missing_prices_columns_and_texts_are_answered(world, learned):
    panel = world[0]
    price = panel.ahead["price"].copy()
    price[::2] = np.nan
    ahead = {"price": price, "promotion": panel.ahead["promotion"]}
    strange = replace(panel, ahead=ahead, static={"brand": np.full(24, np.nan, "f4")}, codes={"brand": ["z"]})
    assert np.isfinite(learned.say(asked(strange, learned=learned)).quantiles).all()


def test_nothing_past_the_origin_is_read(world):
    panel = world[0]
    layout = lstm_inputs.layout_of(panel, HORIZON, 28)
    origin = panel.cut - 40
    changed = panel.target.copy()
    changed[:, origin:] = 1e6
    pairs = np.arange(len(panel)), np.full(len(panel), layout.back + origin)
    one, two = (
        lstm_windows.tensors(lstm_inputs.view_of(said, layout, HORIZON), *pairs, HORIZON)
        for said in (panel, replace(panel, target=changed))
    )
    for name in ("encoder", "decoder", "fixed", "level"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_an_answer_reads_what_was_learned_from(world):
    """The window before the cut is the same whether cut out of the whole history or built from its tail."""
    panel = world[0]
    layout = lstm_inputs.layout_of(panel, HORIZON, 28)
    series = np.arange(len(panel))
    whole = lstm_windows.tensors(lstm_inputs.view_of(panel, layout, HORIZON), series, np.full(len(panel), layout.back + panel.cut), HORIZON)
    tail = panel.tail(layout.back)
    short = lstm_windows.tensors(
        lstm_inputs.view_of(tail, layout, HORIZON, start=tail.cut), series, np.full(len(panel), layout.back), HORIZON
    )
    for name in ("encoder", "decoder", "fixed", "level"):
        np.testing.assert_allclose(getattr(whole, name), getattr(short, name), atol=1e-5)


@pytest.mark.parametrize("grain", ["hour", "day", "week", "month", "quarter"])
def test_every_grain_is_read(grain):
    panel, _, _ = made(6, 500 if grain in ("hour", "day") else 90, grain)
    layout = lstm_inputs.layout_of(panel, HORIZON, 0)
    view = lstm_inputs.view_of(panel, layout, HORIZON)
    drawn = next(lstm_windows.batches(view, lstm_windows.pairs_of(view, HORIZON), seed=0, batch=8, chunk=2, steps=HORIZON))
    encoder, decoder, fixed, level, truth = drawn
    assert encoder.shape[:3] == (2, layout.patches, 8) and decoder.shape[:3] == (2, HORIZON, 8) and truth.shape == (2, HORIZON, 8)
    assert all(np.isfinite(part).all() for part in (encoder, decoder, fixed, level)) and (level > 0).all()
    assert max(np.abs(encoder).max(), np.abs(decoder).max(), np.abs(fixed).max()) < 10


def test_pairs_have_a_past_and_a_future(world):
    panel = world[0]
    target = panel.target.copy()
    target[0] = np.nan  # never sold
    target[1, :100], target[1, 200:] = np.nan, np.nan
    view = lstm_inputs.view_of(replace(panel, target=target), lstm_inputs.layout_of(panel, HORIZON, 28), HORIZON)
    series, origin = lstm_windows.pairs_of(view, HORIZON).draw(np.random.default_rng(0), 5000)
    assert 0 not in series
    own = origin[series == 1] - view.layout.back
    assert own.min() >= 100 + 7 and own.max() < 200
    assert np.isfinite(lstm_windows.truth_of(view, series, origin, HORIZON)).any(0).mean() > 0.999


def test_the_gradient_of_the_cell_is_that_of_the_plain_one():
    import jax
    import jax.numpy as jnp

    hidden, rng = 5, np.random.default_rng(0)
    rows, wi, wh, bias = (jnp.asarray(rng.normal(size=size).astype("f4")) for size in ((6, 4, 3), (3, 20), (5, 20), (4, 20)))
    state, cell = (jnp.asarray(rng.normal(size=(4, hidden)).astype("f4")) for _ in range(2))

    def plain(wi, wh, bias, state, cell):
        def step(carried, now):
            i, f, o, g = jnp.split(now @ wi + carried[0] @ wh + bias, 4, -1)
            cell = jax.nn.sigmoid(f) * carried[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            state = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return (state, cell), state

        (last, end), states = jax.lax.scan(step, (state, cell), rows)
        return states, last, end

    def summed(layer):
        def loss(*given):
            states, last, end = layer(*given)
            return (states**2).sum() + (last**3).sum() + jnp.sin(end).sum()

        return loss

    ours = summed(lambda *given: lstm_train._recurrence(hidden)(rows, *given))
    for one, two in zip(
        jax.grad(ours, (0, 1, 2, 3, 4))(wi, wh, bias, state, cell),
        jax.grad(summed(plain), (0, 1, 2, 3, 4))(wi, wh, bias, state, cell),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, rtol=2e-4, atol=2e-5)


def test_unknown_targets_weigh_nothing():
    rng = np.random.default_rng(0)
    said = rng.normal(size=(4, 6, lstm_train.OUTPUTS)).astype("f4")
    truth, level = rng.poisson(3, (4, 6)).astype("f4"), np.full(6, 2, "f4")
    truth[:, 3:] = np.nan
    whole = lstm_train.loss_of(said, level, truth, 2.0, 0.5)
    part = lstm_train.loss_of(said[:, :3], level[:3], truth[:, :3], 2.0, 0.5)
    assert float(whole) == pytest.approx(float(part), rel=1e-5)


def test_onnx_says_what_jax_says_for_any_number_of_steps_and_series():
    shape = lstm_train.Shape(7, 9, 4, 8, 0.0)
    weights = lstm_train.weights_of(shape, 0)
    net = lstm_onnx.opened(lstm_onnx.to_onnx(weights))
    rng = np.random.default_rng(0)
    for patches, steps, series in ((3, 1, 1), (16, 30, 5)):
        encoder, decoder, fixed = (rng.normal(size=size).astype("f4") for size in ((patches, series, 7), (steps, series, 9), (series, 4)))
        theirs, ours = np.asarray(lstm_train.outputs(weights, encoder, decoder, fixed)), net.say(decoder, net.begin(encoder, fixed))
        assert lstm_onnx.check_parity(ours, theirs) <= 1e-5
        with pytest.raises(LearnFailed, match="differs"):
            lstm_onnx.check_parity(ours + 0.01, theirs)


def test_eight_bits_are_kept_only_where_nothing_is_lost(world, monkeypatch):
    panel = world[0]
    layout = lstm_inputs.layout_of(panel, HORIZON, 28)
    view = lstm_inputs.view_of(panel, layout, HORIZON)
    series, origin = lstm_windows.pairs_of(view, HORIZON).draw(np.random.default_rng(0), 100)
    unseen, truth = lstm_windows.tensors(view, series, origin, HORIZON), lstm_windows.truth_of(view, series, origin, HORIZON)
    shape = lstm_train.Shape(unseen.encoder.shape[-1], unseen.decoder.shape[-1], unseen.fixed.shape[-1], 32, 0.0)
    weights = lstm_train.weights_of(shape, 0)
    whole = lstm_onnx.opened(lstm_onnx.to_onnx(weights))
    monkeypatch.setattr(lstm_learn, "WORSE", 1.01)
    small, told = lstm_learn.smaller(weights, whole, unseen, truth)
    sizes = [sum(len(model) for model in net.models.values()) for net in (small, whole)]
    assert told["int8_kept"] and told["int8_windows"] == 100 and sizes[0] < 0.4 * sizes[1]
    ratio = told["pinball_int8"] / told["pinball_float32"]
    assert ratio != 1 and 0.99 < ratio < 1.01
    monkeypatch.setattr(lstm_learn, "WORSE", ratio - 1e-3)
    kept, told = lstm_learn.smaller(weights, whole, unseen, truth)
    assert kept is whole and not told["int8_kept"]
    kept, told = lstm_learn.smaller(weights, whole, unseen, np.full_like(truth, np.nan))
    assert kept is whole and told == {"int8_kept": False, "int8_windows": 0}


def test_windows_held_back_are_not_learned_from(world):
    view = lstm_inputs.view_of(world[0], lstm_inputs.layout_of(world[0], HORIZON, 28), HORIZON)
    pairs = lstm_windows.pairs_of(view, HORIZON)
    rest, series, origin = pairs.held_back(np.random.default_rng(0), 9, HORIZON)
    assert len(series) == len(set(series.tolist())) == 9 and len(pairs) - 9 * (2 * HORIZON - 1) <= len(rest) < len(pairs)
    drawn, at = rest.draw(np.random.default_rng(1), 40_000)
    held = np.full(len(world[0]), -(10**6))
    held[series] = origin
    assert (np.abs(at - held[drawn]) >= HORIZON).all()
    every = {(one, two) for one, two in zip(*pairs.draw(np.random.default_rng(2), 100_000), strict=True)}
    left = {(one, two) for one, two in zip(drawn, at, strict=True)}
    assert left <= every and len(left) > 0.9 * len(rest)


@pytest.mark.parametrize("steps", [np.arange(HORIZON), np.array([2, 5])])
def test_what_was_made_ready_answers_another_plan_as_if_asked_first(world, learned, steps):
    tail = world[0].tail(learned.reach)
    kept = learned.keep(tail, HORIZON)
    assert kept["lstm"].decoder.shape[:2] == (HORIZON, len(tail))
    series = np.array([7, 2, 2, 19])
    flags = np.array([1.0, np.nan, 0.0], "f4")
    for name in ("promotion", "price", "event_x"):
        rows, at = np.repeat(np.arange(4), 3), np.tile([0, 2, 5], 4)
        part = tail.planned(series, HORIZON + 1, rows, at, {name: np.tile(flags + (name == "price"), 4)})
        fresh = Look(part, series, steps, HORIZON)
        found, wanted = learned.say(replace(fresh, planned=(name,), kept=kept)), learned.say(fresh)
        np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-9)
        np.testing.assert_allclose(found.quantiles, wanted.quantiles, rtol=1e-9)
        known = learned.say(Look(tail.take(series), series, steps, HORIZON))
        assert not np.allclose(found.mean, known.mean), "the plan must matter for this to mean anything"


def test_many_series_are_answered_as_few_are(world, learned):
    panel = world[0].take(np.arange(600) % 24)
    whole = learned.say(asked(panel, learned=learned, series=np.arange(600) % 24))
    few = learned.say(asked(world[0], learned=learned))
    np.testing.assert_allclose(whole.quantiles, few.quantiles[np.arange(600) % 24], rtol=1e-3, atol=1e-3)


def test_without_jax_learning_says_what_to_install(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(LearnFailed) as said:
        LEARNER.learn(world[0], settle(LEARNER.knobs, KNOBS), seed=0, horizon=HORIZON)
    assert "tradewind[deep]" in said.value.hint


def test_too_little_and_nothing_sold_are_refused(world):
    panel = world[0]
    knobs = settle(LEARNER.knobs, KNOBS)
    few = np.full_like(panel.target, np.nan)
    few[0, -30:-20] = 1.0
    with pytest.raises(LearnFailed, match="too few"):
        LEARNER.learn(replace(panel, target=few), knobs, seed=0, horizon=HORIZON)
    zero = np.where(np.isfinite(panel.target), 0.0, np.nan).astype("f4")
    with pytest.raises(LearnFailed, match="every past sale is zero"):
        LEARNER.learn(replace(panel, target=zero), knobs, seed=0, horizon=HORIZON)


def sparse(target):
    return np.where(np.random.default_rng(0).random(target.shape) < 0.51, np.nan, target)


def alone(panel):
    """One series, with numbers in the place of the texts that one series cannot have: as wide as the others, so compiled once."""
    one = panel.take(np.array([4]))
    return replace(one, static={**one.static, **{f"number_{at}": np.ones(1, "f4") for at in range(3)}})


def ended(panel):
    ahead = {name: value[:, : panel.cut] for name, value in panel.ahead.items()}
    return replace(panel, target=panel.target[:, : panel.cut], ahead=ahead)


def never_varied(panel):
    return replace(panel, ahead={**panel.ahead, "price": np.full((1, panel.width), 3.0, "f4")})


@pytest.mark.parametrize(
    "change",
    [
        lambda panel: replace(panel, target=sparse(panel.target)),
        lambda panel: replace(panel, target=np.where(np.isfinite(panel.target), 7, np.nan).astype("f4")),
        alone,
        never_varied,
        ended,
        lambda panel: replace(panel, target=np.where(np.arange(24)[:, None] < 4, panel.target, np.where(panel.target >= 0, 0, np.nan))),
    ],
    ids=["half unknown", "constant", "one series", "price never varied", "nothing known ahead", "most never sold"],
)
def test_odd_panels_are_learned(world, change):
    panel = change(world[0])
    learned = LEARNER.learn(panel, settle(LEARNER.knobs, KNOBS | {"steps": 10}), seed=0, horizon=HORIZON)
    none = np.empty(0, "i8")
    look = asked(panel.planned(np.arange(len(panel)), HORIZON + 1, none, none, {}), learned=learned)
    said = learned.say(look)
    assert np.isfinite(said.mean).all() and np.isfinite(said.quantiles).all() and np.isfinite(learned.facts["loss"])


def test_knobs_are_checked():
    with pytest.raises(BadValue):
        settle(LEARNER.knobs, {"hidden": 2})


def test_the_own_price_moves_an_answer_as_its_response_says(world):
    panel = world[0]
    weeks = np.random.default_rng(4).uniform(-0.25, 0.25, (len(panel), panel.width // 7 + 1))
    apart = np.repeat(weeks, 7, 1)[:, : panel.width].astype("f4")
    priced = replace(panel, target=panel.target * np.exp(-2 * apart), ahead={**panel.ahead, "price": 5 * np.exp(apart)})
    found = LEARNER.learn(priced, settle(LEARNER.knobs, KNOBS), seed=1, horizon=HORIZON)
    own = found.response.coefficient[:, found.response.names.index("price")]
    dearer = priced.ahead["price"].copy()
    dearer[:, panel.cut :] *= 1.1
    asked_of = found.say(asked(replace(priced, ahead={**priced.ahead, "price": dearer}))).mean / found.say(asked(priced)).mean
    np.testing.assert_allclose(own.mean(), -2, atol=0.3)
    np.testing.assert_allclose(np.log(asked_of).mean() / np.log(1.1), own.mean(), atol=0.5)


def test_what_rivals_do_is_read(world):
    panel = world[0]
    rng = np.random.default_rng(5)
    pulled = (rng.random(panel.target.shape) < 0.3).astype("f4")
    target = (panel.target * np.exp(-1.0 * pulled)).astype("f4")
    beside = replace(
        panel, target=target, ahead={**panel.ahead, "rivals_promotion": pulled}, kinds={**panel.kinds, "rivals_promotion": "rivals"}
    )
    found = LEARNER.learn(beside, settle(LEARNER.knobs, KNOBS), seed=1, horizon=HORIZON)
    none, all_ = (replace(beside, ahead={**beside.ahead, "rivals_promotion": np.full_like(pulled, value)}) for value in (0.0, 1.0))
    lost = np.log(found.say(asked(all_)).mean / found.say(asked(none)).mean)
    assert lost.mean() < -0.3


def test_a_point_for_percentage_errors_is_learned_where_it_is_asked_for(world, learned):
    panel, truth, _ = world
    assert learned.say(asked(panel, learned=learned)).percent is None
    knobs = {**settle(LEARNER.knobs, KNOBS), "percent": 1}
    found = LEARNER.read(LEARNER.learn(panel, knobs, seed=1, horizon=HORIZON).dump(), panel).say(asked(panel))
    sold = np.isfinite(truth[:, :HORIZON]) & (truth[:, :HORIZON] > 0)
    wanted = np.where(sold, truth[:, :HORIZON], 1.0)

    def error(point):
        return (np.abs(point - wanted) / wanted)[sold].mean()

    assert found.percent.shape == found.mean.shape and (found.percent >= 0).all()
    assert error(found.percent) < error(found.quantiles[..., len(TAUS) // 2]) and error(found.percent) < error(found.mean)
