"""From what was learned to answers: the chance to leave, the days until then, what is associated with it, the money at stake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.customers.attributes import PREFIX
from tradewind.models._kit.customers.logistic import sigmoid
from tradewind.models.churn import AHEAD
from tradewind.models.churn.hazard import at, when
from tradewind.models.churn.leaving import FLAG, MEMBERSHIP
from tradewind.models.churn.state import Leaving

YEAR = 365.0
TOLD = 3  # reasons each way
FAINT = 0.03  # log-odds below which nothing is said of a concept
ACTS = np.array(["no", "yes", "unknown"], object)
CHUNK = 5000  # customers worked out at once
SURE = 1e-6  # no chance is told nearer to 0 or 1


def chance(state: Leaving, matrix: Array) -> Array:
    """Return the chance to leave within the horizon (of a flag: to be one who left)."""
    if state.how == "bands":
        return banded(state, matrix, "chance")
    if state.how == "rhythm":
        assert state.buying is not None
        x, last, since, _ = state.rhythm(matrix)
        buys = state.buying.alive(x, last, since) * (1 - state.buying.silent(x, since, state.horizon / 7.0))
        return _unsure(1 - buys)
    assert state.design is not None and state.forest is not None
    linear = logistic_chance(state, matrix)
    blended = _unsure(0.5 * (linear + state.forest.chance(matrix)))
    slope, shift = state.numbers["calibrator"]
    odds = np.log(blended / (1 - blended))
    return _unsure(sigmoid(slope * odds + shift))


def _unsure(chance: Array) -> Array:
    return np.asarray(np.minimum(np.maximum(chance, SURE), 1 - SURE))


def logistic_chance(state: Leaving, matrix: Array) -> Array:
    """Return the chance by the spline logistic alone."""
    assert state.design is not None
    return sigmoid(state.design.rows(matrix) @ state.weights[:-1] + state.weights[-1])


def banded(state: Leaving, matrix: Array, name: str) -> Array:
    """Return what is usual in each row's band."""
    values = state.column(matrix, str(state.numbers["band"]))
    at_ = np.where(np.isnan(values), len(state.bands["edges"]) + 1, np.searchsorted(state.bands["edges"], values, side="right"))
    return np.asarray(state.bands[name][at_])


def lines_of(state: Leaving, matrix: Array) -> Array:
    """Return the cumulative hazard of every row at 0 and at the end of every period; no columns where time is not known."""
    if not len(state.hazard.plain):
        return np.zeros((len(matrix), 0))
    if state.how != "rhythm":
        return state.hazard.hazards(matrix)
    assert state.buying is not None
    x, _, since, _ = state.rhythm(matrix)
    stay = np.stack([state.buying.stays(x, since, days / 7.0) for days in state.hazard.edges], 1)
    return np.asarray(-np.log(np.clip(stay, 1e-12, 1.0)))


def staying(state: Leaving, matrix: Array, leaves: Array, *, lines: Array) -> dict[str, Array]:
    """Return the chance to be there after each number of days ahead, the median and two quantiles of the days until leaving.

    Silence (orders) may have begun already: that is the chance to leave now, and what follows is given that it has not. A membership's
    hazard is scaled so that it agrees with the chance to leave within the horizon. A flag's runs on the time one has been a customer.
    """
    if not lines.shape[1]:
        return {}
    edges = state.hazard.edges
    now = -np.log1p(-leaves)
    if state.mode == FLAG:
        been = state.known(matrix, "member_days")[:, None]
        edges, before = np.concatenate([edges, edges[-1] + YEAR * np.arange(1, 11)]), edges
        there = at(before, lines, been + edges)  # the first of the edges is 0
        lines = there - there[:, :1]
    elif state.mode == MEMBERSHIP:
        told = at(edges, lines, np.array([state.horizon]))[:, 0]
        lines = lines * (now / np.maximum(told, 1e-12))[:, None]
    else:
        lines = lines + now[:, None]
    found = dict(zip((f"stays_{days}" for days in AHEAD), np.exp(-at(edges, lines, np.array(AHEAD, "f8"))).T, strict=True))
    return found | dict(zip(("days", "earliest", "latest"), when(edges, lines, -np.log1p(-np.array([0.5, 0.1, 0.9]))), strict=True))


def from_start(state: Leaving, lines: Array) -> dict[str, Array]:
    """Return, of a flag with known lengths, the days one like this stays in all and the chance to stay the first year."""
    edges = state.hazard.edges
    there = np.exp(-lines)
    return {"lifetime_days": (there[:, 1:] * np.diff(edges)).sum(1), "stays_year": np.exp(-at(edges, lines, np.array([YEAR]))[:, 0])}


def money(state: Leaving, matrix: Array, leaves: Array, *, stays: Array | None = None) -> dict[str, Array]:
    """Return value, its 80 % interval, value at risk, threshold, gain and whether to act; nothing where no money is known."""
    yearly, value = yearly_money(state, matrix, leaves, stays=stays)
    if yearly is None or value is None:
        return {}
    saved, cost = float(state.numbers["saved"]), float(state.numbers["offer_cost"])
    group = np.searchsorted(state.ratio["edges"], value) if state.ratio else np.zeros(len(value), int)
    low, high = (state.ratio[name][group] if state.ratio else np.full(len(value), other) for name, other in (("low", 0.0), ("high", 2.0)))
    gain = leaves * saved * yearly - cost
    return {
        "value": value,
        "value_lo80": value * np.minimum(low, 1.0),
        "value_hi80": value * np.maximum(high, 1.0),
        "value_at_risk": leaves * yearly,
        "threshold": np.minimum(cost / np.maximum(saved * yearly, 1e-9), 1.0),  # at one no offer ever pays
        "gain": gain,
        "act": (gain > 0).astype("f8"),
    }


