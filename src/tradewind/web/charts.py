"""Charts as Vega-Lite specifications, written once with Altair; their data comes apart, their colours from the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

HEIGHT = 300


def forecast() -> dict[str, Any]:
    """Return the fan chart: history solid, median dashed, bands of 50, 80 and 95 %, promotions shaded.

    Named data: history (date, value), forecast (date, p50, lo50 .. hi95), plan (date, p50), promotions (start, end, name).
    Dates are UTC days, so that nobody west of Greenwich sees the day before.
    """
    import altair as alt

    day = alt.X(
        "date:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(format="%d %b", tickCount=7, grid=False, labelOverlap=True)
    )
    ahead, past, plan, marks = (alt.NamedData(name) for name in ("forecast", "history", "plan", "promotions"))

    def band(level: str, opacity: float) -> Any:
        y = alt.Y(f"lo{level}:Q", title=None, scale=alt.Scale(zero=False, nice=True))
        return alt.Chart(ahead).mark_area(opacity=opacity, style="series").encode(day, y, alt.Y2(f"hi{level}"))

    def number(field: str, label: str) -> Any:
        return alt.Tooltip(f"{field}:Q", title=label, format=",.1f")

    when = alt.Tooltip("date:T", title="Date", timeUnit="utcyearmonthdate")
    near = alt.selection_point(name="near", fields=["date"], nearest=True, on="pointermove", empty=False, clear="pointerout")
    shaded = (
        alt.Chart(marks)
        .mark_rect(opacity=0.16, style="promotion")
        .encode(alt.X("start:T", scale=alt.Scale(type="utc")), alt.X2("end:T"), tooltip=[alt.Tooltip("name:N", title="Promotion")])
    )
    sold = alt.Chart(past).mark_line(strokeWidth=1.6, style="series").encode(day, alt.Y("value:Q", title="Units"))
    planned = alt.Chart(plan).mark_line(strokeWidth=1.5, strokeDash=[1, 3], style="plan").encode(day, alt.Y("p50:Q", title=None))
    median = alt.Chart(ahead).mark_line(strokeWidth=2, strokeDash=[5, 3], style="series").encode(day, alt.Y("p50:Q", title=None))
    said = [
        when,
        number("p50", "median"),
        *(number(f"{side}{level}", f"{level} % {word}") for level in ("80", "95") for side, word in (("lo", "low"), ("hi", "high"))),
    ]
    points = (
        alt.Chart(ahead)
        .mark_point(filled=True, size=60, style="series")
        .encode(day, alt.Y("p50:Q", title=None), opacity=alt.condition(near, alt.value(1), alt.value(0)), tooltip=said)
    )
    hover = (
        alt.Chart(past)
        .mark_point(filled=True, size=40, style="series")
        .encode(day, alt.Y("value:Q", title=None), opacity=alt.value(0), tooltip=[when, number("value", "sold")])
    )
    layers = (shaded, band("95", 0.12), band("80", 0.18), band("50", 0.28), sold, planned, median, hover, points.add_params(near))
    chart = alt.layer(*layers).properties(
        width="container",
        height=HEIGHT,
        description="History and forecast with intervals of 50, 80 and 95 percent; the table below says the same",
    )
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec


CHARTS: dict[str, Callable[[], dict[str, Any]]] = {"forecast": forecast}


@cache
def spec(name: str) -> bytes:
    """Return a chart's specification as JSON, built at its first use; raises KeyError."""
    return json.dumps(CHARTS[name](), separators=(",", ":")).encode()
