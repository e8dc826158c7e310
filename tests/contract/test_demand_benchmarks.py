"""The protocols and measures of the demand benchmarks: what a desk is shown, when, and how its answers are scored."""

from __future__ import annotations

import datetime as dt
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from benchmarks import _measures as measures  # noqa: E402 - benchmarks is beside the tests, not installed
from benchmarks import _peers, cold, company, demand_real, orangejuice, pasta  # noqa: E402
from benchmarks._demand import Sales, ends_of, intermittent, m5_small, orange_juice, repeated, stallion  # noqa: E402
from benchmarks._demand import pasta as pasta_sales  # noqa: E402
from benchmarks._run import DATA, Failed  # noqa: E402

import tradewind  # noqa: E402
from tradewind.core.model import quantile_name  # noqa: E402

real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not here")
STEPS = {"day": dt.timedelta(days=1), "week": dt.timedelta(weeks=1)}


def made(*, series: int, periods: int, grain: str = "day", gaps: tuple[int, ...] = (), names: str = "B{}_{}") -> Sales:
    """Make units that no two series and days share, with a price that is known ahead and a temperature that is not."""
    first = dt.date(2017, 1, 2)
    rows = [
        {"date": first + STEPS[grain] * at, "product": names.format(1 + number % 2, number), "units": 10.0 + 7 * number + at % 23}
        | {"price": 1.0 + number + at / 1000, "temperature": float(at)}
        for number in range(series)
        for at in range(periods)
        if at not in gaps
    ]
    return Sales(pl.DataFrame(rows), ("price",), grain)


class Oracle:
    """A desk that answers with what came, `late` periods off, and notes what it was shown before every answer."""

    def __init__(self, sales: Sales, *, late: int = 0) -> None:
        self.sales, self.late = sales, late
        self.rows = sales.frame.clear()
        self.calls: list[str] = []
        self.shown: list[pl.DataFrame] = []

    def load(self, frame: pl.DataFrame, table: str) -> None:
        if table == "sales":
            self.rows = pl.concat([self.rows, frame]).unique([*self.sales.keys, "date"], keep="last")

    def train(self, model: str, *, recipes=None, params=None, seed: int, budget) -> SimpleNamespace:
        self.calls.append("train")
        board = pl.DataFrame({"recipe": list(recipes or ("ensemble", "naive"))})
        return SimpleNamespace(table=SimpleNamespace(frame=board), source={"recipe": "ensemble"})

    def promote(self, model: str, *, force: bool, reason: str) -> None:
        self.calls.append("promote")

    def update(self, model: str) -> None:
        self.calls.append("update")

    def evaluate(self, model: str, *, folds: int, horizon: int, seed: int) -> SimpleNamespace:
        columns = {"recipe": ["naive", "lstm"], "wape": [0.4, 0.2], "mase": [1.0, 0.5], "bias": [0.0, 0.0]}
        return SimpleNamespace(table=SimpleNamespace(frame=pl.DataFrame(columns | {"coverage_80": [0.8, 0.8], "seconds": [0.0, 1.0]})))

    def predict(self, model: str, asked: pl.DataFrame, *, quantiles=()) -> SimpleNamespace:
        self.shown.append(self.rows)
        truth = self.sales.frame.select(*self.sales.keys, "units", pl.col("date") - STEPS[self.sales.grain] * self.late)
        said = asked.join(truth, on=[*self.sales.keys, "date"], how="left", maintain_order="left")
        value = pl.col("units").fill_null(0.0)
        names = ["mean", "p50", "least_mape", *(f"{side}{level}" for level in (80, 90, 95) for side in ("lo", "hi"))]
        names += [quantile_name(level) for level in quantiles]
        frame = said.select(*self.sales.keys, "date", *(value.alias(name) for name in names)).sample(fraction=1, shuffle=True, seed=1)
        return SimpleNamespace(table=SimpleNamespace(frame=frame))

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, *_: object) -> None:
        return


@pytest.fixture
def desks(monkeypatch):
    """Give a function that puts an oracle behind `tradewind.open`, a new one each time, and returns them as they open."""

    def place(sales: Sales, **options) -> list[Oracle]:
        opened: list[Oracle] = []

        @contextmanager
        def open_(folder, **_):
            opened.append(Oracle(sales, **options))
            yield opened[-1]

        monkeypatch.setattr(tradewind, "open", open_)
        return opened

    return place


