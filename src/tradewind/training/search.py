"""Look for better knobs of a recipe under a budget of processor seconds; every trial is handed out as it ends."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.core.errors import Cancelled
from tradewind.core.model import SILENT, Knob, Progress, Recipe, settle
from tradewind.core.schema import Role
from tradewind.core.table import Table
from tradewind.training.split import Fold, periods, rolling_origin

if TYPE_CHECKING:
    import optuna

TRIAL = "trial/"
"""What the names of handed-out trials begin with."""

NEVER = frozenset({"threads", "horizon"})  # they say how much is asked, not how well it is learned
OVER = 1.5  # of the budget: a trial that would end, or ends, past it does not count
MOST_TRIALS = 500
MOST_FAILED = 5  # failures in a row before anything worked
MOST_STALE = 20  # suggestions in a row that were tried before: there is nothing left to try
STARTUP = 8  # trials at random before the sampler learns from them


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of knobs that was tried: `state` is done, pruned (too poor or too slow to finish) or failed."""

    recipe: str
    number: int
    params: Mapping[str, Any]
    value: float | None  # WAPE of the median over all blocks; of a pruned one, over those it finished
    seconds: float  # of the processor
    state: str
    error: str = ""

    def to_bytes(self) -> bytes:
        """Write the trial as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Trial:
        """Read a trial from plain data; what else is there is passed over."""
        value = said["value"]
        return cls(
            str(said["recipe"]),
            int(said["number"]),
            dict(said["params"]),
            None if value is None else float(value),
            float(said["seconds"]),
            str(said["state"]),
            str(said.get("error", "")),
        )


def search(
    recipe: Recipe,
    table: Table,
    *,
    horizon: int,
    folds: int,
    seconds: float,
    seed: int = 0,
    fixed: Mapping[str, Any] | None = None,
    before: Sequence[Trial] = (),
    progress: Progress = SILENT,
) -> tuple[dict[str, Any], list[Trial]]:
    """Return the best knobs that were found, the given ones where nothing beat them, and every trial.

    A trial is the WAPE of the median over the last `folds` blocks of `table`: cut it first with `early`, so that no block that
    decides anything else is looked at. `fixed` are knobs the user chose, `before` the trials of an earlier, stopped run: they count
    against the budget and are not done twice. Raises LearnFailed where the table is too short.
    """
    given = settle(recipe.knobs, fixed or {})
    trials = [trial for trial in before if trial.recipe == recipe.name]
    knobs = searched(recipe.knobs, fixed or {})
    if not knobs:
        return given, trials
    run = _Run(recipe, list(rolling_origin(table, folds=folds, horizon=horizon)), seconds, seed, given)
    study = _study(knobs, trials, seed)
    while _more(trials, seconds, folds):
        asked = study.ask(_space(knobs)) if trials else None
        params = given | (asked.params if asked is not None else {})
        known = next((trial for trial in trials if dict(trial.params) == params), None)
        trial = known or run.one(len(trials), params, trials, asked)
        _tell(study, asked, trial, knobs)
        if known is not None:
            run.stale += 1
            if run.stale >= MOST_STALE:
                break
            continue
        run.stale = 0
        trials.append(trial)
        progress.keep(f"{TRIAL}{recipe.name}/{trial.number}", trial.to_bytes())
        progress("search", min(_spent(trials) / seconds, 1.0) if seconds > 0 else 1.0, _worded(recipe.name, trials))
    return best(trials, given), trials


def early(table: Table, *, folds: int, horizon: int) -> Table:
    """Return the table without its last `folds` blocks of `horizon` periods and all that comes later: what a search may look at."""
    dates = periods(table, table.schema.of(Role.TARGET)[0])
    last = dates[max(len(dates) - folds * horizon - 1, 0)]
    return table.take(table.column(table.schema.time or "date") <= last)


def searched(knobs: Sequence[Knob], fixed: Mapping[str, Any]) -> tuple[Knob, ...]:
    """Return the knobs that a search may turn: with a range or choices, not chosen by the user, not opted out."""
    return tuple(
        knob
        for knob in knobs
        if knob.tune
        and knob.name not in NEVER
        and knob.name not in fixed
        and (knob.choices or isinstance(knob.default, bool) or (knob.low is not None and knob.high is not None))
    )


def best(trials: Sequence[Trial], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the knobs of the best finished trial; the given ones where they are as good, or nothing was finished."""
    done = [trial for trial in trials if trial.state == "done" and trial.value is not None]
    return dict(min(done, key=lambda trial: (trial.value or 0.0, trial.number)).params) if done else dict(given)


