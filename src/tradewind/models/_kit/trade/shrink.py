"""Empirical Bayes in three levels: a series is drawn to its product, a product to a regression on what it is.

b_i ~ N(beta_i, A_i^-1); beta_i ~ N(mu_p, S1); mu_p ~ N(Z_p theta, S2); theta ~ N(start, spread). A_i and h_i = A_i b_i are the normal
equations of a series over its noise, so that a series that never saw a lever move has no precision there instead of an error. S1 and
S2 are found by EM, S1 diagonal (Lindley and Smith 1972 for the form, Dempster, Laird and Rubin 1977 for the steps).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import default_rng  # while it may still be imported: a worker opens no file later

from tradewind.models._kit.trade.group import summed

Array = np.ndarray[Any, Any]
STEPS = 40
COUNTED = 3.0  # observations that the first guess of a spread counts as
SMALL = 1e-5
TINY = 1e-7  # variance that rounding to single precision may take away
BLOCK = 10  # draws made at once: memory written for the first time costs more than the chance in it


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of each coefficient before any data, one value per coefficient.

    `mean` and `spread` of the company's mean, `among` products and `inside` a product: standard deviations.
    """

    mean: Array
    spread: Array
    among: Array
    inside: Array


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Posterior coefficients. Shapes: n series, P products, K coefficients.

    Given its product, a series is normal around `series + carry * (mu - product)` with variance `own`; the product is normal
    around `product` with covariance `spread`.
    """

    series: Array  # n x K
    own: Array  # n x K: variance given the product
    carry: Array  # n x K: how much of a move of the product a series makes
    product: Array  # P x K
    spread: Array  # P x K x K
    common: Array  # P x K: standard deviation, inside `spread`, of an error of the company's mean: all products make it together
    theta: Array  # q x K
    among: Array  # K: standard deviation among products
    inside: Array  # K: standard deviation inside a product


def shrink(normal: Array, moment: Array, group: Array, *, about: Array, prior: Prior, together: float = 1.0, steps: int = STEPS) -> Shrunk:
    """Return the posterior of every series and product.

    `normal` is n x K x K (A), `moment` n x K (h), `group` the product of each series, `about` P x q what the prior mean of a
    product is regressed on, its first column ones. Errors that the series of a product share do not blur how these differ from one
    another, but leave less that is known of the product: by `together`, the design effect of their mean.
    """
    products, width = len(about), normal.shape[1]
    inside, whole = prior.inside**2, np.diag(prior.among**2)
    theta = np.zeros((about.shape[1], width))
    theta[0] = prior.mean
    eye = np.eye(width)
    mu, spread = np.tile(prior.mean, (products, 1)), np.tile(whole, (products, 1, 1))
    single = np.bincount(group, minlength=products).max(initial=0) <= 1
    if single:  # one series a product: there is nothing to tell the levels apart by
        inside = np.full(width, SMALL)
    for _ in range(steps):
        weak = np.diag(1 / inside)
        inverse = np.linalg.inv(normal + weak)
        shared = summed(weak - weak @ inverse @ weak, group, products) / together
        drawing = summed(np.einsum("nij,nj->ni", inverse, moment) / inside, group, products) / together
        drawn = about @ theta
        sure = np.linalg.inv(whole)
        spread = np.linalg.inv(shared + sure)
        mu = np.einsum("pij,pj->pi", spread, drawing + drawn @ sure)
        theta = _regressed(about, mu, np.diagonal(whole), prior)
        gap = mu - about @ theta
        whole = (COUNTED * np.diag(prior.among**2) + gap.T @ gap + spread.sum(0)) / (COUNTED + products) + SMALL * eye
        if not single:
            inside = _inside(inverse, moment, mu, spread=spread, group=group, inside=inside, prior=prior)
    weak = np.diag(1 / inside)
    inverse = np.linalg.inv(normal + weak)
    series = np.einsum("nij,nj->ni", inverse, moment + mu[group] / inside)
    common = _common(shared, whole, spread, prior)
    spread = spread + common[:, :, None] ** 2 * eye
    own, carry = np.diagonal(inverse, axis1=1, axis2=2), np.diagonal(inverse @ weak, axis1=1, axis2=2)
    return Shrunk(series, own, np.clip(carry, 0, 1), mu, spread, common, theta, np.sqrt(np.diagonal(whole)), np.sqrt(inside))


def _common(shared: Array, whole: Array, spread: Array, prior: Prior) -> Array:
    """Return what not knowing the company's mean adds to each product's standard deviation (P x K), as far as it leans on that mean."""
    seen = np.diagonal(np.linalg.inv(shared + SMALL * np.eye(len(whole))), axis1=1, axis2=2)
    variance = 1 / (1 / prior.spread**2 + (1 / (np.diagonal(whole) + seen)).sum(0))
    leans = np.diagonal(spread, axis1=1, axis2=2) / np.diagonal(whole)
    return np.asarray(np.clip(leans, 0, 1) * np.sqrt(variance))


def _regressed(about: Array, mu: Array, among: Array, prior: Prior) -> Array:
    """Return the regression of products' coefficients on what they are, drawn to the prior mean and to no difference."""
    found = np.empty((about.shape[1], mu.shape[1]))
    wide = np.abs(about).max(0) > 1  # a measure in standard deviations may tell as much as the company's mean; a group only so much
    for at in range(mu.shape[1]):
        weight = np.where(wide, 1 / max(0.5 * prior.spread[at], 1e-6) ** 2, 1 / max(0.5 * prior.among[at], 1e-6) ** 2)
        weight[0] = 1 / prior.spread[at] ** 2
        start = np.zeros(about.shape[1])
        start[0] = prior.mean[at]
        left = about.T @ about / among[at] + np.diag(weight)
        found[:, at] = np.linalg.solve(left, about.T @ mu[:, at] / among[at] + weight * start)
    return found


