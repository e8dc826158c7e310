"""Customers, media and reviews of the sample company: every recorded truth is what made the tables."""

import numpy as np
import polars as pl
import pytest

from tradewind.models._kit import world
from tradewind.models._kit.world_media import USELESS, adstock, hill
from tradewind.models._kit.world_people import BEHAVIOURS
from tradewind.models._kit.world_text import SENTIMENTS


@pytest.fixture(scope="module")
def usual():
    return world.make()


def test_media_contributions_follow_from_the_spend(usual):
    spend, told = usual.tables["marketing"].frame, usual.truth.contributions.frame
    shapes = dict(zip(usual.truth.media.column("channel"), usual.truth.media.to_rows(), strict=True))
    for row in usual.truth.curves.to_rows():
        mine = (pl.col("channel") == row["channel"]) & (pl.col("geo") == row["geo"])
        shape = shapes[row["channel"]]
        stock = adstock(spend.filter(mine).sort("date")["spend"].to_numpy(), shape["adstock"])
        made = row["beta"] * hill(stock, row["half_saturation"], shape["slope"])
        assert np.allclose(made, told.filter(mine).sort("date")["contribution"], rtol=1e-4, atol=1e-4)
    assert shapes[USELESS]["roi"] == 0 and told.filter(pl.col("channel") == USELESS)["contribution"].sum() == 0
    assert all(0 < row["marginal_roi"] < row["roi"] * 1.4 for name, row in shapes.items() if name != USELESS)


def test_adstock_keeps_what_was_spent_and_only_looks_back():
    pulse = np.zeros(200)
    pulse[50] = 7.0
    carried = adstock(pulse, 0.8)
    assert carried[:50].sum() == 0 and carried.sum() == pytest.approx(7.0)
    assert carried[51] / carried[50] == pytest.approx(0.8)


def test_new_customers_add_up(usual):
    won = usual.tables["outcomes"].frame
    tracked = won.select(pl.sum_horizontal(pl.col("^new_customers_.*$"))).to_series()
    assert (tracked == won["new_customers"]).all()
    told = usual.truth.contributions.frame.group_by("date", "geo").agg(pl.col("contribution").sum(), pl.col("base").first())
    both = won.join(told, on=["date", "geo"])
    assert both["new_customers"].sum() == pytest.approx((both["contribution"] + both["base"]).sum(), rel=0.01)
    assert 0.25 < both["contribution"].sum() / both["new_customers"].sum() < 0.35


def test_lift_tests_measure_the_truth_with_their_stated_error():
    scores = []
    for seed in range(12):
        made = world.make(seed=seed, products=1, stores=4, customers=0, reviews=0)
        tests, truth = made.tables["experiments"], made.truth.experiments
        assert (truth.column("lift") > 0).all()
        scores.extend((tests.column("lift") - truth.column("lift")) / tests.column("standard_error"))
    assert np.abs(scores).max() < 4 and 0.6 < np.std(scores) < 1.4


def behaviour(made):
    orders = made.tables["orders"].frame
    last = orders["date"].max()
    baskets = orders.group_by("customer", "order").agg(
        pl.col("date").first(), pl.col("amount").sum(), pl.col("promotion").is_not_null().any().alias("promo")
    )
    span = (pl.col("date").max() - pl.col("date").min()).dt.total_days()
    found = baskets.group_by("customer").agg(
        (pl.lit(last) - pl.col("date").max()).dt.total_days().alias("recency"),
        pl.len().alias("orders"),
        pl.col("amount").mean(),
        pl.col("promo").mean(),
        (pl.lit(last) - pl.col("date").min()).dt.total_days().alias("tenure"),
        pl.when(pl.len() > 1).then(span / (pl.len() - 1)).otherwise(730.0).alias("gap"),
    )
    found = found.join(orders.group_by("customer").agg(pl.col("product").n_unique().alias("breadth")), on="customer")
    return found.join(made.truth.customers.frame.select("customer", "segment"), on="customer").sort("customer")


def test_six_behaviours_can_be_told_apart_and_noise_blurs_them():
    from scipy.cluster.vq import kmeans2

    purity = {}
    for noise in (0.5, 1.0, 1.5):
        found = behaviour(world.make(behaviour_noise=noise, reviews=0))
        names = ["recency", "orders", "amount", "promo", "tenure", "gap", "breadth"]
        values = np.column_stack([found[name].to_numpy() if name == "promo" else np.log1p(found[name].to_numpy()) for name in names])
        values = (values - values.mean(0)) / values.std(0)
        best = min((kmeans2(values, 6, minit="++", seed=at) for at in range(25)), key=lambda one: ((values - one[0][one[1]]) ** 2).sum())
        table = found.with_columns(pl.Series("cluster", best[1])).group_by("cluster", "segment").len()
        purity[noise] = table.group_by("cluster").agg(pl.col("len").max())["len"].sum() / len(found)
    assert purity[1.0] >= 0.85
    assert purity[0.5] > purity[1.0] > purity[1.5]


