"""Least squares for every series by itself: the baseline. Its intervals are those of the regression alone."""

from __future__ import annotations

from tradewind.models.price.bayes import Bayes


class Ols(Bayes):
    """Learn and serve as `bayes` does, with coefficients that are not drawn to anything."""

    name = "ols"


RECIPE = Ols()