def last_known(rows: pl.DataFrame) -> dt.date:
    """Return the last date of which anything but the plan was shown."""
    known = rows.filter(pl.any_horizontal(pl.col("units", "temperature").is_not_null()))["date"].max()
    assert isinstance(known, dt.date)
    return known


def test_what_is_known_at_a_cutoff_is_the_past_and_the_plan():
    sales = made(series=2, periods=20)
    known = sales.known(sales.dates[9], sales.dates[12], since=sales.dates[4])
    assert (known["date"].min(), known["date"].max()) == (sales.dates[5], sales.dates[12])
    after = known.filter(pl.col("date") > sales.dates[9])
    assert after["units"].null_count() == after["temperature"].null_count() == len(after) == 6
    assert after["price"].null_count() == 0
    assert last_known(known) == sales.dates[9]


def test_nothing_lies_ahead_where_nothing_is_planned():
    sales = made(series=2, periods=20)
    bare = Sales(sales.frame.drop("price"), (), "day")
    assert bare.known(bare.dates[9], bare.dates[12])["date"].max() == bare.dates[9]


def test_a_matrix_has_gaps_where_there_is_no_row_and_keeps_the_order_of_series():
    sales = made(series=3, periods=20, gaps=(4,))
    units = sales.units(sales.dates[3:6])
    assert units.shape == (3, 3)
    assert np.isnan(units[:, 1]).all()
    assert sales.series["product"].to_list() == ["B1_0", "B1_2", "B2_1"]
    assert units[:, 0].tolist() == [13.0, 27.0, 20.0]


def test_rows_that_stand_twice_are_noticed():
    sales = made(series=2, periods=5)
    with pytest.raises(Failed, match="more than one row"):
        sales.laid(pl.concat([sales.frame, sales.frame]), "units", sales.dates)


def test_pasta_learns_once_moves_on_and_is_scored_on_the_right_days(desks):
    sales = made(series=4, periods=400, gaps=(200, 390))
    opened = desks(sales)
    done = pasta.windows(sales)
    assert opened[0].calls == ["train", "promote", *["update"] * 9]
    ends = ends_of(sales, blocks=10, horizon=28)
    assert [last_known(rows) for rows in opened[0].shown] == [sales.dates[end] for end in ends]
    assert [rows["date"].max() for rows in opened[0].shown] == [sales.dates[end + 28] for end in ends]
    assert all(max(scores) == 0 for scores in done.scores.values())
    assert all(row.passed is False and row.ours == "1" for row in done.covered("sure"))  # an oracle's bands always hold: too often
    assert sales.dates[ends[-1] + 28] == sales.dates[-1]


def test_a_forecast_that_is_a_day_off_is_an_error(desks):
    sales = made(series=4, periods=400)
    desks(sales, late=1)
    done = pasta.windows(sales)
    assert min(done.scores["SQL"]) > 0.1
    assert min(done.scores["WAPE"]) > 0.01


@real_data
def test_seasonal_naive_has_the_published_figures():
    naive = pasta.seasonal_naive(pasta_sales(promotions=False))
    row = pasta.published().filter(pl.col("model_name") == "Seasonal Naive").to_dicts()[0]
    assert naive["WAPE"] == pytest.approx(row["WAPE"], abs=1e-6)
    assert naive["MASE"] == pytest.approx(row["MASE"], abs=1e-6)


@real_data
def test_every_published_row_is_there():
    board = pasta.published()
    assert len(board) == 30
    assert board.filter(pl.col("trained_on_this_dataset"))["model_name"].to_list() == ["Moirai-2.0"]
    assert set(pasta.FROM_THE_DATA_ALONE) < set(board["model_name"])


