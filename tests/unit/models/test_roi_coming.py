"""What calendars and price lists tell of times to come reaches what the media model says of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl

from tradewind import models
from tradewind.core.model import WHOLE, settle
from tradewind.core.table import Table
from tradewind.models.roi.assemble import assemble

WEEKS, AHEAD = 110, 20
DATES = np.datetime64("2022-01-03") + 7 * np.arange(WEEKS + AHEAD)
PRICE = np.where(np.arange(WEEKS + AHEAD) // 5 % 2, 1.1, 0.9)
PROMOTED = np.arange(WEEKS + AHEAD) % 9 == 4
SALE = np.arange(WEEKS + AHEAD) % 26 == 20


def days(at: Any) -> pl.Series:
    return pl.Series(DATES[at]).cast(pl.Date)


@cache
def tables() -> dict[str, Table]:
    rng = np.random.default_rng(0)
    spend = rng.gamma(3, 300, WEEKS)
    level = 9000 * PRICE**-1.5 * np.exp(0.2 * PROMOTED + 0.3 * SALE)
    known = {"date": DATES[:WEEKS], "revenue": level[:WEEKS] + 1.5 * spend + rng.normal(0, 60, WEEKS), "weather": rng.normal(9, 1, WEEKS)}
    media = {"date": DATES[:WEEKS], "channel": np.full(WEEKS, "tv", object), "spend": spend}
    listed = {"date": DATES, "product": np.full(len(DATES), "a", object), "price": 20 * PRICE}
    runs, falls = np.flatnonzero(PROMOTED), np.flatnonzero(SALE)
    ends = {"start": days(runs), "end": pl.Series(DATES[runs] + 6).cast(pl.Date)}
    return {
        "outcomes": Table.from_columns(known),
        "marketing": Table.from_columns(media),
        "prices": Table.from_columns(listed),
        "promotions": Table.from_frame(pl.DataFrame({"promotion": [f"p{at}" for at in runs], "product": ["a"] * len(runs), **ends})),
        "events": Table.from_frame(
            pl.DataFrame({"date": days(falls), "name": ["Sale"] * len(falls), "until": pl.Series(DATES[falls] + 6).cast(pl.Date)})
        ),
    }


def test_prices_promotions_and_events_to_come_are_foreseen() -> None:
    recipe = models.recipe("roi", "fast")
    state = recipe.fit(assemble(tables()), settle(recipe.knobs, {"checks": False}), 0)
    assert state.cut == WEEKS
    asked = [{"channel": WHOLE, "date": str(date)} for date in DATES[WEEKS:]]
    said = recipe.predict(state, Table.from_rows(asked, models.get("roi").asks)).column("mean")
    truth = 9000 * PRICE**-1.5 * np.exp(0.2 * PROMOTED + 0.3 * SALE)
    assert np.corrcoef(said, truth[WEEKS:])[0, 1] > 0.95
    assert np.ptp(truth[WEEKS:] - said) < 0.5 * np.ptp(truth[WEEKS:])


def test_beyond_what_a_calendar_tells_the_last_year_is_usual() -> None:
    made = assemble(tables())
    last = int(np.flatnonzero(PROMOTED)[-1])
    dates, promotion = made.column("date").astype("M8[D]"), made.column("promotion").astype("f8")
    assert (promotion[dates == DATES[last]] == 1).all() and np.isnan(promotion[dates > DATES[last]]).all()
    assert np.isnan(made.column("weather").astype("f8")[WEEKS:]).all() and len(made) == len(DATES)
    recipe = models.recipe("roi", "fast")
    state = recipe.fit(made, settle(recipe.knobs, {"checks": False}), 0)
    weather = state.other[0, :, state.controls.index("weather")]
    np.testing.assert_allclose(weather[WEEKS:], weather[WEEKS - 52 : WEEKS].mean())


def test_holidays_are_known_a_year_ahead_and_no_further() -> None:
    plain = {name: table for name, table in tables().items() if name in ("outcomes", "marketing")}
    made = assemble(plain, country="DE")
    ahead = made.column("date").astype("M8[D]") > DATES[WEEKS - 1]
    assert 51 <= ahead.sum() <= 53
    assert any(made.column(name).astype("f8")[ahead].max() > 0 for name in made.names if name.startswith("event_"))
    assert len(assemble(plain)) == WEEKS
