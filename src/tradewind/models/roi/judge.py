"""How recipes of roi are examined: the outcome of periods that were held out, at the spend that was paid in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import WHOLE, Exam, Marks
from tradewind.core.table import Array, Table
from tradewind.models._kit.intervals import LEVELS
from tradewind.models.roi.media import EXPOSURE, FEWEST, SPEND

MOST = 13  # periods of one exam
TOGETHER = 4  # periods that err together
PART = 10  # of the history that an exam takes at most: one in ten


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return the last blocks of periods one by one, each after what was learned from; raises LearnFailed where there are too few.

    Asked are the spend of every channel and the whole outcome, with the controls as they came: what is examined is what media and
    controls explain, not whether these can be foreseen.
    """
    tested = np.array([value is not None for value in table.column("test").tolist()]) if "test" in table else np.zeros(len(table), bool)
    outcome = table.column("outcome").astype("f8")
    dates = table.column("date").astype("M8[D]")
    known = np.unique(dates[~tested & np.isfinite(outcome)])
    size = min(MOST, len(known) // PART)
    if "geo" in table and len(set(table.column("geo").tolist()) - {None}) > 1:
        folds = 1  # geos are drawn exactly, a minute each time
    folds = min(folds, (len(known) - FEWEST) // max(size, 1))
    if size < 1 or folds < 1:
        raise LearnFailed(
            f"{len(known)} periods are too few to hold any out", hint=f"load at least {FEWEST + PART} periods, better two years"
        )
    found = []
    for fold in range(folds, 0, -1):
        first = known[len(known) - fold * size]
        after = known[min(len(known) - (fold - 1) * size, len(known) - 1)] if fold > 1 else None
        ends = table.column("test_end").astype("M8[D]") if tested.any() else dates
        seen = np.where(tested, ends < first, dates < first)
        held = ~tested & (dates >= first) & np.isfinite(outcome)
        if after is not None:
            held &= dates < after
        whole = together(table.take(held))
        before = table.take(seen)
        found.append(Exam(before, asked(whole, silent=_silent(before)), whole.select(["date", "outcome"])))
    return found


def together(held: Table) -> Table:
    """Return a row per date, geos added up: money and outcomes summed, controls averaged. The baseline knows no geos."""
    if "geo" not in held:
        return held
    dates, place = np.unique(held.column("date"), return_inverse=True)
    count = np.bincount(place)
    columns: dict[str, Array] = {"date": dates}
    for name in held.names:
        values = held.column(name)
        if name in ("date", "geo") or name.startswith("test") or values.dtype.kind not in "biuf":
            continue
        summed = np.bincount(place, np.nan_to_num(values.astype("f8")))
        columns[name] = summed if name in ("outcome", "rows") or name.startswith((SPEND, EXPOSURE)) else summed / count
    return Table.from_columns(columns, held.schema)


def _silent(seen: Table) -> set[str]:
    """Return the channels that spent nothing while the outcome was known: learning leaves them out, so they cannot be asked about."""
    dates, known = seen.column("date").astype("M8[D]"), np.isfinite(seen.column("outcome").astype("f8"))
    geos = seen.column("geo").astype(str) if "geo" in seen else np.full(len(seen), "")
    rows = dates <= dates[known].max()
    for geo in np.unique(geos):
        here = geos == geo
        if (here & known).any():
            rows &= ~here | (dates >= dates[here & known].min())
    spends = [name for name in seen.names if name.startswith(SPEND)]
    return {name.removeprefix(SPEND) for name in spends if np.nansum(seen.column(name).astype("f8")[rows]) <= 0}


def asked(held: Table, *, silent: Collection[str] = ()) -> Table:
    """Return the questions of held-out dates: a row per channel with its spend, then the whole outcome with the controls, in order.

    `silent` are channels that are not asked about.
    """
    channels = [name.removeprefix(SPEND) for name in held.names if name.startswith(SPEND)]
    channels = [name for name in channels if name not in silent]
    rows = len(held)
    fixed = ("outcome", "rows", "value", "date")
    controls = [name for name in held.names if name not in fixed and not name.startswith((SPEND, EXPOSURE, "responds_", "belief_", "test"))]
    controls = [name for name in controls if held.column(name).dtype.kind in "biuf"]
    columns: dict[str, Array] = {
        "channel": np.concatenate([np.repeat(np.array(channels, object), rows), np.full(rows, WHOLE, object)]),
        "date": np.tile(held.column("date"), len(channels) + 1),
        "spend": np.concatenate([*(np.nan_to_num(held.column(SPEND + one).astype("f8")) for one in channels), np.full(rows, np.nan)]),
    }
    for name in controls:
        columns[name] = np.concatenate([np.full(rows * len(channels), np.nan), held.column(name).astype("f8")])
    return Table.from_columns(columns)


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return how the whole outcome was foreseen: WAPE and CRPS over its mean, bias, coverage; `mean_wape` is the last year's mean."""
    truth, mean, plain, losses, inside, groups = [], [], [], [], [], []
    for place, (exam, answer) in enumerate(zip(exams, answers, strict=True)):
        held = np.flatnonzero(np.array([one == WHOLE for one in exam.asked.column("channel").tolist()]))
        actual = exam.truth.column("outcome").astype("f8")
        part = answer.take(held)
        losses.append(_crps(part, actual))
        truth.append(actual)
        mean.append(part.column("mean"))
        plain.append(_plain(exam))
        inside.append((actual >= part.column("lo80")) & (actual <= part.column("hi80")))
        parts = np.arange(len(actual)) // TOGETHER if len(exams) > 1 else np.zeros(len(actual), "i8")  # one stretch drifts as a whole
        groups.append(place * MOST + parts)
    real, said, flat = (np.concatenate(each) for each in (truth, mean, plain))
    loss = np.abs(real - said)
    size = np.abs(real).sum()
    metrics = {
        "wape": float(loss.sum() / size),
        "crps": float(np.concatenate(losses).sum() / size),
        "bias": float((said - real).sum() / size),
        "coverage_80": float(np.concatenate(inside).mean()),
        "mean_wape": float(np.abs(real - flat).sum() / size),
    }
    return Marks(metrics, loss, np.concatenate(groups))


def _crps(answer: Table, actual: Array) -> Array:
    """Return twice the mean pinball loss over the shown levels, weighted by the probability around each (Gneiting and Ranjan 2011)."""
    names = sorted(LEVELS, key=lambda name: LEVELS[name])
    levels = np.array([LEVELS[name] for name in names])
    edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
    total = np.zeros(len(actual))
    for name, level, weight in zip(names, levels, np.diff(edges), strict=True):
        gap = actual - answer.column(name)
        total += weight * 2 * np.maximum(level * gap, (level - 1) * gap)
    return total


def _plain(exam: Exam) -> Array:
    """Return the mean outcome of the last year seen, geos added up, for each row held out."""
    seen = exam.seen
    dates, outcome = seen.column("date").astype("M8[D]"), seen.column("outcome").astype("f8")
    late = np.isfinite(outcome) & (dates > dates.max() - np.timedelta64(365, "D"))
    _, place = np.unique(dates[late], return_inverse=True)
    return np.full(len(exam.truth), np.bincount(place, outcome[late]).mean())
