"""Outcomes of a row per day and channel, as analytics tools export them."""

from __future__ import annotations

import datetime as dt

import polars as pl

import tradewind as tw
from tradewind.core.schema import Role
from tradewind.models.acquisition.assemble import assemble
from tradewind.models.roi.assemble import assemble as media


def exported(**more):
    rows = [
        ("Paid Search", 3, 40, 0.4),
        ("Direct", 5, 60, 0.6),
        ("Paid Search", 4, 50, 0.5),
        ("Direct", 6, 70, 0.7),
        ("Direct", 7, 80, 0.8),
    ]
    days = ["2025-01-01", "2025-01-01", "2025-01-02", "2025-01-02", "2025-01-03"]
    names = ("Session default channel group", "Conversions", "New users", "Engagement rate")
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    return pl.DataFrame({"Date": days, **columns, **more})


def loaded(frame, **options):
    desk = tw.open()
    said = desk.load(frame, table="outcomes", **options)
    kept = desk.show("outcomes").table.frame.sort("date")
    desk.close()
    return kept, said


def test_a_row_per_channel_becomes_a_column_per_channel():
    kept, said = loaded(exported())
    assert kept["Conversions"].to_list() == [8, 10, 7]
    assert kept["Conversions Paid Search"].to_list() == [3, 4, 0]
    assert kept["Conversions Direct"].to_list() == [5, 6, 7]
    assert "Session default channel group" not in kept.columns, "a sum is of no one channel"
    assert said.fact("channels") == "Direct, Paid Search"


def test_a_mapped_column_of_channels_is_one_too():
    kept, _ = loaded(exported().rename({"Session default channel group": "Medium"}), map={"Medium": "channel"})
    assert kept["Conversions Direct"].to_list() == [5, 6, 7]


def test_rates_are_averaged_however_they_are_written():
    for name in ("Engagement rate", "bounceRate", "Avg. session duration", "cost-per-lead"):
        kept, _ = loaded(exported().rename({"Engagement rate": name}))
        assert kept[name].to_list() == [0.5, 0.6, 0.8], name
        assert f"{name} Direct" not in kept.columns


def test_a_text_that_differs_within_a_day_is_not_told_of_the_sum():
    kept, said = loaded(exported(campaign=["a", "b", "a", "b", "b"]).drop("Session default channel group"))
    assert "campaign" not in kept.columns
    assert said.fact("columns_left_out") == "campaign"


def test_a_channel_column_of_one_row_per_day_stays():
    kept, _ = loaded(exported().unique("Date", keep="last", maintain_order=True))
    assert kept.columns == ["date", "Session default channel group", "Conversions", "New users", "Engagement rate"]


def test_acquisition_forecasts_each_channel():
    """Also of the only figure there is, whatever it is called."""
    days = pl.date_range(pl.date(2025, 1, 1), pl.date(2025, 3, 31), "1d", eager=True)
    size = {"Direct": 40, "Email": 9}
    frame = pl.concat(
        pl.DataFrame({"date": days, "channel": [name] * len(days), "Anfragen": [count + at % 7 for at in range(len(days))]})
        for name, count in size.items()
    )
    desk = tw.open()
    desk.load(frame, table="outcomes")
    desk.train("acquisition", recipes="naive")
    desk.promote("acquisition", force=True, reason="a test")
    said = desk.predict("acquisition", horizon=7).table.frame.group_by("channel").agg(pl.col("mean").mean()).sort("channel")
    desk.close()
    assert said["channel"].to_list() == ["Direct", "Email"]
    assert abs(said["mean"] - pl.Series([43.0, 12.0])).max() < 1


def test_a_channel_that_a_later_file_leaves_out_won_nobody():
    days = pl.date_range(pl.date(2025, 1, 1), pl.date(2025, 2, 28), "1d", eager=True)
    frame = pl.concat(pl.DataFrame({"date": days, "channel": [name] * 59, "leads": [40 + at % 7 for at in range(59)]}) for name in "abc")
    later = pl.DataFrame({"date": ["2025-03-01"] * 2, "channel": ["a", "b"], "leads": [44, 22]})
    desk = tw.open()
    for one in (frame, later):
        desk.load(one, table="outcomes")
    made = assemble({"outcomes": desk.table("outcomes")}).frame.filter(pl.col("date") == pl.date(2025, 3, 1))
    desk.close()
    assert made.sort("channel")["acquired"].to_list() == [44, 22, 0]


def test_what_is_credited_to_channels_is_no_control_of_media():
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=7 * at) for at in range(60)]
    frame = pl.concat(
        pl.DataFrame({"date": days, "channel": [name] * 60, "conversions": [40 + at % 7 for at in range(60)], "visits": range(60)})
        for name in ("Paid", "Direct")
    )
    spent = pl.DataFrame({"date": days, "channel": ["tv"] * 60, "spend": [100.0 + at % 11 for at in range(60)]})
    desk = tw.open()
    desk.load(frame, table="outcomes")
    desk.load(spent, table="marketing")
    outcomes = desk.table("outcomes")
    made = media({"outcomes": outcomes, "marketing": desk.table("marketing")})
    desk.close()
    assert outcomes.schema.get("conversions Paid").role is Role.PAST
    assert not [name for name in made.names if "visits" in name or "Paid" in name]
