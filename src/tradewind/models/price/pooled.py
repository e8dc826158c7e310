"""One set of elasticities for all stores of a product, or for all products where each has one store."""

from __future__ import annotations

from tradewind.models.price.bayes import Bayes


class Pooled(Bayes):
    """Learn and serve as `bayes` does, with coefficients that are all the same."""

    name = "pooled"


RECIPE = Pooled()
