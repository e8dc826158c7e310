"""Buy till you die: BG/NBD for how often and until when, Gamma-Gamma for how much, by closed-form likelihood.

Fader, Hardie and Lee 2005 ("Counting your customers the easy way") and Fader and Hardie 2013 (Gamma-Gamma). Fitting needs SciPy,
answering numpy alone. x repeat purchases, tx time of the last one, T time since the first, all times in weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array

WEEK = 7.0
FEWEST = 50  # customers with a repeat purchase
MOST_TERMS = 20_000
TINY = 1e-10  # of a sum, where its next term no longer counts
COLLAPSED = 0.02  # mean chance to stop at a purchase below which nobody is seen to stop


@dataclass(frozen=True, slots=True)
class Buying:
    """The four numbers of the BG/NBD (r, alpha, a, b), the log-likelihood, and the three of the Gamma-Gamma (p, q, v; 0 where unknown)."""

    r: float
    alpha: float
    a: float
    b: float
    likelihood: float
    p: float = 0.0
    q: float = 0.0
    v: float = 0.0

    @property
    def collapsed(self) -> bool:
        """Tell whether the likelihood found nobody to stop: the chance to be active is then 1 for everyone and says nothing."""
        return self.a / (self.a + self.b) < COLLAPSED

    def alive(self, x: Array, tx: Array, since: Array) -> Array:
        """Return the chance that a customer is still active; one without a repeat purchase has had no occasion to stop."""
        again = np.maximum(x, 1.0)
        with np.errstate(over="ignore"):  # long silence after many purchases: infinite odds are a chance of 0
            odds = (x > 0) * self.a / (self.b + again - 1) * ((self.alpha + since) / (self.alpha + tx)) ** (self.r + x)
        return np.asarray(1.0 / (1.0 + odds))

    def silent(self, x: Array, since: Array, weeks: float) -> Array:
        """Return the chance that an active customer buys nothing in the coming weeks."""
        return np.asarray(((self.alpha + since) / (self.alpha + since + weeks)) ** (self.r + x))

    def stays(self, x: Array, since: Array, weeks: float) -> Array:
        """Return the chance that one who is active now has not stopped after so many weeks, at her mean chance to stop."""
        stop = self.a / (self.a + self.b + x)
        return np.asarray(((self.alpha + since) / (self.alpha + since + stop * weeks)) ** (self.r + x))

    def expected(self, x: Array, tx: Array, since: Array, weeks: float) -> Array:
        """Return the expected purchases of the coming weeks."""
        z = weeks / (self.alpha + since + weeks)
        # Euler's transformation: the same function in terms that fade quickly, (1 - z)^(r + x) taken in
        c = self.a + self.b + x - 1
        grown = _hypergeometric(c - self.r - x, np.full(len(x), self.a - 1), c, z)
        shrink = (1 - z) ** (self.a - 1)
        lead = self.a - 1 if abs(self.a - 1) > 1e-6 else 1e-6
        return np.asarray((self.a + self.b + x - 1) / lead * (1 - shrink * grown) * self.alive(x, tx, since))

    def rate(self, x: Array, since: Array) -> Array:
        """Return the expected purchases per week while active."""
        return np.asarray((self.r + x) / (self.alpha + since))

    def money(self, x: Array, mean: Array) -> Array:
        """Return the expected money of a purchase, the customer's own mean drawn towards everybody's; NaN where it was not learned."""
        if self.q <= 1:
            return np.full(len(x), np.nan)
        seen = np.where((x > 0) & (mean > 0), x, 0.0)
        weight = self.p * seen / (self.p * seen + self.q - 1)
        return np.asarray((1 - weight) * self.p * self.v / (self.q - 1) + weight * np.where(seen > 0, mean, 0.0))

    def as_dict(self) -> dict[str, float]:
        """Return the numbers as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Buying:
        """Read the numbers back."""
        return cls(**{name: float(value) for name, value in said.items()})


def _hypergeometric(a: Array, b: Array, c: Array, z: Array) -> Array:
    """Return Gauss's 2F1 by its series, which converges because z < 1."""
    term = np.ones(np.broadcast(a, b, c, z).shape)
    total = term.copy()
    for n in range(MOST_TERMS):
        term = term * (a + n) * (b + n) / ((c + n) * (n + 1)) * z
        total += term
        if not (np.abs(term) > TINY * np.abs(total)).any():
            break
    return total


