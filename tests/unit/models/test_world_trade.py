"""The shop floor of the sample company: every recorded truth of demand is what made its sales."""

from dataclasses import replace
from datetime import date

import holidays
import numpy as np
import polars as pl
import pytest

from tradewind.models._kit import world, world_promotions, world_sales
from tradewind.models._kit.world_days import easter, make_days
from tradewind.models._kit.world_trade import Wish, make_trade


@pytest.fixture(scope="module")
def usual():
    return world.make()


@pytest.fixture(scope="module")
def clean():
    """The usual shop floor with nothing between what is wanted and what is sold."""
    return world.make(seed=5, anomalies=0.0, stockouts=0.0, customers=0, reviews=0)


@pytest.fixture(scope="module")
def known(usual):
    """Sales beside the oracle."""
    return usual.tables["sales"].frame.join(usual.truth.mean.frame, on=["date", "product", "store"], maintain_order="left")


def day(text):
    return np.datetime64(text, "D")


def test_the_oracle_stands_beside_every_row_of_sales(usual):
    for column in ("date", "product", "store"):
        assert (usual.tables["sales"].column(column) == usual.truth.mean.column(column)).all()
    assert (usual.truth.mean.column("mean") > 0).all()


def test_sales_scatter_around_the_true_mean_as_stated(clean):
    units, mean = clean.tables["sales"].column("units"), clean.truth.mean.column("mean")
    assert units.sum() / mean.sum() == pytest.approx(1.0, abs=0.01)
    noise = clean.truth.noise
    dispersion = dict(zip(clean.truth.products.column("product"), clean.truth.products.column("dispersion"), strict=True))
    spread = np.array([dispersion[name] for name in clean.truth.mean.column("product")])
    hidden = np.exp(noise["store_day"] ** 2 + noise["category_week"] ** 2) - 1
    expected = mean + ((1 + spread) * (1 + hidden) - 1) * mean**2
    assert ((units - mean) ** 2 / expected).mean() == pytest.approx(1.0, abs=0.06)


def test_without_noise_only_counting_is_left():
    made = world.make(noise=0.0, anomalies=0.0, stockouts=0.0, products=10, stores=3, customers=0, reviews=0)
    units, mean = made.tables["sales"].column("units"), made.truth.mean.column("mean")
    assert ((units - mean) ** 2 / mean).mean() == pytest.approx(1.0, abs=0.05)


def test_the_usual_world_is_sized_like_a_shop(known):
    by_series = known.group_by("product", "store").agg(pl.col("units").mean())["units"]
    assert by_series.quantile(0.05) >= 2 and by_series.quantile(0.95) <= 40
    assert 0.08 <= known["promotion"].mean() <= 0.2