def _inside(inverse: Array, moment: Array, mu: Array, *, spread: Array, group: Array, inside: Array, prior: Prior) -> Array:
    eye = np.eye(len(inside))
    beta = np.einsum("nij,nj->ni", inverse, moment + mu[group] / inside)
    pull = inverse / inside[None, None, :] - eye
    around = np.einsum("nij,njk,nik->ni", pull, spread[group], pull)
    second = (beta - mu[group]) ** 2 + np.diagonal(inverse, axis1=1, axis2=2) + around
    found: Array = (COUNTED * prior.inside**2 + second.sum(0)) / (COUNTED + len(beta)) + SMALL
    return found


RIDGE = 1e-4
WIDE = 1.0  # standard deviation among products that share of knowledge is told against where none was learned


def alone(normal: Array, moment: Array, group: Array, *, together: float) -> Shrunk:
    """Return least squares of every series by itself; the product is the mean of its series."""
    width = normal.shape[1]
    inverse = np.linalg.inv(normal + RIDGE * np.eye(width))
    series = np.einsum("nij,nj->ni", inverse, moment)
    own = np.diagonal(inverse, axis1=1, axis2=2).copy()
    count = np.bincount(group)
    product = summed(series / count[group][:, None], group, len(count))
    noise = summed(own / count[group][:, None] ** 2 * together, group, len(count))
    spread = noise[:, :, None] * np.eye(width)
    wide, none = np.full(width, WIDE), np.zeros((0, width))
    return Shrunk(series, own, np.zeros_like(own), product, spread, np.zeros_like(product), none, wide, wide)


def pooled(normal: Array, moment: Array, group: Array, *, together: float) -> Shrunk:
    """Return one set of coefficients for all series of a product, or for all there are where products have few series each."""
    products, width = int(group.max()) + 1, normal.shape[1]
    code = group if len(group) >= 3 * products else np.zeros(len(group), int)
    total, drawing = (summed(values, code, int(code.max()) + 1) for values in (normal, moment))
    inverse = np.linalg.inv(total + RIDGE * np.eye(width))
    found = np.einsum("gij,gj->gi", inverse, drawing)
    of_product = np.zeros(products, int)
    of_product[group] = code
    wide, none = np.full(width, WIDE), np.zeros((0, width))
    own, carry = np.zeros((len(group), width)), np.ones((len(group), width))
    spread, common = inverse[of_product] * together, np.zeros((products, width))
    return Shrunk(found[code], own, carry, found[of_product], spread, common, none, wide, wide)


def draws(found: Shrunk, group: Array, count: int, seed: int, *, kin: tuple[Array, Array] | None = None) -> Array:
    """Return coefficient draws, K x n x count in single precision: antithetic pairs.

    Stores of one product move together as far as they are not their own. An error of the company's mean moves all products at once:
    gains of many changes do not average it away. `kin` is the standard deviation (K,) of an error that products of a category make
    together, beside `spread`, and the category of each product.
    """
    rng = default_rng(seed)
    half, width = (count + 1) // 2, found.spread.shape[1]
    eye = np.eye(width)
    root = np.linalg.cholesky(found.spread - found.common[:, :, None] ** 2 * eye + TINY * eye)
    moved = rng.standard_normal((half, *found.product.shape)).transpose(1, 0, 2) @ root.transpose(0, 2, 1)  # P x half x K
    moved += found.common[:, None] * rng.standard_normal((half, width))
    both = np.empty((width, len(group), count), "f4")
    error = np.sqrt(found.own)
    for start in range(0, half, BLOCK):
        part = slice(start, min(start + BLOCK, half))
        both[:, :, part] = (rng.standard_normal((part.stop - start, *error.shape)) * error).T
    if kin is not None:
        moved += (kin[0] * rng.standard_normal((half, int(kin[1].max()) + 1, width)))[:, kin[1]].transpose(1, 0, 2)
    apart = moved.transpose(2, 0, 1).astype("f4", order="C")
    for at, (one, mean, carry) in enumerate(zip(both, found.series.T, found.carry.T, strict=True)):
        move = apart[at][group] * carry.astype("f4")[:, None] + one[:, :half]
        one[:, :half] = mean[:, None] + move
        one[:, half:] = mean[:, None] - move[:, : count - half]
    return both
