"""Churn by the base rate by recency or by time as a customer: what every other recipe must beat."""

from __future__ import annotations

from tradewind.models.churn.served import Served

RECIPE = Served("base", "bands")