@real_data
def test_the_real_sets_have_their_known_sizes_and_no_plan_that_leaks():
    sets = {sales.__name__: sales() for sales in (pasta_sales, stallion, m5_small, intermittent, orange_juice)}
    sizes = {name: (len(sales.series), len(sales.dates)) for name, sales in sets.items()}
    assert sizes == {
        "pasta": (118, 1825),
        "stallion": (350, 60),
        "m5_small": (8, 1969),
        "intermittent": (1, 731),
        "orange_juice": (913, 121),
    }
    assert not {"industry_volume", "soda_volume", "avg_max_temp", "units"} & set(sets["stallion"].planned)
    juice = sets["orange_juice"].frame.filter(pl.col("product") == "brand 05", pl.col("store") == "store 002").sort("date")
    raw = pl.read_parquet(DATA / "promo_price/bayesm_scanner/orangejuice_yx.parquet").filter(pl.col("brand") == 5, pl.col("store") == 2)
    assert juice["price"].to_list() == raw.sort("week")["price5"].to_list()


def test_orange_juice_asks_for_two_weeks_after_a_gap(desks):
    sales = made(series=3, periods=121, grain="week", gaps=(98,))
    opened = desks(sales)
    done = orangejuice.rounds(sales)
    assert len(done.truth) == 10
    every = orangejuice.TRAIN_EVERY
    assert opened[0].calls == [call for number in range(10) for call in (["update"] if number % every else ["train", "promote"])]
    assert [last_known(rows) for rows in opened[0].shown] == [sales.dates[week - 40] for week in range(135, 154, 2)]
    assert np.isnan(done.truth[0][:, 1]).all()  # week 138 is missing in these sales
    assert done.truth[1][0].tolist() == [10.0 + 99 % 23, 10.0 + 100 % 23]
    assert done.error("median") == 0
    assert done.error("point") == 0
    assert done.error("derived") == pytest.approx(0)
    assert done.error("naive") > 1


def test_cold_products_are_unseen_until_the_update(desks):
    sales = made(series=60, periods=120)
    opened = desks(sales)
    chosen = cold.drawn(sales, 0)
    assert len(set(chosen)) == 24
    assert chosen == cold.drawn(sales, 0) != cold.drawn(sales, 1)
    some = sales.only(pl.col("product").is_in(chosen))
    seen: list[set[str]] = []
    train = Oracle.train
    try:
        Oracle.train = lambda self, *args, **kwargs: (seen.append(set(self.rows["product"])), train(self, *args, **kwargs))[1]
        found = cold.newly_known(sales, some)
    finally:
        Oracle.train = train
    assert seen == [set(sales.series["product"]) - set(chosen)]
    assert opened[0].calls == ["train", "promote", "update"]
    shown = opened[0].shown[0].filter(pl.col("product").is_in(chosen), pl.col("units").is_not_null())
    assert set(shown.group_by("product").len()["len"]) == {7}
    assert shown["date"].max() == sales.dates[-29]
    dates = sales.dates[-28:]
    assert measures.wape(some.units(dates), some.laid(found, "p50", dates)) == 0


def test_real_sets_are_trained_anew_at_every_cutoff(desks):
    sales = made(series=5, periods=300)
    opened = desks(sales)
    rows = demand_real._case("made", demand_real.Case(lambda: sales, 30, 3, must=True))
    trained = [desk for desk in opened if desk.calls]
    assert [last_known(desk.shown[0]) for desk in trained] == [sales.dates[-91], sales.dates[-61], sales.dates[-31]]
    barred = [row for row in rows if row.passed is not None]
    assert len(barred) == 3
    assert all(row.passed for row in barred)
    assert any("lstm" in row.check for row in barred)


def test_a_recipe_that_is_not_on_the_leaderboard_falls_short():
    assert demand_real._alone("made", pl.DataFrame({"recipe": ["naive"], "wape": [0.4]}), 0.4).passed is False


def test_naive_forecasts_carry_gaps_forward():
    past = np.array([[1.0, 2, 3, 4, 5, 6, 7, 8, np.nan, 10, 11, 12, 13, 14]])
    assert repeated(past, 9, 7)[0].tolist() == [8, 8, 10, 11, 12, 13, 14, 8, 8]


