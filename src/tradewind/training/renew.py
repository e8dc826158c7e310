"""Move a state on to new actuals without refitting, and lay its forecast of them beside what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, LearnFailed
from tradewind.core.model import SILENT, Changes, Expands, Progress, Recipe, State, Updates
from tradewind.core.schema import Role
from tradewind.core.table import Array, Table
from tradewind.training import score
from tradewind.training.split import described, periods

GOLDEN = 32
SHOWN = ("mean", "p50", "lo80", "hi80", "lo95", "hi95")


@dataclass(frozen=True, slots=True)
class Renewed:
    """The moved state at rest, its golden questions and answers, and how its forecast had done."""

    parts: Mapping[str, bytes]
    golden: Mapping[str, Table]
    table: Table  # keys, date, actual, mean, p50 and bounds: what the old state had forecast, beside what came
    compared: Mapping[str, Any]  # wape, bias, coverage_80, coverage_95, rows, from, to, notes
    facts: Mapping[str, Any]  # what a manifest says of the new data


def newest(table: Table) -> np.datetime64:
    """Return the last date whose outcome is known; raises LearnFailed where none is."""
    dates = periods(table, _target(table))
    if not len(dates):
        raise LearnFailed("no outcome is known at all", hint="load a table with actuals")
    return np.datetime64(dates[-1])


def renew(recipe: Recipe, parts: Mapping[str, bytes], table: Table, *, known_to: np.datetime64, progress: Progress = SILENT) -> Renewed:
    """Return the state moved on to the end of `table`; `known_to` is the last date whose outcome it knew.

    Raises BadValue for a recipe that cannot be updated or a table with nothing newer.
    """
    if not isinstance(recipe, Updates) or not isinstance(recipe, Expands):
        raise BadValue(f"{recipe.name} cannot be updated", hint="train the model again")
    progress("compare", 0.1, "forecast against actual")
    old = recipe.load(parts)
    fresh, notes = _fresh(recipe, old, table, known_to)
    said = recipe.predict(old, fresh.select([name for name in fresh.names if name != "actual"])) if len(fresh) else None
    progress("update", 0.4, recipe.name)
    moved = dict(recipe.dump(recipe.update(old, table)))
    progress("check", 0.9, "golden questions")
    compared = {**_scores(fresh.column("actual"), said), **_span(fresh, table, known_to), "notes": notes}
    return Renewed(moved, golden(recipe, moved), _beside(fresh, said), compared, described(table))


def renew_plain(
    recipe: Recipe, parts: Mapping[str, bytes], table: Table, *, asked: Table | None = None, progress: Progress = SILENT
) -> Renewed:
    """Return the state of what is no forecast on a grid, moved on to `table`; `asked` are its golden questions where it expands none.

    Raises BadValue for a recipe that cannot be updated.
    """
    if not isinstance(recipe, Updates):
        raise BadValue(f"{recipe.name} cannot be updated", hint="train the model again")
    progress("update", 0.2, recipe.name)
    old = recipe.load(parts)
    new = recipe.update(old, table)
    moved = dict(recipe.dump(new))
    progress("check", 0.9, "golden questions")
    changed = recipe.changes(old, new) if isinstance(recipe, Changes) else Table.from_columns({"recipe": np.array([recipe.name], object)})
    facts = {"rows": len(table), "digest": table.digest()}
    standing = getattr(recipe, "standing", None)
    notes = standing(new) if standing is not None else []
    return Renewed(moved, golden_of(recipe, moved, asked), changed, {"rows": len(table), "notes": notes}, facts)


def golden_of(recipe: Recipe, parts: Mapping[str, bytes], questions: Table | None) -> dict[str, Table]:
    """Return golden questions and answers: of everything that can be asked, or else of some of these questions."""
    if isinstance(recipe, Expands) or questions is None:
        return golden(recipe, parts)
    asked = questions.take(np.unique(np.linspace(0, len(questions) - 1, GOLDEN).astype(int)))
    return {"asked": asked, "answers": recipe.predict(recipe.load(parts), asked)}


def golden(recipe: Recipe, parts: Mapping[str, bytes]) -> dict[str, Table]:
    """Return questions and the answers that dumped parts give to them: what a worker must reproduce before it serves."""
    if not isinstance(recipe, Expands):
        raise LearnFailed(f"{recipe.name} cannot say what it can be asked")
    state = recipe.load(parts)
    asked = recipe.expand(state, None, {})
    asked = asked.take(np.unique(np.linspace(0, len(asked) - 1, GOLDEN).astype(int)))
    return {"asked": asked, "answers": recipe.predict(state, asked)}


def _fresh(recipe: Any, old: State, table: Table, known_to: np.datetime64) -> tuple[Table, list[str]]:
    """Return the rows the old state can be held to: keys, date and `actual`, as it would have been asked; and what was left out."""
    import polars as pl

    time, target = table.schema.time or "date", _target(table)
    known = pl.col(target).is_not_null() & pl.col(target).is_finite() & (pl.col(time) > pl.lit(known_to.astype("M8[D]").item()))
    for name in table.schema.of(Role.AVAILABLE):
        known &= pl.col(name).fill_null(1) != 0
    new = table.frame.filter(known)
    if not new.height:
        raise BadValue(f"there is no actual newer than {known_to}", hint="load newer actuals first")
    ahead = table.frame.filter((pl.col(time) > known_to.astype("M8[D]").item()) & (pl.col(time) <= new[time].max()))[time].n_unique()
    notes: list[str] = []
    asked, shorter = _asked(recipe, old, ahead)
    keys = [name for name in asked.names if name != time]
    shared = [name for name in keys if name in new.columns]
    actual = new.select([*(pl.col(name).cast(pl.String) for name in shared), time, pl.col(target).cast(pl.Float64).alias("actual")])
    joined = asked.frame.join(actual, on=[*shared, time], how="inner", maintain_order="left")
    if shorter:
        notes.append(f"the version could look {asked.frame[time].n_unique()} of {ahead} new periods ahead: later actuals are not compared")
    inside = new.filter(pl.col(time) <= asked.frame[time].max()).height
    if joined.height < inside:
        notes.append(f"{inside - joined.height} new actuals are of series the version did not forecast, and are not compared")
    return Table.from_frame(joined, asked.schema), notes


def _asked(recipe: Any, old: State, ahead: int) -> tuple[Table, bool]:
    """Return the questions of the next periods, and whether fewer than wanted can be asked."""
    try:
        return recipe.expand(old, ahead, {}), False
    except BadValue:  # further than it can look
        return recipe.expand(old, None, {}), True


def _scores(actual: Array, said: Table | None) -> dict[str, float | None]:
    if said is None:
        return dict.fromkeys(("wape", "bias", "coverage_80", "coverage_95"))
    found = {"wape": score.wape(actual, said.column("p50")), "bias": score.bias(actual, said.column("mean"))}
    for level in (80, 95):
        found[f"coverage_{level}"] = score.coverage(actual, said.column(f"lo{level}"), said.column(f"hi{level}"))
    return {name: round(value, 6) if np.isfinite(value) else None for name, value in found.items()}


def _span(fresh: Table, table: Table, known_to: np.datetime64) -> dict[str, Any]:
    dates = periods(table, _target(table))
    new = dates[dates > known_to]
    return {"rows": len(fresh), "from": str(new[0]), "to": str(new[-1])}


def _beside(fresh: Table, said: Table | None) -> Table:
    columns = {name: fresh.column(name) for name in fresh.names}
    numbers = {name: said.column(name) if said is not None else np.zeros(0) for name in SHOWN}
    return Table.from_columns(columns | numbers, fresh.schema)


def _target(table: Table) -> str:
    return table.schema.of(Role.TARGET)[0]
