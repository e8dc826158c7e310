"""Acquisition with planned spend: what channels that earned their place add, on top of what `seasons` says of the rest."""

from __future__ import annotations

from tradewind.models._kit.forecast.spending import Spending
from tradewind.models.acquisition import MODEL
from tradewind.models.acquisition.learners import SPEND
from tradewind.models.acquisition.plan import complete

RECIPE = Spending(MODEL.gives, SPEND, complete, "acquired")
