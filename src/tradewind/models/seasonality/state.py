"""What every recipe learns: components by series as plain numbers, told apart from how they were found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit import tensors
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.intervals import TAUS
from tradewind.models.seasonality.seasons import BEND, SEASONS, YEARLY, Season

Array = np.ndarray[Any, Any]
FORMAT = 2
STILL = 1e-4  # spread of a log component, or range of its season, below which it is taken not to move: a hundredth of one per cent


@dataclass(frozen=True, slots=True)
class Components:
    """log figure = trend + indices + coefficient * columns; every `_error` is a standard error in logs.

    `trend` is (series, periods of the history). `index` has (series, phases) per season that could be told. `column` has a matrix
    (series or 1, history and known plan) per event window and lever. `centre` has (series, 3) per lever, in the unit of a question: what
    counts as none, the lowest and the highest seen; `together` (series, levers, levers) is the covariance of their coefficients.
    `noise` is the spread of what is left, `shape` its quantiles over that spread at TAUS.
    """

    clock: Clock
    first: int
    keys: Mapping[str, Array]
    seasons: tuple[Season, ...]
    trend: Array
    trend_error: Array
    slope: Array  # logs a period, at the end
    index: Mapping[str, Array]
    index_error: Mapping[str, Array]
    names: tuple[str, ...]
    levers: tuple[str, ...]  # those of the names that are a plan and no event
    column: Mapping[str, Array]
    coefficient: Array  # (series, columns)
    coefficient_error: Array
    together: Array
    centre: Mapping[str, Array]
    noise: Array
    shape: Array
    strength: Mapping[str, Array]  # season or "trend" -> (series,) 0-1
    turns: tuple[tuple[int, int, float, float], ...]  # series, period number, log step, its standard error
    facts: Mapping[str, Any] = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.trend)

    @property
    def last(self) -> int:
        """Return the number of the last period of the history."""
        return self.first + int(self.trend.shape[1]) - 1

    def trend_at(self, series: Array, numbers: Array) -> tuple[Array, Array]:
        """Return the trend and its standard error; after the history it goes on ever more slowly, before it stays as it began.

        A slope is believed for half a year or so, and for no longer than half of what was seen. Its own error is that of a straight line
        through the last stretch of the trend, whose end is known with the trend's error.
        """
        width = self.trend.shape[1]
        at = np.clip(numbers - self.first, 0, width - 1)
        found, error = self.trend[series, at].astype("f8"), self.trend_error[series, at].astype("f8")
        away = np.maximum(numbers - self.last, 0) + np.maximum(self.first - numbers, 0)
        grain = self.clock.grain.name
        believed = 0.5 * min(max(season.length for season in SEASONS[grain]), width)
        kept = believed * (1 - np.exp(-np.maximum(numbers - self.last, 0) / believed))
        stretch = min(width, YEARLY[grain] if "year" in self.index else BEND[grain])
        turned = np.sqrt(0.75) * error * (1 + 2 * kept / stretch)
        drift = np.asarray(self.facts.get("drift", 0.0))
        return found + self.slope[series] * kept, np.sqrt(0.25 * error**2 + turned**2 + away * float(drift) ** 2)

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name."""
        plain = ("trend", "trend_error", "slope", "coefficient", "coefficient_error", "together", "noise", "shape")
        out = {name: getattr(self, name).astype("f4") for name in plain}
        for part in ("index", "index_error", "column", "centre", "strength"):
            out |= {f"{part}/{name}": value.astype("f4") for name, value in getattr(self, part).items()}
        return out


def dump(made: Components) -> dict[str, bytes]:
    """Write components as safetensors and JSON."""
    meta = {
        "format": FORMAT,
        "grain": made.clock.grain.name,
        "anchor": made.clock.anchor,
        "first": made.first,
        "keys": {name: value.tolist() for name, value in made.keys.items()},
        "seasons": [season.name for season in made.seasons],
        "names": made.names,
        "levers": made.levers,
        "turns": made.turns,
        "facts": dict(made.facts),
    }
    return {"components.safetensors": tensors.save(made.arrays()), "components.json": json.dumps(meta).encode()}


def load(parts: Mapping[str, bytes]) -> Components:
    """Read components back; raises Incompatible and Tampered."""
    try:
        return _read(parts)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise Incompatible("the components of this version cannot be read", hint="train the model again") from error


def _read(parts: Mapping[str, bytes]) -> Components:
    meta, numbers = json.loads(parts["components.json"]), tensors.load(parts["components.safetensors"])
    if meta["format"] != FORMAT:
        raise Incompatible(f"components of format {meta['format']} are not known here", hint="train the model again")
    grouped: dict[str, dict[str, Array]] = {"index": {}, "index_error": {}, "column": {}, "centre": {}, "strength": {}}
    for name, value in numbers.items():
        part, _, rest = name.partition("/")
        if rest:
            grouped[part][rest] = value
    plain = {part.name: numbers[part.name] for part in fields(Components) if part.name in numbers}
    names = tuple(map(str, meta["names"]))
    made: Any = Components  # parts by name: what is there is checked below
    found: Components = made(
        Clock(GRAINS[meta["grain"]], int(meta["anchor"])),
        int(meta["first"]),
        {name: np.array(values, object) for name, values in meta["keys"].items()},
        tuple(season for season in SEASONS[meta["grain"]] if season.name in meta["seasons"]),
        names=names,
        levers=tuple(map(str, meta["levers"])),
        turns=tuple((int(a), int(b), float(c), float(d)) for a, b, c, d in meta["turns"]),
        facts=meta["facts"],
        **grouped,
        **plain,
    )
    whole = found.coefficient.shape == (len(found), len(names)) and all(name in found.column for name in names)
    whole &= all(name in found.centre for name in found.levers) and found.together.shape == (len(found), *[len(found.levers)] * 2)
    if not whole or len(found.shape) != len(TAUS) or any(len(value) != len(found) for value in found.keys.values()):
        raise ValueError("components and series do not fit")
    return found
