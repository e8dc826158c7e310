"""The level a series would have by what is known of its like: product, store and attributes, each an effect drawn towards none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
ROUNDS = 12
DRAWN = 1.0  # series that an effect of none counts for
DRAWN_KEY = 4.0  # the same for a single product or store: attributes explain first


@dataclass(frozen=True, slots=True)
class Levels:
    """Log level = base + effects of key parts and attributes. `effects` is name -> text -> effect."""

    base: float
    effects: Mapping[str, Mapping[str, float]]

    def of(self, panel: Panel) -> Array:
        """Return the level each series of a panel would have, (series,)."""
        logged = np.full(len(panel), self.base)
        for name, texts in _texts(panel).items():
            book = self.effects.get(name, {})
            logged += np.array([book.get(text, 0.0) for text in texts])
        level: Array = np.exp(logged)
        return level

    def meta(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"base": self.base, "effects": {name: dict(book) for name, book in self.effects.items()}}

    @classmethod
    def from_meta(cls, said: Mapping[str, Any]) -> Levels:
        """Read it back."""
        return cls(float(said["base"]), {str(name): {str(k): float(v) for k, v in book.items()} for name, book in said["effects"].items()})


def learn(panel: Panel) -> Levels:
    """Learn the effects from the recent level of every series that sells (backfitting of ridge means)."""
    past = panel.target[:, max(0, panel.cut - panel.grain.level) : panel.cut]
    known = np.isfinite(past)
    count = known.sum(1)
    level = np.where(known, past, 0).sum(1) / np.maximum(count, 1)
    usable = (count > 0) & (level > 0)
    if not usable.any():
        return Levels(float(np.log(1e-6)), {})
    logged = np.log(np.where(usable, level, 1.0))[usable]
    base = float(logged.mean())
    groups = {name: np.unique(texts[usable].astype(str), return_inverse=True) for name, texts in _texts(panel).items()}
    groups = {name: found for name, found in groups.items() if len(found[0]) > 1}
    effects = {name: np.zeros(len(texts)) for name, (texts, _) in groups.items()}
    left = logged - base
    for _ in range(ROUNDS):
        for name, (texts, place) in groups.items():
            drawn = DRAWN_KEY if name in panel.keys else DRAWN
            whole = left + effects[name][place]
            effects[name] = np.bincount(place, whole, len(texts)) / (np.bincount(place, minlength=len(texts)) + drawn)
            left = whole - effects[name][place]
    return Levels(base, {name: dict(zip(groups[name][0].tolist(), value.tolist(), strict=True)) for name, value in effects.items()})


def _texts(panel: Panel) -> dict[str, Array]:
    """Return what tells series apart and likens them: their keys, where there are several, and their coded attributes."""
    out: dict[str, Array] = dict(panel.keys) if len(panel.keys) > 1 else {}
    for name, book in panel.codes.items():
        code = panel.static[name]
        texts = np.array([*book, ""], object)
        out[f"static {name}"] = texts[np.where(np.isfinite(code), code, len(book)).astype("i8")]
    return out
