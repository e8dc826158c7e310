"""The three classes, and what people write for them."""

from __future__ import annotations

from tradewind.core.table import Array

CLASSES = ("negative", "neutral", "positive")
UNSURE, UNSUPPORTED = "unsure", "unsupported"
_SAID = (
    ("negative", "neg", "bad", "-1", "poor", "unhappy", "dissatisfied", "negativ", "detractor"),
    ("neutral", "neu", "0", "mixed", "ok", "okay", "average", "passive"),
    ("positive", "pos", "good", "1", "great", "happy", "satisfied", "positiv", "promoter"),
)
_NAMES = {word: name for name, words in zip(CLASSES, _SAID, strict=True) for word in words}


def named(label: str) -> str | None:
    """Return the class a label stands for, or None."""
    return _NAMES.get(label.strip().lower().removesuffix(".0"))


def places(labels: Array) -> Array:
    """Return 0, 1 or 2 for each label, and -1 where there is none."""
    import numpy as np

    return np.array([CLASSES.index(label) if label in CLASSES else -1 for label in labels.tolist()], int)