def yearly_money(state: Leaving, matrix: Array, leaves: Array, *, stays: Array | None = None) -> tuple[Array | None, Array | None]:
    """Return what a year of staying brings, and what is expected of the next year as things stand; None where no money is known."""
    fee = state.numbers.get("fee")
    if fee is not None:
        yearly = 12.0 * np.maximum(state.known(matrix, fee), 0.0)
        return yearly, yearly * (0.5 * (1 + stays) if stays is not None else 1 - leaves)
    if state.buying is not None and state.buying.q > 1:
        x, last, since, mean = state.rhythm(matrix)
        each = state.buying.money(x, mean)
        yearly = state.buying.rate(x, since) * (YEAR / 7.0) * each
        value = state.buying.expected(x, last, since, YEAR / 7.0) * each
        if state.money is not None:
            value = 0.5 * (value + _grown(state, matrix))
        return yearly, value
    if state.money is not None:
        value = _grown(state, matrix)
        return value / np.maximum(1 - leaves, 0.05), value
    if "value" in state.bands:
        value = banded(state, matrix, "value") * YEAR / state.horizon
        return value / np.maximum(1 - leaves, 0.05), value
    return None, None


def _grown(state: Leaving, matrix: Array) -> Array:
    assert state.money is not None
    return np.asarray(np.exp(np.minimum(state.money.raw(matrix), 50.0)) * YEAR / state.horizon)


def tested(state: Leaving, matrix: Array, told: Mapping[str, Array]) -> dict[str, Array]:
    """Return the uplift and, in its light, whether to act: unknown where a test did not say that an offer helps."""
    if state.uplift is None:
        return {"act": np.full(len(matrix), 2.0)} if "act" in told and state.numbers.get("tested") else {}
    rows = matrix[:, state.numbers["uplift_columns"]]
    gain = state.uplift.predict(rows)
    low, high = state.uplift.interval(rows)
    found = {"uplift": np.clip(gain, -1.0, 1.0), "uplift_lo90": low, "uplift_hi90": high}
    if "gain" in told:
        worth = told["value_at_risk"] / np.maximum(told["probability"], 1e-9)
        pays = gain * worth - float(state.numbers["offer_cost"])
        found |= {"gain": pays, "act": (pays > 0).astype("f8")}
    return found


def everything(state: Leaving, matrix: Array) -> dict[str, Array]:
    """Return every number of the answer for rows of the matrix; `act` is a number of ACTS."""
    leaves = chance(state, matrix)
    lines = lines_of(state, matrix)
    stays = staying(state, matrix, leaves, lines=lines)
    told = {"probability": leaves} | stays | money(state, matrix, leaves, stays=stays.get("stays_365"))
    if state.mode == FLAG and stays:
        told |= from_start(state, lines)
    return told | tested(state, matrix, told)


def kept(state: Leaving) -> dict[str, Array]:
    """Return the usual answers of every known customer, worked out ahead so that asking for them is a look-up."""
    parts = [everything(state, state.matrix[start : start + CHUNK]) for start in range(0, len(state.matrix), CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]).astype("f4") for name in parts[0]} if parts else {}


def contributions(state: Leaving, matrix: Array) -> Array:
    """Return what each column adds to the log-odds of leaving by the trees: exact Shapley values (rows, columns)."""
    if state.forest is None:
        return np.zeros((len(matrix), len(state.columns.names)))
    return state.forest.trees.shapley(matrix, np.arange(matrix.shape[1]))


def reasons(state: Leaving, matrix: Array, added: Array) -> tuple[Array, Array]:
    """Return in words what is associated with leaving and with staying: at most three concepts each, strongest first."""
    labels, of = state.concepts
    summed = added @ (of[:, None] == np.arange(len(labels))).astype("f8")
    members: list[list[int]] = [[] for _ in labels]
    for column, number in enumerate(of.tolist()):
        members[number].append(column)
    order = np.argsort(-np.abs(summed), axis=1, kind="stable").tolist()
    up, down = [], []
    for ranked, sizes, parts, values in zip(order, summed.tolist(), added.tolist(), matrix.tolist(), strict=True):
        said: tuple[list[str], list[str]] = ([], [])
        for number in ranked:
            size = sizes[number]
            if abs(size) < FAINT or (len(said[0]) == TOLD and len(said[1]) == TOLD):
                break
            side = said[0] if size > 0 else said[1]
            if len(side) < TOLD:
                column = (max if size > 0 else min)(members[number], key=parts.__getitem__)
                side.append(_told(state, labels[number], column, values[column]))
        up.append("; ".join(said[0]) or "nothing stands out")
        down.append("; ".join(said[1]) or "nothing stands out")
    return _texts(up), _texts(down)


def _told(state: Leaving, concept: str, column: int, value: float) -> str:
    name = state.columns.names[column].removeprefix(PREFIX).replace("_", " ")
    levels = state.columns.levels[column]
    number = f"{value:,.0f}" if abs(value) >= 20 else f"{value:.2g}"
    said = "unknown" if number == "nan" else levels[int(value)] if levels else number
    return f"{concept}: {said}" if name == concept else f"{concept} ({name} {said})"


def _texts(values: Sequence[str]) -> Array:
    found = np.empty(len(values), object)
    found[:] = values
    return found
