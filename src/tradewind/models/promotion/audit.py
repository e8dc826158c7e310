"""What a second method says of the mean lift of each mechanic, beside what the structural panel says, and where they disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.trade.book import Book

Array = np.ndarray[Any, Any]
MOST = 2.0  # standard errors of their difference that the two may lie apart
KIND, AUDIT = "mean log lift", "mean log lift, audit"


@dataclass(frozen=True, slots=True)
class Audited:
    """The mean log lift of one mechanic over the periods it ran, by the structural panel and by double machine learning."""

    mechanic: str  # as among the names of the book
    structural: float
    structural_error: float
    audit: float
    audit_error: float
    cells: int  # series and periods under the mechanic that the audit saw
    groups: int  # products (or series) that errors were taken over

    @property
    def apart(self) -> float:
        """Return how many standard errors of their difference the two lie apart."""
        return abs(self.structural - self.audit) / max(math.hypot(self.structural_error, self.audit_error), 1e-12)

    @property
    def flagged(self) -> bool:
        """Tell whether the two disagree."""
        return self.apart > MOST

    @property
    def said(self) -> str:
        """Return the mechanic's name as people wrote it."""
        return self.mechanic.removeprefix("mechanic_")


def kept(found: Sequence[Audited]) -> list[dict[str, Any]]:
    """Return audits as plain data for the head of a book."""
    return [asdict(one) for one in found]


def audits(book: Book) -> list[Audited]:
    """Return the audits a book holds; none where the data did not allow one."""
    return [Audited(**one) for one in book.head.get("audit") or ()]


def words(book: Book) -> list[str]:
    """Return what an answer must say of the audit: every disagreement with its numbers, who agrees, and what could not be audited."""
    found = audits(book)
    said = [
        f"Audit: of {one.said} promotions the panel says {_percent(one.structural)} on average, double machine learning"
        f" {_percent(one.audit)}; they lie {one.apart:.1f} standard errors apart, so take what is said of {one.said} with care."
        for one in found
        if one.flagged
    ]
    agreed = [one.said for one in found if not one.flagged]
    if agreed:
        said.append(f"Double machine learning agrees with the mean lift of {', '.join(agreed)}.")
    seen = {one.mechanic for one in found}
    rest = [name.removeprefix("mechanic_") for name in book.names.tolist() if is_mechanic(name) and name not in seen]
    if rest and "audit" in book.head:
        said.append(f"The data do not allow an audit of the mean lift of {', '.join(rest)}.")
    return said


def rows(book: Book) -> dict[str, list[Any]]:
    """Return both means of every audited mechanic as rows of the effects: lever, kind, effect, error."""
    out: dict[str, list[Any]] = {name: [] for name in ("lever", "kind", "effect", "error")}
    for one in audits(book):
        for kind, effect, error in ((KIND, one.structural, one.structural_error), (AUDIT, one.audit, one.audit_error)):
            for name, value in zip(out, (one.mechanic, kind, effect, error), strict=True):
                out[name].append(value)
    return out


def is_mechanic(name: str) -> bool:
    """Tell whether a column of the book is a kind of promotion."""
    return name == "promotion" or name.startswith("mechanic_")


def _percent(lift: float) -> str:
    return f"{100 * math.expm1(lift):+.0f} %"