def test_measures_by_hand():
    past = np.array([[1.0, 3, 2, np.nan, 5], [2, 2, 2, 2, 2], [np.nan, 1, np.nan, 2, np.nan]])
    scales = measures.scale(past, 1)
    assert scales.tolist() == [1.5, 0.0, 1.0]  # no pair at all: 1, as published
    truth, said = np.array([[2.0, np.nan], [1, 1], [4, 0]]), np.array([[5.0, 9], [3, 3], [4, 1]])
    assert measures.mase(truth, said, scales) == pytest.approx((2 + 0 + 1) / 3)  # what has no scale is left out
    assert measures.wape(truth, said) == pytest.approx(8 / 8)
    assert measures.wape(truth / 100, said / 100, least=1.0) == pytest.approx(0.08 / 5)
    quantiles = np.stack([said, said + 1], 2)
    assert measures.losses(truth, quantiles, (0.1, 0.9))[0, 0] == pytest.approx((2 * 3 * 0.9 + 2 * 4 * 0.1) / 2)
    assert measures.losses(np.array([[9.0]]), np.array([[[5.0, 6.0]]]), (0.1, 0.9))[0, 0] == pytest.approx((2 * 4 * 0.1 + 2 * 3 * 0.9) / 2)
    assert measures.mape(np.array([2.0, np.nan, 4]), np.array([1.0, 1, 5])) == pytest.approx(37.5)
    assert measures.coverage(truth, said - 2, said) == pytest.approx(4 / 5)


def test_company_totals_are_four_whole_weeks_beside_the_oracle():
    world = company.make(seed=3, years=0.75, products=8, stores=2, customers=0, reviews=0)
    cutoff = company.cutoff_of(world)
    assert cutoff.weekday() == 6
    assert 28 <= (dt.date.fromisoformat(world.end) - cutoff).days < 35
    totals = company.totals_of(world, cutoff)
    assert totals["week"].unique().sort().to_list() == [cutoff + dt.timedelta(days=1 + 7 * week) for week in range(4)]
    sales = world.tables["sales"].frame.filter(pl.col("date").is_between(cutoff, cutoff + dt.timedelta(days=28), closed="right"))
    assert totals["truth"].sum() == pytest.approx(sales["units"].sum())
    assert 0.7 < company.accuracy(totals, "oracle") < 1
    said = totals.select(*company.BY, mean="truth", p50="truth", lo80="truth", hi80="truth")
    assert company.accuracy(company._joined(totals, said), "mean") == 1
    with pytest.raises(Failed, match="were not answered"):
        company._joined(totals, said.head(3))


def test_company_effects_are_compared_with_the_truth_of_their_product():
    world = company.make(seed=3, years=0.75, products=8, stores=2, customers=0, reviews=0)
    truth = world.truth.products.frame
    stated = truth.select("product", lever=pl.lit("price"), effect="elasticity", lo80="elasticity", hi80="elasticity", lo95="elasticity")
    stated = stated.with_columns(hi95=pl.col("effect"))
    lifts = stated.with_columns(lever=pl.lit("promotion"), effect=pl.lit(0.0))
    found = company.with_truth(world, pl.concat([stated, lifts]), company.cutoff_of(world))
    price = found.filter(pl.col("lever") == "price")
    assert len(price) == 8
    assert price["effect"].to_list() == price["true"].to_list()
    assert all(row.passed for row in company._inside("price", price))
    lift = found.filter(pl.col("lever") == "promotion")
    assert len(lift) > 3
    assert 0 <= lift["true"].min() <= lift["true"].max() < 1.2
    assert company._inside("promotion", found.clear())[0].passed is False


def test_peers_see_the_past_from_the_first_sale_and_only_the_plan_after_it():
    sales = made(series=2, periods=60, gaps=(30,))
    late = pl.when(pl.col("product") == "B1_0", pl.col("date") < sales.dates[10]).then(0.0).otherwise(pl.col("units")).alias("units")
    sales = Sales(sales.frame.with_columns(late), ("price",), "day")
    past, coming, planned = _peers.long(sales, 49, 5)
    assert planned == ["price"]
    assert past.groupby("unique_id").size().to_dict() == {"B1_0": 40, "B2_1": 50}
    assert past["ds"].max() == np.datetime64(sales.dates[49])
    assert len(coming) == 10
    assert "y" not in coming
    assert not past.isna().any().any()
    assert not coming.isna().any().any()
