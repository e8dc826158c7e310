"""Learn churn: a base rate, a rhythm of buying, or splines and trees; then time, money and what a test says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.core.errors import EmptyTable, LearnFailed, TradewindError
from tradewind.core.table import Array, Table
from tradewind.models._kit.customers import boosted, btyd, logistic
from tradewind.models._kit.customers.attributes import PREFIX
from tradewind.models._kit.customers.columns import Columns
from tradewind.models._kit.customers.columns import learned as columns_of
from tradewind.models._kit.customers.features import MEANINGS
from tradewind.models.churn import answers
from tradewind.models.churn.hazard import Hazard, edges_for
from tradewind.models.churn.hazard import learned as hazard_of
from tradewind.models.churn.leaving import FLAG, MEMBERSHIP, ORDERS
from tradewind.models.churn.state import RHYTHM, Leaving, with_rhythm

FEWEST = 50  # rows with a known outcome
FEWEST_EACH = 10  # of them that left, and that stayed
MOST_ROWS = 40_000
CALIBRATED = 12_000  # rows that the calibrator is learned on
BANDS = 5
SMOOTH = 20.0  # customers at the overall rate that each band is drawn towards
FEES = ("monthlycharges", "monthly_charges", "monthly_fee", "fee", "subscription", "premium", "mrr", "price")
PARTS = 3  # folds of the calibrator's out-of-fold chances
GROWS = 0.95  # correlation from which a column is taken to grow with the time one has been a customer
MONEY_GROUPS = 5
CONTROLS = ("control", "holdout", "none", "no", "0", "untreated", "placebo")


def asked_rows(table: Table) -> Table:
    """Return the rows of customers who can still leave: those of the last cut, or those a flag does not say have left."""
    kind = table.column("kind")
    if str(table.column("mode")[0]) == FLAG:
        return table.take((kind != "treated") & ~(table.column("left").astype("f8") == 1))
    return table.take(kind == "now")


def whole_matrix(columns: Columns, buying: btyd.Buying | None, rows: Table) -> Array:
    """Return the matrix of rows of the modelling table, with what the rhythm of buying says."""
    return with_rhythm(columns, buying, columns.matrix(rows))


def learned(table: Table, how: str, wish: Mapping[str, Any], seed: int) -> Leaving:
    """Return what was learned from the modelling table; raises EmptyTable and LearnFailed."""
    if not len(table):
        raise EmptyTable("there is no customer who could leave", hint="load customers or orders")
    mode, horizon = str(table.column("mode")[0]), float(table.column("horizon")[0])
    known = _known(table)
    buying, said = _buying(table, mode)
    if how == "rhythm" and (mode != ORDERS or buying is None):
        raise LearnFailed("a rhythm of buying needs orders and no other sign of leaving", hint="; ".join(said) or "another recipe serves")
    columns = _columns(table, known, buying)
    rows = asked_rows(table)
    matrix, target = whole_matrix(columns, buying, known), known.column("left").astype("f8")
    empty = Hazard(np.array([0.0, 1.0]), np.zeros(0))
    numbers: dict[str, Any] = {**wish, "calibrator": [1.0, 0.0], "fee": _fee(columns) if mode != ORDERS else None}
    people = rows.column("customer").astype(str).astype(object)
    told = (_seen(mode, horizon), *said)
    state = Leaving(
        how, mode, horizon, columns, people, whole_matrix(columns, buying, rows), np.zeros((0, 0)), empty, numbers, told, buying=buying
    )
    if how == "bands":
        state = _banded(state, known, matrix, target)
    elif how == "averaged":
        state = _averaged(state, matrix, target, known.column("customer"), seed)
    state = _timed(state, known, matrix, seed)
    state = _valued(state, known, matrix, seed)
    state = _tested(state, table, seed) if how == "averaged" else state
    said_more = ("reasons are what is associated with leaving, not what causes it",) if how == "averaged" else ()
    state = replace(state, said=(*state.said, *said_more))
    return replace(state, kept=answers.kept(state))


def _known(table: Table) -> Table:
    left = table.column("left").astype("f8")
    known = table.take((table.column("kind") == "learn") & ~np.isnan(left))
    count = int((known.column("left").astype("f8") == 1).sum()) if len(known) else 0
    if len(known) < FEWEST or min(count, len(known) - count) < FEWEST_EACH:
        raise LearnFailed(
            f"of {len(known)} customers with a known outcome {count} left: too few to learn from",
            hint=f"at least {FEWEST}, {FEWEST_EACH} of each outcome; load a longer history",
        )
    return known


def _seen(mode: str, horizon: float) -> str:
    return {
        FLAG: "leaving is what the column churned says, without a date: the chance is to be one of those",
        MEMBERSHIP: f"leaving is the end of a membership within {horizon:.0f} days",
        ORDERS: f"leaving is no order for {horizon:.0f} days: longer than nine in ten customers' own gaps",
    }[mode]


def _buying(table: Table, mode: str) -> tuple[btyd.Buying | None, tuple[str, ...]]:
    """Return the rhythm of buying as of the last cut there is, and what is to be said of it."""
    if any(name not in table for name in RHYTHM):
        return None, ()
    rows = table.take(table.column("kind") != "treated")
    if "cut" in rows:
        rows = rows.take(rows.column("cut") == rows.column("cut").max())
    x, last, since, mean = (rows.column(name).astype("f8") for name in RHYTHM)
    there = ~np.isnan(x)
    try:
        made = btyd.learned(x[there], last[there] / btyd.WEEK, since[there] / btyd.WEEK + 1e-9, mean[there])
    except LearnFailed as error:
        return None, (error.message,)
    if made.collapsed and mode == ORDERS:
        return made, ("the rhythm of buying sees nobody stop: its chance to be active says nothing here",)
    return made, ()


def _columns(table: Table, known: Table, buying: btyd.Buying | None) -> Columns:
    names = [name for name in table.names if name in MEANINGS or name.startswith(PREFIX) or name == "member_days"]
    if "about_tenure" in names or any(name.removeprefix(PREFIX) in ("tenure_months", "months") for name in names):
        names = [name for name in names if name != "member_days"]  # it says the same twice
    made = columns_of(known, names)
    if not made.names:
        raise LearnFailed("all customers look the same: no column tells them apart", hint="load orders, or more about customers")
    extra: tuple[str, ...] = ("member_days",) if "member_days" in known and "member_days" not in made.names else ()
    if all(name in made.names for name in RHYTHM[:3]) and buying is not None:
        extra += ("alive", "expected")
    return Columns((*made.names, *extra), (*made.levels, *((),) * len(extra)))


def _fee(columns: Columns) -> str | None:
    plain = {name.removeprefix(PREFIX).lower(): name for name in columns.names if name.startswith(PREFIX)}
    return next((plain[fee] for fee in FEES if fee in plain), None)


def _banded(state: Leaving, known: Table, matrix: Array, target: Array) -> Leaving:
    """Return the base rate by recency, or by how long one has been a customer, each band drawn towards the overall rate."""
    name = next((one for one in ("recency", "member_days", "tenure") if one in state.columns.names), state.columns.names[0])
    if state.mode != ORDERS:
        name = "member_days" if "member_days" in state.columns.names else name
    state = replace(state, numbers={**state.numbers, "band": name})
    values = state.column(matrix, name)
    edges = np.unique(np.nanquantile(values, np.arange(1, BANDS) / BANDS))
    band = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))

    def rate(of: Array) -> Array:
        total, count = np.bincount(band, of, len(edges) + 2), np.bincount(band, minlength=len(edges) + 2)
        return np.asarray((total + SMOOTH * of.mean()) / (count + SMOOTH))

    bands = {"edges": edges, "chance": rate(target)}
    if "next_spend" in known:
        bands["value"] = rate(np.nan_to_num(known.column("next_spend").astype("f8")))
    return replace(state, bands=bands)


def _averaged(state: Leaving, matrix: Array, target: Array, customers: Array, seed: int) -> Leaving:
    """Return the average of a spline logistic and small trees; no row is drawn twice and no class weighs more.

    The calibrator (Platt) is learned on chances of customers that were left out, and kept only where it lowers their log-loss clearly.
    """
    rng = np.random.default_rng(seed)
    if len(matrix) > MOST_ROWS:
        keep = np.sort(rng.choice(len(matrix), MOST_ROWS, replace=False))
        matrix, target, customers = matrix[keep], target[keep], customers[keep]
    state, booster = _both(state, matrix, target, seed)
    if len(matrix) > CALIBRATED:
        keep = np.sort(rng.choice(len(matrix), CALIBRATED, replace=False))
        matrix, target, customers = matrix[keep], target[keep], customers[keep]
    _, who = np.unique(customers.astype(str), return_inverse=True)
    fold = rng.permutation(PARTS * (who.max() // PARTS + 1))[who] % PARTS
    apart = np.zeros(len(target))
    for number in range(PARTS):
        held = fold == number
        if held.any() and 0 < target[~held].mean() < 1:
            part, _ = _both(state, matrix[~held], target[~held], seed)
            apart[held] = answers.chance(part, matrix[held])
    state = replace(state, numbers={**state.numbers, "calibrator": _calibrator(apart, target)})
    people = np.ascontiguousarray(state.matrix, "f4")
    if not len(people):
        return state
    theirs = np.asarray(booster.predict(people, pred_contrib=True, num_threads=1))[:, :-1]
    sample = people[:64]
    gap = float(np.abs(answers.contributions(state, sample) - theirs[:64]).max())
    if not gap <= 1e-4:
        raise LearnFailed(f"reasons differ from those of the learned trees by {gap:.2g}", hint="this is a fault of ours; please report it")
    return replace(state, reasons=theirs.astype("f2"))


def _both(state: Leaving, matrix: Array, target: Array, seed: int) -> tuple[Leaving, Any]:
    design = logistic.design(matrix, state.columns.words)
    weights = logistic.fitted(design.rows(matrix), target)
    forest, booster = boosted.fitted(matrix, target, seed, words=state.columns.words)
    return replace(state, design=design, weights=weights, forest=forest), booster


def _calibrator(chance: Array, target: Array) -> list[float]:
    odds = np.log(np.clip(chance, 1e-6, 1 - 1e-6) / np.clip(1 - chance, 1e-6, 1 - 1e-6))
    weights = logistic.fitted(odds[:, None], target, strength=1e6)
    fixed = np.clip(logistic.sigmoid(weights[0] * odds + weights[1]), 1e-6, 1 - 1e-6)
    plain = np.clip(chance, 1e-6, 1 - 1e-6)
    saved = np.where(target == 1, np.log(fixed / plain), np.log((1 - fixed) / (1 - plain)))
    if saved.mean() <= 2 * saved.std() / np.sqrt(len(saved)):
        return [1.0, 0.0]
    return [float(weights[0]), float(weights[1])]


def _timed(state: Leaving, known: Table, matrix: Array, seed: int) -> Leaving:
    if "duration" not in known or np.isnan(known.column("duration").astype("f8")).all():
        return replace(state, said=(*state.said, "when she leaves cannot be told: nothing says how long customers stayed"))
    duration, event = (np.nan_to_num(known.column(name).astype("f8")) for name in ("duration", "event"))
    edges = edges_for(duration, tenure=state.mode == FLAG)
    used = _usable(state, matrix, duration) if state.how == "averaged" else None
    if len(matrix) > MOST_ROWS:
        keep = np.sort(np.random.default_rng(seed).choice(len(matrix), MOST_ROWS, replace=False))
        matrix, duration, event = matrix[keep], duration[keep], event[keep]
    made = hazard_of(matrix, duration, event, seed, edges=edges, words=state.columns.words, used=used)
    far = float(duration.max())
    said = f"past {far:,.0f} days nothing was seen: later leaving is told at the last rate seen"
    return replace(state, hazard=made, said=(*state.said, said) if far < answers.YEAR else state.said)


def _usable(state: Leaving, matrix: Array, duration: Array) -> Array:
    """Return the columns a hazard may look at: with a flag none that grow with the time one has been a customer, or they would tell it."""
    whole = np.arange(matrix.shape[1])
    if state.mode != FLAG:
        return whole
    filled = np.nan_to_num(matrix.astype("f8"))
    rate = [filled[:, at] * duration for at in range(filled.shape[1]) if not state.columns.levels[at]]
    grows = []
    for at in whole.tolist():
        column = filled[:, at]
        if state.columns.levels[at] or column.std() == 0:
            continue
        against = [duration, *(one for one in rate if one.std() > 0)]
        if any(abs(np.corrcoef(column, one)[0, 1]) > GROWS for one in against if np.std(one) > 0 and one is not column):
            grows.append(at)
    return np.setdiff1d(whole, grows)


def _valued(state: Leaving, known: Table, matrix: Array, seed: int) -> Leaving:
    """Learn the money of the next period from earlier cuts, and how far it lies from what is expected."""
    if state.numbers.get("fee") is not None:
        return replace(state, said=(*state.said, f"a year is worth twelve times {state.numbers['fee'].removeprefix(PREFIX)}"))
    if "next_spend" not in known:
        return replace(state, said=(*state.said, "no money is known: load orders, or a column fee in customers"))
    spent = np.nan_to_num(known.column("next_spend").astype("f8")).clip(min=0.0)
    if state.how != "averaged" or spent.max(initial=0.0) <= 0:
        return _ratios(state, matrix, spent)
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.choice(len(matrix), min(len(matrix), MOST_ROWS), replace=False))
    half = rng.permutation(len(keep)) < len(keep) // 2
    more = {"tweedie_variance_power": 1.4, "num_leaves": 8, "learning_rate": 0.04, "feature_fraction": 0.6}
    rows, money = matrix[keep], spent[keep]

    def grown(part: Array) -> boosted.Forest:
        return boosted.fitted(rows[part], money[part], seed, words=state.columns.words, trees=150, objective="tweedie", **more)[0]

    tested = _ratios(replace(state, money=grown(half)), rows[~half], money[~half])
    return replace(tested, money=grown(np.ones(len(rows), bool)))


def _ratios(state: Leaving, matrix: Array, spent: Array) -> Leaving:
    """Keep the tenth and ninetieth percentile of actual over expected money, by size of the expectation."""
    _, value = answers.yearly_money(state, matrix, answers.chance(state, matrix))
    if value is None or not len(value):
        return state
    ratio = spent / np.maximum(value * state.horizon / answers.YEAR, 1e-9)
    edges = np.unique(np.quantile(value, np.arange(1, MONEY_GROUPS) / MONEY_GROUPS))
    group = np.searchsorted(edges, value)
    bounds = [np.quantile(ratio[group == at], [0.1, 0.9]) if (group == at).any() else np.array([0.0, 2.0]) for at in range(len(edges) + 1)]
    low, high = np.array(bounds).T
    return replace(state, ratio={"edges": edges, "low": low, "high": high})


def _tested(state: Leaving, table: Table, seed: int) -> Leaving:
    """Learn from a retention test whom an offer helps, where it bears that out; otherwise say how large a test would have to be."""
    from tradewind.models._kit.causal import uplift

    cases = table.take(table.column("kind") == "treated")
    if not len(cases):
        return _untested(state, uplift.sample_size)
    arm = np.array([str(value).strip().lower() not in CONTROLS for value in cases.column("arm").tolist()], "f8")
    outcome = cases.column("outcome").astype("f8")
    use = ~np.isnan(outcome)
    matrix = whole_matrix(state.columns, state.buying, cases)[use]
    which = np.array([at for at in range(matrix.shape[1]) if not state.columns.levels[at] and not np.isnan(matrix[:, at]).all()], int)
    people = cases.column("customer")[use].astype(str)
    try:
        found = uplift.evidence(matrix[:, which], arm[use], outcome[use], seed=seed, groups=people)
        made = uplift.fit(matrix[:, which], arm[use], outcome[use], seed=seed, groups=people, found=found) if found.enough else None
    except TradewindError as error:
        return replace(state, said=(*state.said, f"the retention test cannot be used: {error.message}"))
    numbers = {**state.numbers, "tested": True, "verdict": found.verdict, "uplift_columns": which.tolist(), "needed": found.needed}
    return replace(state, uplift=made, numbers=numbers, said=(*state.said, f"retention test: {found.words}"))


def _untested(state: Leaving, sample_size: Any) -> Leaving:
    rate = float(np.clip(1 - answers.chance(state, state.matrix).mean(), 0.02, 0.98)) if len(state.matrix) else 0.5
    effect = 0.1 * min(rate, 1 - rate)
    needed = sample_size(effect, rate=rate)
    said = (
        "not enough evidence that an offer helps anyone: no retention test is loaded, and acting on the chance to leave alone is untested; "
        f"a randomised test that finds {100 * effect:.1f} points more staying needs {needed:,} customers, half of them treated"
    )
    return replace(state, said=(*state.said, said))