def test_the_oracle_leaves_room_for_the_bar(usual, known):
    """1 - WAPE by store x category x week: the oracle well over 0.85, repeating last week well under it."""
    named = known.join(usual.tables["products"].frame.select("product", "category"), on="product")
    last = named["date"].max()
    weeks = named.with_columns(((pl.lit(last) - pl.col("date")).dt.total_days() // 7).alias("week"))
    sums = weeks.group_by("store", "category", "week").agg(pl.col("units", "mean").sum())
    recent = sums.filter(pl.col("week") < 4)
    before = sums.filter(pl.col("week") == 4).select("store", "category", pl.col("units").alias("before"))
    recent = recent.join(before, on=["store", "category"])
    units = recent["units"].to_numpy()

    def score(name):
        return 1 - np.abs(units - recent[name].to_numpy()).sum() / units.sum()

    assert 0.92 <= score("mean") <= 0.97
    assert score("before") <= 0.85


def centred(frame, name, by):
    return frame[name].to_numpy() - frame.select(pl.col(name).mean().over(by)).to_series().to_numpy()


@pytest.mark.parametrize(("name", "within"), [("mean", 0.12), ("units", 0.45)])
def test_elasticities_can_be_measured(clean, name, within):
    """Price tests by store, against the same day in the other stores, give back the true own elasticities."""
    sales = clean.tables["sales"].frame.with_columns(clean.truth.mean.frame["mean"])
    sales = sales.join(clean.tables["stores"].frame.select("store", "region"), on="store")
    calm = sales.filter(pl.col("promotion").max().over("product", "date") == 0, pl.col("units") > 0)
    calm = calm.with_columns(pl.col("price").log().alias("x"), pl.col(name).log().alias("y"))
    found, true = [], clean.truth.products.column("elasticity")
    for product in clean.truth.products.column("product"):
        own = calm.filter(pl.col("product") == product)
        for _ in range(4):  # alternate projections take out day and store effects
            own = own.with_columns(*(pl.Series(column, centred(own, column, by)) for column in ("x", "y") for by in ("date",)))
            own = own.with_columns(*(pl.Series(column, centred(own, column, by)) for column in ("x", "y") for by in ("store",)))
        x, y = own["x"].to_numpy(), own["y"].to_numpy()
        found.append((x @ y) / (x @ x))
    assert np.abs(np.array(found) - true).mean() < within
    assert abs(np.mean(found) - true.mean()) < 0.25


def test_cross_effects_have_the_right_signs(usual):
    matrix = usual.truth.elasticity
    category = usual.truth.products.column("category")
    same = category[:, None] == category[None]
    off = ~np.eye(len(matrix), dtype=bool)
    assert (np.diagonal(matrix) < -0.8).all()
    assert (matrix[same & off] > 0).all()
    assert (matrix[~same] <= 0).all() and (matrix[~same] < 0).any()
    assert (np.diagonal(matrix) == usual.truth.products.column("elasticity")).all()


def wish(**changes):
    base = Wish(3, "2024-01-01", 365, 60, 12, 3, 0, 1.0, 1.0, 0.0, "product", 0.0, 1.0, 1.0, 0, False)
    return replace(base, **changes)


def test_the_account_of_a_promotion_is_the_difference_it_makes():
    """Take one promotion out of the calendar, work out demand again, and compare with its recorded account."""
    trade = make_trade(wish())
    plan = trade.effects.plan
    told = world_promotions.account(trade.effects, trade.market, trade.prices, trade.days, mean=trade.demand.mean, costs=trade.costs)
    assert len(plan) > 20
    for at in (0, 7, len(plan) - 1):
        rest = world_promotions.apply(3, trade.market, trade.prices, trade.days, plan[:at] + plan[at + 1 :])
        without = world_sales.make_demand(trade.market, trade.prices, rest, trade.days)
        assert (trade.demand.mean - without.mean).sum() == pytest.approx(told["net"][at], rel=1e-6, abs=1e-6)
        event = plan[at]
        own = (trade.demand.mean - without.mean)[event.cells].sum()
        assert own == pytest.approx(told["gross"][at], rel=1e-6)


def test_promotions_cost_borrow_and_take_from_their_neighbours(usual):
    told = usual.truth.promotions.frame
    assert (told["gross"] > 0).mean() > 0.98
    assert (told["pulled_forward"] <= 1e-9).all() and (told["cannibalised"] <= 1e-9).all()
    assert told["halo"].sum() > 0
    assert 0.5 < told["net"].sum() / told["gross"].sum() < 0.8
    assert 0.15 < (told["roi"] > 0).mean() < 0.6
    paid = usual.tables["promotions"].frame.group_by("promotion").agg(pl.col("cost").sum()).join(told, on="promotion")
    assert np.allclose(paid["cost"], paid["cost_right"])


def test_the_baseline_is_the_world_without_promotions():
    sizes = {"products": 8, "stores": 3, "years": 0.5, "customers": 0, "reviews": 0}
    with_them, without = world.make(**sizes), world.make(promotions=0.0, **sizes)
    assert len(without.tables["promotions"]) == 0
    assert np.allclose(with_them.truth.mean.column("baseline"), without.truth.mean.column("mean"))
    assert not np.allclose(with_them.truth.mean.column("mean"), without.truth.mean.column("mean"))


def test_sales_prices_are_shelf_prices_less_the_taken_discount(usual):
    sales = usual.tables["sales"].frame.sort("date")
    shelf = usual.tables["prices"].frame.sort("date").select("date", "product", "store", pl.col("price").alias("shelf"))
    both = sales.join_asof(shelf, on="date", by=["product", "store"], check_sortedness=False)
    calm, promoted = both.filter(pl.col("promotion") == 0), both.filter(pl.col("promotion") == 1)
    assert (calm["price"] == calm["shelf"]).all()
    assert (promoted["price"] <= promoted["shelf"]).all() and (promoted["price"] < promoted["shelf"]).mean() > 0.5
    assert np.allclose(sales["revenue"], sales["units"] * sales["price"], atol=0.006)


def test_the_flag_in_sales_is_the_calendar(usual):
    plan = usual.tables["promotions"].frame.filter(pl.col("start") <= pl.lit(date.fromisoformat(usual.end)))
    days = plan.select("product", "store", pl.date_ranges("start", "end").alias("date")).explode("date").unique()
    flagged = usual.tables["sales"].frame.filter(pl.col("promotion") == 1).select("product", "store", "date")
    assert flagged.join(days, on=["product", "store", "date"], how="anti").height == 0
    missed = days.filter(pl.col("date") <= pl.lit(date.fromisoformat(usual.end))).join(flagged, on=["product", "store", "date"], how="anti")
    closed = np.setdiff1d(np.arange(day(usual.start), day(usual.end) + 1), usual.tables["sales"].column("date"))
    assert set(missed["date"].to_numpy().astype("M8[D]")) <= set(closed)


@pytest.mark.parametrize("level", ["product", "store x category", "product x store"])
def test_incidents_change_their_rows_and_no_others(level):
    sizes = {"products": 12, "stores": 3, "customers": 0, "reviews": 0, "stockouts": 0.0, "anomaly_level": level}
    dirty, calm = world.make(anomalies=4.0, **sizes), world.make(anomalies=0.0, **sizes)
    changed = dirty.tables["sales"].frame.with_columns(calm.tables["sales"].frame["units"].alias("plain"))
    changed = changed.join(dirty.tables["products"].frame.select("product", "category"), on="product").with_columns(
        pl.lit(False).alias("hit")
    )
    kinds: dict[str, list[float]] = {}
    for row in dirty.truth.anomalies.to_rows():
        inside = pl.col("date").is_between(pl.lit(date.fromisoformat(row["start"])), pl.lit(date.fromisoformat(row["end"])))
        for key in ("product", "category", "store"):
            if row[key] is not None and (key != "category" or level == "store x category"):
                inside &= pl.col(key) == row[key]
        changed = changed.with_columns((pl.col("hit") | inside).alias("hit"))
        touched = changed.filter(inside)
        assert touched.height > 0
        sums = kinds.setdefault(row["kind"], [0.0, 0.0, 0.0])
        sums[0] += touched["units"].sum()
        sums[1] += touched["plain"].sum()
        sums[2] += row["factor"] * touched["plain"].sum()
    assert len(kinds) == 6
    assert (changed.filter(~pl.col("hit"))["units"] == changed.filter(~pl.col("hit"))["plain"]).all()
    assert kinds["zero"][0] == 0 and kinds["zero"][1] > 0
    for name, (after, before, expected) in kinds.items():
        assert after == pytest.approx(expected, rel=0.12, abs=5), name
        assert after != before


def test_incidents_come_as_often_as_asked():
    made = world.make(anomalies=12.0, customers=0, reviews=0)
    told = made.truth.anomalies.frame
    assert len(told) / 60 / 2 == pytest.approx(12, rel=0.2)
    shares = told["kind"].value_counts(normalize=True)["proportion"].to_numpy()
    assert len(shares) == 6 and shares.min() > 0.08
    gaps = told.sort("product", "start").with_columns((pl.col("start") - pl.col("end").shift(1).over("product")).alias("gap"))
    assert gaps["gap"].drop_nulls().dt.total_days().min() > 9


def test_empty_shelves_cut_sales(usual, known):
    told = usual.truth.stockouts.frame
    assert (told["sold"] < told["demand"]).all()
    assert 0.003 < len(told) / len(known) < 0.04
    rows = known.join(told, on=["date", "product", "store"])
    assert len(rows) == len(told)
    assert (rows["units"] == rows["sold"]).all() and (rows["stock"] == 0).all()
    assert ((rows["stock"] == 0) & (rows["units"] == 0)).sum() > 100
    free = world.make(stockouts=0.0, customers=0, reviews=0, products=6, stores=2, years=0.5)
    assert len(free.truth.stockouts) == 0 and (free.tables["sales"].column("stock") > 0).all()


def test_the_plan_goes_on_past_the_end_of_sales(usual):
    end = day(usual.end)
    planned = usual.tables["promotions"].frame
    assert (planned["start"].to_numpy().astype("M8[D]") > end + 20).any()
    assert planned["end"].to_numpy().astype("M8[D]").max() <= end + usual.plan
    assert (usual.tables["prices"].column("date") > end).any()
    assert (usual.tables["events"].column("date") > end).any()
    future = usual.truth.future.column("date")
    assert future.min() > end and future.max() == end + usual.plan
    assert len(np.unique(future)) >= usual.plan - 1  # New Year's Day is closed


def test_ranges_and_stores_come_and_go(usual):
    sales = usual.tables["sales"].frame
    (store, last), *_ = usual.truth.closed_stores.items()
    assert sales.filter(pl.col("store") == store)["date"].max() <= pl.Series([last]).str.to_date()[0] < sales["date"].max()
    launched = usual.tables["products"].frame.filter(pl.col("launch") > sales["date"].min())
    assert launched.height >= 1
    for product, launch in launched.select("product", "launch").rows():
        assert (sales.filter(pl.col("product") == product)["date"].min() - launch).days in (0, 1)
    ends = sales.group_by("product").agg(pl.col("date").max())["date"]
    assert (ends < sales["date"].max()).sum() >= 1


def test_holidays_move_as_the_public_calendar_does():
    for year in range(1995, 2060):
        assert easter(year) - 2 in {np.datetime64(at, "D") for at in holidays.country_holidays("DE", years=year)}
    made = make_days(1, start=np.datetime64("2023-01-01"), history=1200, plan=60, tail=35, regions=2)
    ours = {day(at) for at, kind in zip(made.events["date"], made.events["kind"], strict=True) if kind == "holiday"}
    theirs = {day(at) for at in holidays.country_holidays("DE", years=range(2023, 2027)) if at.isoformat() <= str(made.dates[1259])}
    assert ours == theirs
    assert made.closed.sum() == 7  # 1 January of 2023 to 2026 and 25 December of 2023 to 2025
    assert (made.weekday[np.isin(made.dates, [np.datetime64("2024-01-01")])] == 0).all()


def test_seasons_are_indices_and_show_in_the_baseline(clean):
    week = clean.truth.week.frame.group_by("category").agg(pl.col("index").mean())
    year = clean.truth.year.frame.group_by("category").agg(pl.col("index").mean())
    assert np.allclose(week["index"], 1) and np.allclose(year["index"], 1)
    named = clean.truth.mean.frame.join(clean.tables["products"].frame.select("product", "category"), on="product")
    inside = named.filter(pl.col("date").is_between(pl.date(2024, 6, 3), pl.date(2024, 6, 30)))  # four whole weeks
    got = inside.group_by("category", (pl.col("date").dt.weekday() - 1).cast(pl.Int64).alias("weekday")).agg(pl.col("baseline").sum())
    both = got.join(clean.truth.week.frame, on=["category", "weekday"])
    both = both.with_columns(pl.col("baseline") / pl.col("baseline").mean().over("category"))
    assert np.abs(both["baseline"] / both["index"] - 1).max() < 0.08  # local festivals fall inside


def test_a_confounded_world_misleads_the_naive_regression():
    """Prices that chase demand bias the plain slope upwards; randomised tests do not."""

    def slope(made):
        sales = made.tables["sales"].frame.filter(pl.col("promotion") == 0, pl.col("units") > 0)
        sales = sales.with_columns(pl.col("price").log().alias("x"), pl.col("units").log().alias("y"))
        for _ in range(3):
            for by in (["product", "date"], ["product", "store"]):
                sales = sales.with_columns(*(pl.Series(name, centred(sales, name, by)) for name in ("x", "y")))
        x, y = sales["x"].to_numpy(), sales["y"].to_numpy()
        return (x @ y) / (x @ x)

    sizes = {"products": 20, "stores": 6, "customers": 0, "reviews": 0, "anomalies": 0.0, "stockouts": 0.0, "seed": 2}
    fair, biased = world.make(**sizes), world.make(confounded=True, **sizes)
    true = fair.truth.products.column("elasticity").mean()
    assert abs(slope(fair) - true) < 0.35
    assert slope(biased) > true + 0.8
