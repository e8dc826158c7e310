"""Segments by k-means, and a neural network that assigns customers to them with a probability. The default."""

from __future__ import annotations

from tradewind.core.model import Knob
from tradewind.models.segments.grouped import KNOBS, Grouped

RECIPE = Grouped(
    "assigner", "network", (*KNOBS, Knob("steps", 80, 5, 1000, meaning="rounds over all customers in which the network learns"))
)
