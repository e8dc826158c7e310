"""Calibrated probabilities of the three classes: a small multinomial logistic map from a few numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from tradewind.core.errors import Tampered
from tradewind.core.table import Array

FEWEST = 30  # labelled texts from which a map is learned
FEWEST_EACH = 5  # of a class, for it to be told at all


@dataclass(frozen=True, slots=True)
class Chances:
    """Probabilities softmax(rows @ weights + bias) of the classes at `places`; the others have none."""

    weights: Array  # (inputs, classes told)
    bias: Array  # (classes told,)
    places: tuple[int, ...]

    def __call__(self, rows: Array) -> Array:
        """Return (n, 3) probabilities of rows (n, inputs)."""
        logits = rows @ self.weights + self.bias
        logits -= logits.max(1, keepdims=True)
        raw = np.exp(logits)
        made = np.zeros((len(rows), 3))
        made[:, list(self.places)] = raw / raw.sum(1, keepdims=True)
        return made

    def dump(self) -> bytes:
        """Write it as JSON."""
        return json.dumps({"weights": self.weights.tolist(), "bias": self.bias.tolist(), "places": list(self.places)}).encode()

    @classmethod
    def load(cls, data: bytes) -> Chances:
        """Read it back; raises Tampered."""
        try:
            said = json.loads(data)
            weights, bias = np.array(said["weights"], "f8"), np.array(said["bias"], "f8")
            places = tuple(int(place) for place in said["places"])
        except (KeyError, TypeError, ValueError) as error:
            raise Tampered("the calibration of a sentiment version cannot be read") from error
        if weights.ndim != 2 or weights.shape[1] != len(places) or bias.shape != (len(places),) or not set(places) <= {0, 1, 2}:
            raise Tampered("the calibration of a sentiment version does not fit together")
        return cls(weights, bias, places)


def told(classes: Array) -> tuple[int, ...]:
    """Return which classes (0, 1, 2) have enough labels to be told."""
    return tuple(place for place in range(3) if int((classes == place).sum()) >= FEWEST_EACH)


def learn(rows: Array, classes: Array, *, strength: float = 1.0) -> Chances | None:
    """Return the map that best explains labels 0, 1, 2 (-1: none), or None where there are too few of them."""
    from sklearn.linear_model import LogisticRegression

    places = told(classes)
    keep = np.isin(classes, places)
    if int(keep.sum()) < FEWEST or len(places) < 2:
        return None
    fitted = LogisticRegression(C=strength, max_iter=500).fit(rows[keep], classes[keep])
    if len(places) == 2:  # sklearn keeps one column: the second class against the first
        zero = np.zeros((rows.shape[1], 1))
        return Chances(np.hstack([zero, fitted.coef_.T]), np.array([0.0, float(fitted.intercept_[0])]), places)
    return Chances(np.asarray(fitted.coef_.T, "f8"), np.asarray(fitted.intercept_, "f8"), places)
