"""Segments by k-means, with as many segments as the data supports."""

from __future__ import annotations

from tradewind.models.segments.grouped import Grouped

RECIPE = Grouped("kmeans", "centres")
