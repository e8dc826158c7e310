"""Sums of forecasts with honest bounds: the same sums are taken over the residual paths of past blocks, never over bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, NotFound
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.forecast.memory import Memory
from tradewind.models._kit.intervals import LEVELS
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
WHOLE = ("total", "total-period")
SPANS = ("date", "week", "month")
PRIOR = 24.0  # sums after which their own errors weigh as much as a normal distribution of the same spread
LEAST_BLOCKS = 2
STUDENT = 2.4  # (t / normal)^2 of the 80 % interval is about 1 + this / degrees of freedom
LEAST = 8  # sums of past blocks; where there are fewer, how errors go together is also read off finer sums


@dataclass(frozen=True, slots=True)
class Paths:
    """Asked rows: series number, periods ahead, mean and standard deviation of each."""

    series: Array
    ahead: Array
    mean: Array
    spread: Array


def total(panel: Panel, memory: Memory, horizon: int, rows: Paths, by: Sequence[str]) -> Table:
    """Return one row per group of `by` with mean, p50 and bounds of the sum. Raises NotFound and BadValue.

    `by` names keys, static texts and at most one of date, week, month; without one all the time asked is one sum. A group's error is
    measured in units of the spread its parts would have if they erred independently. How large such errors were comes from the same
    sums over past blocks, pooled over groups: errors that go together show in it as they were.
    """
    labels, span = _labels(panel, by)
    stamp = _stamps(panel, rows.ahead, span)
    keys = [label[rows.series] for label in labels.values()] + [stamp]
    group, first = _grouped(keys)
    mean = np.bincount(group, rows.mean)
    spread = np.sqrt(np.bincount(group, rows.spread**2))
    past = _past(memory, labels, rows, stamp, horizon)
    errors = np.concatenate([block.sums() for block in past]) if past else np.empty(0)
    taus = np.array(list(LEVELS.values()))
    scale = _scale(past, errors, float(np.bincount(group).mean()))
    wider = _one_more_block([block.sums() for block in past])
    bounds = np.maximum(mean[:, None] + spread[:, None] * wider * _quantiles(errors, scale, taus)[None], 0)
    columns = {name: key[first] for name, key in zip(labels, keys, strict=False)}
    if span:
        dates = panel.clock.date(panel.first + panel.cut + rows.ahead[first]).astype("M8[D]")
        weekday = (dates.astype("i8") + 3) % 7
        columns[span] = dates - weekday if span == "week" else dates.astype("M8[M]").astype("M8[D]") if span == "month" else dates
    described = [Column(name, Role.ENTITY, Type.TEXT) for name in labels]
    described += [Column(span, Role.TIME, Type.DATE)] if span else []
    described += [Column(name, Role.OUTPUT, Type.NUMBER, minimum=0) for name in ("mean", *LEVELS)]
    columns |= {"mean": mean} | {name: bounds[:, at] for at, name in enumerate(LEVELS)}
    return Table.from_columns(columns, Schema(tuple(described), (*labels, *([span] if span else []))))


def _labels(panel: Panel, by: Sequence[str]) -> tuple[dict[str, Array], str]:
    """Return each series' group names, and the span of time of one sum."""
    spans = [name for name in by if name in (*SPANS, *WHOLE) and name not in panel.keys]
    if len(spans) > 1:
        raise BadValue(f"sums are over one span of time, not {' and '.join(spans)}", hint=f"choose one of {', '.join(SPANS)}, or none")
    labels: dict[str, Array] = {}
    for name in by:
        if name in spans:
            continue
        if name in panel.keys:
            labels[name] = panel.keys[name]
        elif name in panel.labels:
            labels[name] = panel.labels[name]
        else:
            raise NotFound(f"series have no {name!r}", hint=f"sum by: {', '.join([*panel.keys, *panel.labels, *SPANS, *WHOLE])}")
    return labels, next((name for name in spans if name in SPANS), "")


def _stamps(panel: Panel, ahead: Array, span: str) -> Array:
    """Return a number for the span of time each asked row is summed into."""
    if not span:
        return np.zeros(len(ahead), "i8")
    if span == "date":
        return ahead.astype("i8")
    dates = panel.clock.date(panel.first + panel.cut + ahead)
    return dates.astype("M8[M]").astype("i8") if span == "month" else (dates.astype("M8[D]").astype("i8") + 3) // 7


def _grouped(keys: Sequence[Array]) -> tuple[Array, Array]:
    """Return the group of each row, in order of appearance, and each group's first row."""
    codes = np.zeros(len(keys[0]), "i8")
    for key in keys:
        _, code = np.unique(key.astype(str) if key.dtype == object else key, return_inverse=True)
        codes = codes * (int(code.max()) + 1) + code.reshape(-1)
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), "i8")
    rank[order] = np.arange(len(first))
    return rank[group.reshape(-1)], first[order]


