"""Segments by a Gaussian mixture: customers may belong to several segments a little."""

from __future__ import annotations

from tradewind.models.segments.grouped import Grouped

RECIPE = Grouped("mixture", "mixture")
