"""Segments by the cells of recency, frequency and money that everybody knows: what a segmentation must beat."""

from __future__ import annotations

from tradewind.models.segments.grouped import Grouped

RECIPE = Grouped("rfm", "cells", ())