def learned(x: Array, tx: Array, since: Array, mean: Array | None = None) -> Buying:
    """Return the numbers of greatest likelihood; raises LearnFailed where too few customers bought twice."""
    from scipy.optimize import minimize

    x, tx, since = (np.asarray(values, "f8") for values in (x, tx, since))
    if (x > 0).sum() < FEWEST:
        raise LearnFailed(f"{int((x > 0).sum())} customers bought again: too few to learn a rhythm", hint=f"at least {FEWEST}")
    scale = 10.0 / float(since.max())
    rows, count = np.unique(np.column_stack([x, tx * scale, since * scale]), axis=0, return_counts=True)

    def loss(theta: Array) -> tuple[float, Array]:
        numbers = np.exp(np.clip(theta, -12, 12))
        said, slope = _likelihood(numbers, rows)
        inside = np.abs(theta) < 12
        return float(-(count @ said) / count.sum()), -(count @ slope) * numbers * inside / count.sum()

    tried = [minimize(loss, np.full(4, start), jac=True, method="L-BFGS-B", tol=1e-12) for start in (0.0, 0.5, -0.5)]
    best = min(tried, key=lambda one: float(one.fun))
    r, alpha, a, b = np.exp(np.clip(best.x, -12, 12)).tolist()
    whole = float(count @ _likelihood(np.array([r, alpha, a, b]), rows)[0]) + float(x.sum() * np.log(scale))
    spent = _spending(x, np.asarray(mean, "f8")) if mean is not None else (0.0, 0.0, 0.0)
    return Buying(r, alpha / scale, a, b, whole, *spent)


def _likelihood(theta: Array, rows: Array) -> tuple[Array, Array]:
    """Return the log-likelihood of every row, and (rows, 4) its derivatives by r, alpha, a and b."""
    from scipy.special import betaln, digamma, gammaln

    r, alpha, a, b = theta
    x, tx, since = rows.T
    times, which = np.unique(x, return_inverse=True)  # few: what x alone decides is worked out once
    lead = gammaln(r + times) - gammaln(r) + r * np.log(alpha) + betaln(a, b + times) - betaln(a, b)
    by_r, by_a = digamma(r + times) - digamma(r) + np.log(alpha), digamma(a + b) - digamma(a + b + times)
    by_b = by_a + digamma(b + times) - digamma(b)
    again = np.maximum(x, 1.0)
    long, short = np.log(alpha + since), np.log(alpha + tx)
    active = -(r + x) * long
    stopped = np.where(x > 0, np.log(a) - np.log(b + again - 1) - (r + x) * short, -np.inf)
    both = np.logaddexp(active, stopped)
    here, gone = np.exp(active - both), np.exp(stopped - both)
    slope = (
        by_r[which] - here * long - gone * short,
        r / alpha - (r + x) * (here / (alpha + since) + gone / (alpha + tx)),
        by_a[which] + gone / a,
        by_b[which] - gone / (b + again - 1),
    )
    return lead[which] + both, np.stack(slope, axis=1)


def _spending(x: Array, mean: Array) -> tuple[float, float, float]:
    """Return p, q, v of the Gamma-Gamma, or zeros where they cannot be learned."""
    from scipy.optimize import minimize
    from scipy.special import gammaln

    keep = (x > 0) & (mean > 0)
    if keep.sum() < FEWEST or np.std(mean[keep]) < 1e-9 * np.mean(mean[keep]):
        return 0.0, 0.0, 0.0
    n, m = x[keep], mean[keep]

    def loss(theta: Array) -> float:
        p, q, v = np.exp(np.clip(theta, -12, 25))
        said = gammaln(p * n + q) - gammaln(p * n) - gammaln(q) + q * np.log(v)
        said += (p * n - 1) * np.log(m) + p * n * np.log(n) - (p * n + q) * np.log(n * m + v)
        return float(-said.mean())

    start = np.log([6.0, 4.0, 15.0 * float(m.mean()) / 35.0])
    best = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 4000})
    p, q, v = np.exp(best.x).tolist()
    return float(p), float(q), float(v)
