"""A small neural network that says how likely a row is of each group: learned by scikit-learn, served by numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array

HIDDEN = 32
PARITY = 1e-5
HARSH = 1000  # rows with missing and extreme values the served network is compared on


@dataclass(frozen=True, slots=True)
class Network:
    """One hidden layer of rectified units, then a softmax."""

    first: Array
    first_bias: Array
    last: Array
    last_bias: Array

    def probability(self, rows: Array) -> Array:
        """Return the chance of every group for every row."""
        said = np.maximum(rows @ self.first + self.first_bias, 0.0) @ self.last + self.last_bias
        said -= said.max(1, keepdims=True)
        found = np.exp(said)
        return np.asarray(found / found.sum(1, keepdims=True))


def learned(rows: Array, groups: Array, seed: int, *, steps: int) -> Network:
    """Return the network that says of which group a row is; `groups` are numbers from 0, each with a row. Raises LearnFailed."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped by its number of steps
        taught = MLPClassifier((HIDDEN,), alpha=0.01, max_iter=steps, n_iter_no_change=5, tol=1e-3, random_state=seed).fit(rows, groups)
    (first, last), (first_bias, last_bias) = taught.coefs_, taught.intercepts_
    if last.shape[1] == 1:  # two groups are learned as one number
        last, last_bias = np.hstack([np.zeros_like(last), last]), np.r_[0.0, last_bias]
    made = Network(first, first_bias, last, last_bias)
    tried = np.concatenate([rows[:HARSH], np.random.default_rng(seed).choice([-5.0, 0.0, 5.0, 2.5], (HARSH, rows.shape[1]))])
    gap = float(np.abs(made.probability(tried) - taught.predict_proba(tried)).max())
    if not gap <= PARITY:
        raise LearnFailed(f"the served network differs from the learned one by {gap:.2g}", hint="this is a fault of ours; please report it")
    return made
