"""Churn by the average of a spline logistic and small boosted trees, with a discrete-time hazard. The default."""

from __future__ import annotations

from tradewind.models.churn.served import Served

RECIPE = Served("averaged", "averaged")