@dataclass(frozen=True, slots=True)
class _Block:
    """What came in a past block against what was said, cell by cell of the sums that are asked for."""

    group: Array
    series: Array
    ahead: Array
    error: Array
    spread: Array

    def sums(self, *within: Array) -> Array:
        """Return the errors of the sums, or of finer ones, in units of independent spread."""
        group = _grouped([self.group, *within])[0]
        error, own = np.bincount(group, self.error), np.sqrt(np.bincount(group, self.spread**2))
        found: Array = error[own > 0] / own[own > 0]
        return found

    def parts(self, *within: Array) -> Array:
        """Return of how many equal parts each of the sums, or finer ones, is made: what whole likeness would multiply variance by."""
        group = _grouped([self.group, *within])[0]
        whole, square = np.bincount(group, self.spread), np.bincount(group, self.spread**2)
        found: Array = whole[square > 0] ** 2 / square[square > 0]
        return found


def _past(memory: Memory, labels: dict[str, Array], rows: Paths, stamp: Array, horizon: int) -> list[_Block]:
    """Return the cells of the same sums in past blocks."""
    asked = rows.ahead < horizon
    if memory.truth.shape[1] == 0 or not asked.any():
        return []
    cell = np.unique(np.stack([rows.series[asked], rows.ahead[asked], stamp[asked]], 1), axis=0)
    series, ahead, period = cell.T
    found = []
    for block in range(memory.truth.shape[1]):
        truth, mean, spread = (getattr(memory, name)[series, block, ahead].astype("f8") for name in ("truth", "mean", "spread"))
        known = np.isfinite(truth) & np.isfinite(mean)
        if known.mean() < 0.5:
            continue
        group, _ = _grouped([label[series[known]] for label in labels.values()] + [period[known]])
        found.append(_Block(group, series[known], ahead[known], (truth - mean)[known], spread[known]))
    return found


def _scale(past: Sequence[_Block], errors: Array, parts: float) -> float:
    """Return the root mean square of standardised errors of the sums.

    Where past sums are few, finer ones stand in for those that are missing: the sums of each series over its periods and of each
    period over its series tell how alike errors are along either; errors of another series in another period are taken to be alike
    as the product of the two, between not at all and as much as either.
    """
    if not past:
        return float(np.sqrt(1 + 0.5 * (parts - 1)))  # nothing is known of how errors go together: half alike
    came = float((errors**2).mean()) if len(errors) else 0.0
    if len(errors) >= LEAST:
        return float(np.sqrt(came))

    def pooled(take: Callable[[_Block], Array]) -> float:
        return float(np.concatenate([take(block) for block in past]).mean())

    own = pooled(lambda block: block.sums(block.series, block.ahead) ** 2)
    whole = pooled(lambda block: block.parts())
    along, across = pooled(lambda block: block.parts(block.series)), pooled(lambda block: block.parts(block.ahead))
    time = _likeness(pooled(lambda block: block.sums(block.series) ** 2), own, along)
    place = _likeness(pooled(lambda block: block.sums(block.ahead) ** 2), own, across)
    finer = own * (1 + time * (along - 1) + place * (across - 1) + time * place * max(whole - along - across + 1, 0))
    return float(np.sqrt((len(errors) * came + (LEAST - len(errors)) * finer) / LEAST))


def _likeness(summed: float, own: float, parts: float) -> float:
    """Return the correlation, 0-1, that makes the variance of sums of so many parts what it was."""
    if parts <= 1 or own <= 0:
        return 0.0
    return float(np.clip((summed / own - 1) / (parts - 1), 0.0, 1.0))


def _one_more_block(blocks: list[Array]) -> float:
    """Return by how much the next block's errors are wider than those of the past ones together.

    What all sums of a block have in common is drawn anew for the next block, and a few past draws do not say how wide that is: this part
    of the variance takes the place of a t distribution's; what differs within a block is left as it is.
    """
    blocks = [block for block in blocks if len(block) > 1]
    count = len(blocks)
    if count < LEAST_BLOCKS:
        return 1.0
    within = float(np.mean([block.var(ddof=1) for block in blocks]))
    each = float(np.mean([len(block) for block in blocks]))
    between = max(float(np.var([block.mean() for block in blocks], ddof=1)) - within / each, 0.0)
    if between + within <= 0:
        return 1.0
    drawn = (1 + 1 / count) * (1 + STUDENT / (count - 1))
    return float(np.sqrt((within + between * drawn) / (within + between)))


def _quantiles(errors: Array, scale: float, taus: Array) -> Array:
    """Return the standardised error at each probability: of past sums, drawn towards a normal distribution where they are few."""
    normal = scale * np.array([NormalDist().inv_cdf(float(tau)) for tau in taus])
    if len(errors) < LEAST:
        return normal
    rank = (np.arange(len(errors)) + 0.5) / len(errors)
    own = np.interp(taus, rank, np.sort(errors))
    edge = (taus < rank[0]) | (taus > rank[-1])
    own = np.where(edge, np.where(taus > 0.5, np.maximum(own, normal), np.minimum(own, normal)), own)
    share = len(errors) / (len(errors) + PRIOR)
    found: Array = share * own + (1 - share) * normal
    return found