def test_orders_keep_to_their_customers(usual):
    orders = (
        usual.tables["orders"].frame.join(usual.truth.customers.frame, on="customer").join(usual.tables["customers"].frame, on="customer")
    )
    late = orders.filter(pl.col("left").is_not_null())
    assert ((late["date"] - late["left"]).dt.total_days() <= 15).all()  # a bargain hunter may wait two weeks
    assert ((orders["date"] - orders["joined"]).dt.total_days() >= -1).all()
    assert np.allclose(orders["amount"], orders["quantity"] * orders["unit_price"], atol=0.006)
    shares = usual.truth.customers.frame["segment"].value_counts(normalize=True)
    for one in BEHAVIOURS:
        assert shares.filter(pl.col("segment") == one.name)["proportion"][0] == pytest.approx(one.share, abs=0.03)


def test_promoted_order_lines_are_on_promotion_that_day(usual):
    orders = usual.tables["orders"].frame.filter(pl.col("promotion").is_not_null())
    both = orders.join(usual.tables["promotions"].frame.unique(["promotion", "product"]), on=["promotion", "product"])
    assert len(both) == len(orders) > 1000
    assert ((both["date"] >= both["start"]) & (both["date"] <= both["end"])).all()


def test_tastes_show_in_what_people_buy(usual):
    orders = usual.tables["orders"].frame.select("customer", "product").unique()
    truth = usual.truth
    row = {name: at for at, name in enumerate(truth.customers.column("customer"))}
    col = {name: at for at, name in enumerate(truth.products.column("product"))}
    liked = truth.affinity[[row[name] for name in orders["customer"]], [col[name] for name in orders["product"]]]
    assert liked.mean() > truth.affinity.mean() + 0.5 * truth.affinity.std()


def test_memberships_end_for_recorded_causes():
    made = world.make(customers=6000, products=8, stores=3, reviews=0)
    people = made.tables["customers"].frame.join(made.truth.customers.frame, on="customer")
    gone = people.filter(pl.col("churned").is_not_null())
    assert (gone["churned"].str.to_date() == gone["cancelled"]).all()
    assert (people["cancelled"].is_null() == people["member_cause"].is_null()).all()
    assert gone.filter(pl.col("plan") == "none").height == 0
    members = people.filter(pl.col("plan") != "none", pl.col("segment") != "new", pl.col("segment") != "lapsed")
    rate = members.group_by("plan").agg(pl.col("cancelled").is_not_null().mean())
    monthly, yearly = (rate.filter(pl.col("plan") == name)["cancelled"][0] for name in ("monthly", "yearly"))
    assert monthly > 1.5 * yearly > 0.02
    troubled = members.group_by(pl.col("complaints") >= 2).agg(pl.col("cancelled").is_not_null().mean()).sort("complaints")["cancelled"]
    assert troubled[1] > 1.4 * troubled[0]
    assert set(gone.filter(pl.col("member_cause") == "contract")["plan"]) == {"monthly"}
    lapsed = people.filter(pl.col("segment") == "lapsed")
    assert (
        lapsed["cause"].null_count() == 0
        and people.filter(pl.col("segment") != "lapsed")["cause"].null_count() == people.height - lapsed.height
    )
    assert lapsed["cause"].n_unique() == 4


def test_the_retention_test_is_fair_and_finds_its_uplift():
    made = world.make(customers=20_000, products=6, stores=2, reviews=0)
    seen = made.tables["treatments"].frame.join(made.truth.customers.frame, on="customer")
    treated = seen["arm"] == "voucher"
    assert treated.mean() == pytest.approx(0.5, abs=0.02)
    gain = seen.filter(treated)["outcome"].mean() - seen.filter(~treated)["outcome"].mean()
    assert gain == pytest.approx(seen["uplift"].mean(), abs=0.02)
    assert seen["uplift"].min() < 0 < seen["uplift"].max()
    still = world.make(customers=200, products=2, stores=1, reviews=0, uplift=0.0)
    assert np.abs(still.truth.customers.column("uplift")).max() < 0.011  # only the clip at 1 and 99 %


def test_reviews_say_what_their_labels_say(usual):
    table, truth = usual.tables["reviews"].frame, usual.truth.reviews.frame
    worth = {name: at - 1 for at, name in enumerate(SENTIMENTS)}
    felt = truth.with_columns(pl.col("sentiment").replace_strict(worth).alias("worth")).group_by("review").agg(pl.col("worth").sum().sign())
    both = table.join(felt, on="review")
    assert (both["label"].replace_strict(worth) == both["worth"]).all()
    shares = table["label"].value_counts(normalize=True)["proportion"]
    assert shares.min() > 0.1
    assert truth["aspect"].n_unique() == 7
    assert table["text"].str.contains("{", literal=True).sum() == 0
    assert table["text"].n_unique() > 0.6 * len(table)
    assert table["text"].str.contains(r"[\x{1F300}-\x{1FAFF}]").mean() > 0.03
    german = truth.filter(pl.col("language") == "de")["review"].n_unique()
    assert 0.01 < german / len(table) < 0.06
    assert (
        table.filter(pl.col("label") == "positive")["rating"].mean() - table.filter(pl.col("label") == "negative")["rating"].mean()
    ) > 1.5
