"""Churn by the rhythm of buying (BG/NBD and Gamma-Gamma), where leaving is silence."""

from __future__ import annotations

from tradewind.models.churn.served import Served

RECIPE = Served("rhythm", "rhythm")