@dataclass(slots=True)
class _Run:
    """What every trial of one search shares."""

    recipe: Recipe
    blocks: list[Fold]
    seconds: float
    seed: int
    given: Mapping[str, Any]
    stale: int = 0

    def one(self, number: int, params: Mapping[str, Any], trials: Sequence[Trial], asked: optuna.Trial | None) -> Trial:
        """Fit and score one set of knobs, block by block; a training library's error ends the trial and not the search."""
        began, spent = _clock(), _spent(trials)
        missed = total = 0.0
        state, error, value = "done", "", None
        try:
            for done, block in enumerate(self.blocks, 1):
                said = self.recipe.predict(self.recipe.fit(block.seen, params, self.seed), block.asked)
                missed += float(np.abs(block.truth - said.column("p50").astype("f8")).sum())
                total += float(np.abs(block.truth).sum())
                value = missed / total if total > 0 and np.isfinite(missed) else None
                left = len(self.blocks) - done
                if not np.isfinite(missed) or (value is None and not left):
                    state, error = "failed", "the forecast is not a number, or nothing happened in the blocks"
                    break
                if self._too_long(spent, _clock() - began, done) or (left and value is not None and _too_poor(asked, value, done)):
                    state = "pruned"
                    break
        except Cancelled:
            raise
        except Exception as found:  # noqa: BLE001 - whatever a library raises of these knobs, the next ones may work
            state, error, value = "failed", f"{type(found).__name__}: {found}"[:300], None
        return Trial(self.recipe.name, number, dict(params), value, round(_clock() - began, 4), state, error)

    def _too_long(self, spent: float, mine: float, done: int) -> bool:
        return spent + mine * len(self.blocks) / done > OVER * self.seconds


def _too_poor(asked: optuna.Trial | None, value: float, done: int) -> bool:
    if asked is None:
        return False
    asked.report(value, done)
    return bool(asked.should_prune())


def _more(trials: Sequence[Trial], seconds: float, folds: int) -> bool:
    """Tell whether another trial may begin: at least one block of it must be likely to fit."""
    if not trials:
        return True
    if len(trials) >= MOST_TRIALS or (len(trials) >= MOST_FAILED and all(trial.state == "failed" for trial in trials)):
        return False
    usual = float(np.median([trial.seconds for trial in trials if trial.state == "done"] or [0.0])) / folds
    spent = _spent(trials)
    return spent < seconds and spent + usual <= OVER * seconds


def _spent(trials: Sequence[Trial]) -> float:
    return sum(trial.seconds for trial in trials)


def _clock() -> float:
    """Return the processor seconds of this process and of the children it waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _space(knobs: Sequence[Knob]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space: dict[str, Any] = {}
    for knob in knobs:
        if knob.choices or isinstance(knob.default, bool):
            space[knob.name] = CategoricalDistribution(knob.choices or (False, True))
        elif isinstance(knob.default, int):
            space[knob.name] = IntDistribution(int(knob.low or 0), int(knob.high or 0), log=knob.log)
        else:
            space[knob.name] = FloatDistribution(float(knob.low or 0), float(knob.high or 0), log=knob.log)
    return space


def _study(knobs: Sequence[Knob], trials: Sequence[Trial], seed: int) -> optuna.Study:
    """Return a study in memory that knows the earlier trials; a resumed one draws on from other random numbers."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed + len(trials), n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler, pruner=optuna.pruners.MedianPruner(n_startup_trials=4))
    for trial in trials:
        _tell(study, None, trial, knobs)
    return study


def _tell(study: optuna.Study, asked: optuna.Trial | None, trial: Trial, knobs: Sequence[Knob]) -> None:
    """Let the study know how a trial ended: one it asked for, or one that was made without it."""
    import optuna

    states = {"done": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED}
    state = states.get(trial.state, optuna.trial.TrialState.FAIL)
    value = trial.value if trial.state == "done" else None
    if asked is not None:
        study.tell(asked, value, state)
        return
    params = {knob.name: trial.params[knob.name] for knob in knobs}
    with contextlib.suppress(ValueError):  # given knobs that lie outside of what is searched teach the sampler nothing
        study.add_trial(optuna.trial.create_trial(state=state, value=value, params=params, distributions=_space(knobs)))


def _worded(name: str, trials: Sequence[Trial]) -> str:
    done = [trial.value for trial in trials if trial.state == "done" and trial.value is not None]
    return f"{name}: {len(trials)} trials" + (f", best WAPE {min(done):.4f}, given {trials[0].value or 0:.4f}" if done else "")
