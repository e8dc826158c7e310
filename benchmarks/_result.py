"""What a benchmark says: rows with a baseline beside ours, and whether they reach what they must."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One check. `passed` is None for a number that is only shown."""

    check: str
    ours: str
    baseline: str = ""
    must: str = ""
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a benchmark; `skipped` says why it did not run, and then it does not count as a failure."""

    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Tell whether no check fell short."""
        return all(row.passed is not False for row in self.rows)


def at_most(check: str, value: float, limit: float, *, unit: str = "", baseline: str = "") -> Row:
    """Return a row that must not be above a limit."""
    return Row(check, shown(value, unit), baseline, f"<= {shown(limit, unit)}", value <= limit)


def at_least(check: str, value: float, limit: float, *, unit: str = "", baseline: str = "") -> Row:
    """Return a row that must not be below a limit."""
    return Row(check, shown(value, unit), baseline, f">= {shown(limit, unit)}", value >= limit)


def within(check: str, value: float, wanted: float, *, by: float, baseline: str = "") -> Row:
    """Return a row of a share that may not lie further than `by` from what is wanted."""
    return Row(check, shown(value), baseline, f"{shown(wanted - by)} to {shown(wanted + by)}", abs(value - wanted) <= by + 1e-9)


def below(check: str, value: float, other: float, *, name: str, unit: str = "") -> Row:
    """Return a row that must be below its baseline."""
    return Row(check, shown(value, unit), f"{name} {shown(other, unit)}", "below the baseline", value < other)


def exactly(check: str, value: int, wanted: int, *, baseline: str = "") -> Row:
    """Return a row of a count that must be as wanted."""
    return Row(check, f"{value:,}", baseline, f"= {wanted:,}", value == wanted)


def shown(value: float, unit: str = "") -> str:
    """Write a number for the table: three digits, thousands separated."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".strip()
