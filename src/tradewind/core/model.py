"""A model is a business question; a recipe is one way to learn its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from tradewind.core.errors import BadValue
from tradewind.core.schema import Schema
from tradewind.core.table import Array, Table

State = Any
"""What a recipe learned, in memory: a class of the recipe's own."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One thing that can be turned in a recipe: validation, search space and documentation at once."""

    name: str
    default: float | int | str | bool
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    log: bool = False
    meaning: str = ""
    tune: bool = True  # a knob search may turn it, where it has a range or choices

    def check(self, value: Any) -> Any:
        """Return the value, or raise BadValue."""
        if self.choices:
            if value not in self.choices:
                raise BadValue(f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}")
            return value
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise BadValue(f"{self.name} must be true or false")
            return value
        if isinstance(self.default, str):
            if not isinstance(value, str):
                raise BadValue(f"{self.name} must be text, not {value!r}")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadValue(f"{self.name} must be a number, not {value!r}")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise BadValue(f"{self.name} must lie between {self.low} and {self.high}, not {value}")
        return int(value) if isinstance(self.default, int) else float(value)


def settle(knobs: tuple[Knob, ...], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return every knob's value: the given one, checked, or the default; an unknown name is an error."""
    known = {knob.name: knob for knob in knobs}
    for name in params:
        if name not in known:
            raise BadValue(f"there is no knob {name!r}", hint=f"knobs: {', '.join(known) or 'none'}")
    return {name: knob.check(params[name]) if name in params else knob.default for name, knob in known.items()}


class Recipe(Protocol):
    """One way to learn a model. Optional capabilities are the protocols below: having the method is having it."""

    name: str
    knobs: tuple[Knob, ...]

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Learn a state from a modelling table. Rows without a target are the known plan of the future."""
        ...

    def predict(self, state: State, asked: Table) -> Table:
        """Answer a table of questions: one row of the model's `gives` per asked row, in the same order."""
        ...

    def dump(self, state: State) -> Mapping[str, bytes]:
        """Write the state as named bytes: ONNX, safetensors, JSON or Arrow; never code."""
        ...

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back, importing no training library."""
        ...


@runtime_checkable
class Expands(Protocol):
    """Can say which questions "everything, next `horizon` periods" stands for."""

    def expand(self, state: State, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the table of questions for every key that fits `where`; raises NotFound where none does."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """Sets its intervals from what it saw of its own errors, and can take that over from an earlier state."""

    def remember(self, state: State, earlier: State) -> State:
        """Return a freshly learned state with what an earlier one saw of its own errors, up to the fresh one's end."""
        ...


@runtime_checkable
class Explains(Protocol):
    """Can say what drove each answer."""

    def explain(self, state: State, asked: Table) -> Table:
        """Return one `driver_*` column per driver, in the unit of the answer, one row per asked row."""
        ...


@runtime_checkable
class Updates(Protocol):
    """Can take new actuals without refitting."""

    def update(self, state: State, table: Table) -> State:
        """Return the state moved on to the end of `table`."""
        ...


@runtime_checkable
class Changes(Protocol):
    """Can say what an update changed."""

    def changes(self, before: State, after: State) -> Table:
        """Return what is different after an update, one row per thing that changed."""
        ...


WHOLE = "total"
"""In `by`, alone: one row for everything."""
SPANS = ("date", "week", "month", "total-period")
"""In `by`, one at most: the time that is added up into one row; without one that is all the time asked, as `total-period` says."""


@runtime_checkable
class Totals(Protocol):
    """Can say how sure it is of sums: bounds of a sum are never sums of bounds."""

    def total(self, state: State, asked: Table, by: Sequence[str]) -> Table:
        """Return one row per group of `by`, with mean, p50 and bounds of the sum of its asked rows; raises NotFound and BadValue.

        `by` names entity keys, static text columns of the series and at most one of SPANS, or is WHOLE alone; each is a column of
        the answer: `week` and `month` hold their first day, `total-period` and WHOLE are none.
        """
        ...


@runtime_checkable
class Quantiles(Protocol):
    """Can give any quantile of its answers."""

    def quantiles(self, state: State, asked: Table, levels: Sequence[float]) -> Table:
        """Return one column per level, named by `quantile_name`, one row per asked row."""
        ...


LEAST_MAPE = "least_mape"
"""The column with the point of least expected percentage error, in the answers of who was asked for it."""


def quantile_name(level: float) -> str:
    """Return the column of a quantile: q10 for 0.1, q97.5 for 0.975."""
    return f"q{round(100 * level, 4):g}"


@runtime_checkable
class Effects(Protocol):
    """Can say what each lever does."""

    def effects(self, state: State) -> Table:
        """Return one row per key and lever: keys, `lever`, `kind` (elasticity | log lift), `effect`, lo80, hi80, lo95, hi95."""
        ...


@runtime_checkable
class Blends(Protocol):
    """Is made of other recipes of its model: what each of them learned, and how much each counts."""

    @property
    def members(self) -> tuple[str, ...]:
        """Return the recipes it may be made of."""
        ...

    def blend(self, states: Mapping[str, State], weights: Mapping[str, float], why: str = "", *, together: float | None = None) -> State:
        """Return one state of the members' states; both by recipe name, weights summing to one. `why` is what answers say of them.

        `together` (0-1) is how far the members' errors go together: what does not cancels, and intervals become narrower than theirs; None
        pools what each of them takes for possible.
        """
        ...


@runtime_checkable
class Warms(Protocol):
    """Can make ready, once, what answers are worked out from: asked of a version that is opened to serve."""

    def warm(self, state: State) -> None:
        """Make it ready inside the state; answers are the same with and without."""
        ...


@runtime_checkable
class Responds(Protocol):
    """Can say what levers would do, as draws: what planning optimises over."""

    def respond(self, state: State, request: Mapping[str, Any]) -> Mapping[str, Array]:
        """Return named arrays to a request of plain data; which ones is between a model and its planner. Raises BadValue."""
        ...


@dataclass(frozen=True, slots=True)
class Exam:
    """One held-out test: what may be learned from, what is asked, and what came."""

    seen: Table
    asked: Table
    truth: Table  # whatever the marks are given by


@dataclass(frozen=True, slots=True)
class Marks:
    """How one recipe did on all exams.

    `loss` has a number for each row that was judged, the same rows in the same order for every recipe; rows of one of `groups` err
    together. Lower is better, as for the goal's metric.
    """

    metrics: Mapping[str, float]
    loss: Array
    groups: Array


class Judge(Protocol):
    """The `judge.py` of a model that is no forecast on a regular grid: how its recipes are examined."""

    def exams(self, table: Table, *, folds: int, seed: int) -> Sequence[Exam]:
        """Return the exams, without a look into what each of them asks for; raises LearnFailed where the table allows none."""
        ...

    def marks(self, exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
        """Return how the answers to all exams did; the goal's metric is among the metrics."""
        ...


@dataclass(frozen=True, slots=True)
class Goal:
    """What good means: the metric (lower is better) and how a version must compare with its naive baseline.

    Default: beat the baseline by `by_errors` standard errors of the paired difference; below zero it is enough not to be worse by more
    than that, for questions whose answers a forecast error cannot tell apart. `at_most` is a fixed bound instead.
    """

    metric: str
    by_errors: float = 1.0
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A business question: what it is asked, what it needs, what it gives, how it is judged.

    `tables` are the business tables it can learn from, the first one required, or one of `either`. `recipes` start with the naive
    baseline. `file` names its exported manifest. Its `assemble.py`, `example.py` and, unless it is a forecast, `judge.py` are found
    beside it.
    """

    name: str
    question: str
    task: str  # forecast | decompose | detect | classify | cluster | regress | rank
    file: str
    tables: tuple[str, ...]
    asks: Schema
    needs: Schema
    gives: Schema
    goal: Goal
    recipes: tuple[str, ...]
    horizon: int | None = None  # periods asked by default, where time is asked at all
    regular: bool = False  # its modelling table is a grid of periods, without gaps
    either: tuple[str, ...] = ()  # tables of which one at least is needed, where it is not the first
    many: bool = False  # a question may have several answers, or none
    plans: str = ""  # the planner of the planning room that optimises over what it responds
    prefers: str = ""  # a recipe that serves unless another is clearly better
    serves: tuple[str, ...] = ()  # the first of these that can be learned serves, whatever foresees better: they say what levers do
    graphs: bool = True  # its versions hold ONNX graphs, or may: its workers import onnxruntime
    whole: str = ""  # a key that stands for all others together: its rows and theirs are never added up


@dataclass(frozen=True, slots=True)
class Truth:
    """A number the example world knows: ask `asked`, measure the answer, compare."""

    name: str
    asked: Table
    measure: Callable[[Table], float]
    value: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class Example:
    """A small world with known truth: what contract tests learn from and check against."""

    tables: Mapping[str, Table]
    truths: tuple[Truth, ...]
    asked: Table | None = None  # questions, where the recipes cannot say what everything is


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work a training may do; None is what the workspace's settings say, which no call can exceed.

    `folds` None is as many past blocks as the history allows to be held out: three, up to six where they are a small part of it.
    """

    folds: int | None = None
    memory_mb: int | None = None
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of a training: the winner's parts, and how every candidate did on the same folds."""

    recipe: str
    params: Mapping[str, Any]
    parts: Mapping[str, bytes]
    leaderboard: Table  # recipe, wape, mase, bias, coverage_80, seconds, ... one row per recipe
    scores: Mapping[str, float]  # the winner's metrics, and skill / skill_error against the baseline
    facts: Mapping[str, Any] = field(default_factory=dict)  # rows, span, grain, series, seed, golden inputs' names


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version at rest: its manifest (plain JSON data) and its named parts. Never code."""

    manifest: Mapping[str, Any]
    parts: Mapping[str, bytes]

    @property
    def model(self) -> str:
        """Return the model's name."""
        return str(self.manifest["model"])

    @property
    def version(self) -> int:
        """Return the version number."""
        return int(self.manifest["version"])


@dataclass(frozen=True, slots=True)
class Step:
    """How far long work has come: `fraction` 0-1 of the whole, `eta_s` seconds left or None while unknown."""

    stage: str
    fraction: float
    message: str = ""
    eta_s: float | None = None


class Progress:
    """Report steps to whoever listens, with the time left; hand over finished pieces to whoever keeps them.

    `listen` may raise Cancelled to stop the work at its next step. `keep` takes a name and bytes: a piece of work that a
    later run of the same job can start from.
    """

    __slots__ = ("_keep", "_listen", "_start")

    def __init__(self, listen: Callable[[Step], None] | None = None, keep: Callable[[str, bytes], None] | None = None) -> None:
        self._listen = listen
        self._keep = keep
        self._start = time.monotonic()

    def keep(self, name: str, data: bytes) -> None:
        """Hand over a finished piece of the work."""
        if self._keep is not None:
            self._keep(name, data)

    def __call__(self, stage: str, fraction: float, message: str = "") -> None:
        """Report one step."""
        if self._listen is None:
            return
        spent = time.monotonic() - self._start
        left = spent * (1 - fraction) / fraction if 0.02 < fraction <= 1 else None
        self._listen(Step(stage, min(max(fraction, 0.0), 1.0), message, left))

    def part(self, low: float, high: float) -> Progress:
        """Return a progress whose 0-1 is this one's low-high."""
        return Progress(lambda step: self(step.stage, low + (high - low) * step.fraction, step.message), self._keep)


SILENT = Progress()
