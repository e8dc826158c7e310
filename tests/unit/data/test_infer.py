from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tradewind.core.errors import BadValue, MissingColumn, NotFound
from tradewind.core.schema import Role, Type
from tradewind.data.infer import infer
from tradewind.data.read import read

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this repository")


def guess(text: str, **options):
    return infer(read(text.encode(), name=options.pop("name", "sales.csv")), **options)


@pytest.mark.parametrize(
    ("header", "row", "table"),
    [
        ("date,product,units", "2024-01-01,a,1", "sales"),
        ("Datum;Artikel;Filiale;Menge;Preis", "01.02.2024;a;b;1;2,50", "sales"),
        ("date,sku,price,competitor_price", "2024-01-01,a,1.5,1.4", "prices"),
        ("promo_id,sku,start_date,end_date,discount", "p,a,2024-01-01,2024-01-07,0.2", "promotions"),
        ("sku,category,brand,unit_cost", "a,c,b,1", "products"),
        ("store_id,region,format", "a,north,big", "stores"),
        ("customer_id,signup,churned", "1,2024-01-01,no", "customers"),
        ("InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID", "1,a,2,2024-01-01,3,7", "orders"),
        ("day,channel,spend,clicks", "2024-01-01,tv,100,5", "marketing"),
        ("date,new_customers,revenue", "2024-01-01,5,100.0", "outcomes"),
        ("date,event,kind", "2024-01-01,New Year,holiday", "events"),
        ("review_id,comment,stars", "1,nice,5", "reviews"),
        ("user_id,item_id,timestamp,rating", "1,a,2024-01-01 10:00:00,3", "interactions"),
    ],
)
def test_the_table_is_guessed_from_its_header(header, row, table):
    found = guess(f"{header}\n{row}\n", name="data.csv")
    assert found.table == table
    assert all(fact.meaning for fact in found.why if fact.name.startswith("column."))


def test_the_file_name_breaks_a_tie():
    text = "customer,product\nc,a\nd,b\n"
    assert guess(text, name="interactions_2024.csv").table == "interactions"


def test_columns_are_renamed_typed_and_explained():
    found = guess("Datum;Artikel;Menge;Preis;Farbe\n01.02.2024;007;1.234;2,50;rot\n02.02.2024;008;;1,00;blau\n")
    assert found.mapping == {"Datum": "date", "Artikel": "product", "Menge": "units", "Preis": "price", "Farbe": "Farbe"}
    assert found.frame.schema == pl.Schema(
        {"date": pl.Date, "product": pl.String, "units": pl.Float64, "price": pl.Float64, "Farbe": pl.String}
    )
    assert found.frame["units"].to_list() == [1234.0, None]
    assert found.frame["product"].to_list() == ["007", "008"]
    assert found.schema.key == ("date", "product")
    said = {fact.name: fact for fact in found.why}
    assert said["column.units"].value == "Menge"
    assert said["date_style.date"].value == "day/month/year"


def test_map_corrects():
    text = "date,product,qty,net_qty\n2024-01-01,a,5,4\n2024-01-02,a,6,5\n"
    found = guess(text, map={"net_qty": "units"})
    assert found.frame["units"].to_list() == [4.0, 5.0]
    assert "qty" in found.frame.columns
    assert guess(text, map={"Net Qty": "units"}).frame["units"].to_list() == [4.0, 5.0]


def test_a_mapped_name_pushes_a_column_of_that_name_aside():
    found = guess("date,product,units,net\n2024-01-01,a,5,4\n2024-01-02,a,5,3\n", map={"net": "units"})
    assert found.frame["units"].to_list() == [4.0, 3.0]
    assert found.frame["their_units"].to_list() == [5.0, 5.0]


def test_map_of_a_column_that_is_not_there_names_close_ones():
    with pytest.raises(MissingColumn, match='"qtty"') as caught:
        guess("date,product,qty\n2024-01-01,a,5\n", map={"qtty": "units"})
    assert "qty" in caught.value.hint


def test_two_columns_on_one_of_ours_are_refused():
    with pytest.raises(BadValue, match='both "a" and "b"'):
        guess("date,product,a,b\n2024-01-01,x,1,2\n", map={"a": "units", "b": "units"})


def test_what_names_no_column_is_refused():
    with pytest.raises(BadValue, match="map must name columns"):
        guess("date,product,a\n2024-01-01,x,1\n", map={"a": 5})


def test_map_to_a_misspelt_column_of_ours_is_refused():
    with pytest.raises(BadValue) as caught:
        guess("date,product,a,b\n2024-01-01,x,1,2\n", table="sales", map={"a": "unit"})
    assert "units" in caught.value.hint


def test_a_missing_column_names_the_likeliest_and_the_command():
    with pytest.raises(MissingColumn) as caught:
        guess("date,product,moved,count of it\n2024-01-01,x,1,2\n", table="sales")
    assert caught.value.message == 'column "units" is missing in sales.csv'
    assert caught.value.hint.startswith("tradewind load sales.csv --map moved=units")
    assert "count of it" in caught.value.hint
    with pytest.raises(MissingColumn) as caught:
        guess("date,product,first one,second one\n2024-01-01,x,1,2\n", table="sales")
    assert '--map "first one"=units' in caught.value.hint


def test_a_flag_a_constant_or_what_is_called_as_something_else_is_no_likely_figure():
    with pytest.raises(MissingColumn) as caught:
        guess("date,brand,one,half,logged,poured\n2024-01-01,1,1,0,9.1,3\n2024-01-02,2,1,1,8.2,4\n2024-01-03,3,1,0,8.9,5\n", table="sales")
    assert caught.value.hint == "tradewind load sales.csv --map logged=units (could also be: poured, brand, one, half)"


def test_media_without_a_column_of_channels_are_told_how_channels_across_are_read():
    for header in ("date,y,x1,x2", "date,y,impressions_x1,impressions_x2"):
        with pytest.raises(MissingColumn) as caught:
            guess(f"{header}\n2024-01-01,9,1,2\n2024-01-08,8,0,3\n", table="marketing")
        assert "--wide 'x{channel}=spend'" in caught.value.hint and "--map" not in caught.value.hint


def test_sales_beside_a_price_are_counted_where_no_price_makes_whole_units_of_them():
    text = "date,sales,price\n2024-01-01,490,10.0\n2024-01-08,511,9.0\n2024-01-15,430,11.0\n"
    found = guess(text, name="x.csv")
    assert found.table == "sales" and found.frame["units"].to_list() == [490.0, 511.0, 430.0]
    assert any(fact.name == "column.units" and "how many were sold" in fact.meaning for fact in found.why)
    with pytest.raises(MissingColumn) as caught:  # 49 x 10.00, 57 x 9.00: this is money
        guess("date,sales,price\n2024-01-01,490,10.0\n2024-01-08,513,9.0\n", table="sales")
    assert caught.value.message == 'column "units" is missing in sales.csv'
    assert caught.value.hint == "tradewind load sales.csv --map sales=units (could also be: price)"


def test_an_unknown_table():
    with pytest.raises(NotFound) as caught:
        guess("a,b\n1,2\n", table="sails")
    assert "sales" in caught.value.hint


def test_the_only_figures_are_taken_and_said():
    found = guess("series_id,timestamp,value\na,2024-01-01,5\na,2024-01-02,6\n", name="x.csv")
    assert found.table == "sales"
    assert found.frame["units"].to_list() == [5.0, 6.0]
    assert any(fact.name == "column.units" and "only" in fact.meaning for fact in found.why)


def test_a_file_of_one_series():
    found = guess("ds,users\n2024-01-01,5\n2024-01-02,6\n", table="sales", name="x.csv")
    assert found.frame["product"].to_list() == ["all", "all"]
    assert any(fact.name == "product" for fact in found.why)


@pytest.mark.parametrize(
    ("header", "lines", "table", "mapped"),
    [
        (
            "Store,Dept,Date,Weekly_Sales,IsHoliday",
            [
                "1,1,2024-01-05,24924.5,FALSE",
                "1,2,2024-01-05,50605.27,FALSE",
                "1,1,2024-01-12,46039.49,TRUE",
                "1,2,2024-01-12,44682.7,TRUE",
            ],
            "sales",
            {"Date": "date", "Store": "store", "Dept": "product", "Weekly_Sales": "units", "IsHoliday": "IsHoliday"},
        ),
        (
            "Datum;Filiale;Artikelnummer;Absatzmenge;VK-Preis;Umsatz",
            ["05.01.2024;7;11;3;2,49;7,47", "05.01.2024;7;12;1;2,49;2,49", "06.01.2024;7;11;2;2,49;4,98"],
            "sales",
            {"Artikelnummer": "product", "Filiale": "store", "Absatzmenge": "units", "VK-Preis": "price", "Umsatz": "revenue"},
        ),
        (
            "data,produto,venda,estoque,preco",
            ["2024-01-05,a,3,9,1.29", "2024-01-06,a,5,4,1.29"],
            "sales",
            {"venda": "units", "estoque": "stock"},
        ),
        (
            "unique_id,date,warehouse,total_orders,sales,sell_price_main",
            ["1,2024-01-05,P1,4000,26.49,434.64", "2,2024-01-05,P1,4000,12.1,21.93", "1,2024-01-06,P1,4100,34.6,434.64"],
            "sales",
            {"unique_id": "product", "warehouse": "store", "sales": "units", "sell_price_main": "price"},
        ),
        (
            "datetime,season,holiday,temp,count",
            ["2024-01-05 00:00:00,1,0,9.8,16", "2024-01-06 00:00:00,1,1,9.1,40"],
            "sales",
            {"count": "units", "holiday": "holiday"},
        ),
        (
            "Invoice ID,Customer type,Product line,Unit price,Quantity,Total,Date",
            ["750-67-8428,Member,Health,74.69,7,548.97,1/5/2024", "226-31-3081,Normal,Food,15.28,5,80.22,3/8/2024"],
            "orders",
            {"Product line": "product", "Customer type": "Customer type", "Total": "amount"},
        ),
        (
            "Date de vente;Magasin;Référence article;Quantité;Prix unitaire;Chiffre d'affaires",
            ["13/01/2025;Lyon;A1;1\u202f834;11,81 €;21 659,54 €", "14/01/2025;Lyon;A2;12;2,50 €;30,00 €"],
            "sales",
            {"Magasin": "store", "Quantité": "units", "Prix unitaire": "price", "Chiffre d'affaires": "revenue"},
        ),
        (
            "Data;Punto vendita;Codice articolo;Quantità venduta;Prezzo",
            ["13.01.2025;Milano 0;100;3;€ 1,50", "13.01.2025;Milano 1;100;4;€ 1,50"],
            "sales",
            {"Punto vendita": "store", "Codice articolo": "product", "Prezzo": "price"},
        ),
        (
            "Name,Email,Currency,Total,Discount Amount,Created at,Lineitem quantity,Lineitem price,Lineitem sku",
            [
                "#1,a@x.com,USD,26.6,0.00,2025-01-11 09:59:00 -0500,1,10.00,SH-1",
                "#2,b@x.com,USD,36.6,1.00,2025-01-12 09:59:00 -0500,2,10.00,SH-2",
            ],
            "sales",
            {"Created at": "date", "Lineitem sku": "product", "Lineitem quantity": "units", "Discount Amount": "Discount Amount"},
        ),
        (
            "Article,Valid from,Valid to,Price EUR",
            ["A1,2025-01-01,2025-12-31,0.99"],
            "prices",
            {"Valid from": "date", "Article": "product"},
        ),
        (
            "Promo ID,Product,Retailer,Start date,End date,Discount %,Trade spend",
            ['P1,A1,Rewe,2025-01-01,2025-01-14,10%,"1,000"'],
            "promotions",
            {"Retailer": "store", "Discount %": "discount", "Trade spend": "cost"},
        ),
        ("Review ID,Rating,Body,Reviewed at", ["R1,4,It fits,2025-01-01T10:00:00Z"], "reviews", {"Body": "text", "Reviewed at": "date"}),
    ],
)
def test_headers_of_other_shops(header, lines, table, mapped):
    found = guess("\n".join([header, *lines]) + "\n", name="train.csv")
    assert found.table == table
    assert {theirs: found.mapping[theirs] for theirs in mapped} == mapped


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (
            "Reporting starts,Reporting ends,Campaign name,Amount spent (EUR),Impressions,Attribution setting",
            "2025-01-01,2025-01-01,Spring,12.5,100,7-day",
        ),
        ("Day,Campaign,Currency code,Cost,Impr.,Clicks", '2025-01-01,Spring,EUR,12.5,"1,100",3'),
    ],
)
def test_a_campaign_is_proposed_where_media_names_no_channel(header, line):
    """What an advertiser's page exports: neither a currency nor a setting is a channel."""
    with pytest.raises(MissingColumn, match="channel") as missing:
        guess("\n".join([header, line, line.replace("Spring", "Autumn")]), name="ads.csv", table="marketing")
    assert "Campaign" in missing.value.hint.split("=channel")[0] and "=channel" in missing.value.hint


def test_outcomes_that_would_add_up_rows_of_different_things_are_not_guessed():
    text = "date,shelf,metric_a\n" + "".join(f"2024-01-0{day},{shelf},{day}\n" for day in (1, 2, 3) for shelf in (1, 2, 3))
    with pytest.raises(MissingColumn):
        guess(text, name="x.csv")


def days(*columns):
    """Rows of two stores on four days."""
    lines = [f"2024-01-0{day},{store},{','.join(column(day, store) for column in columns)}" for day in (1, 2, 3, 4) for store in (1, 2)]
    return "\n".join(lines) + "\n"


def test_the_till_of_a_chain_is_understood():
    rows = days(
        lambda day, store: str(100 * day + store),
        lambda day, _: str(9 * day),
        lambda day, _: str(int(day != 3)),
        lambda day, _: "0a"[day == 2],
    )
    found = guess(f"Date,Store,Sales,Customers,Open,StateHoliday\n{rows}", name="train.csv")
    said = {fact.name: fact for fact in found.why}
    assert found.table == "sales" and found.mapping["Sales"] == "units" and found.mapping["Open"] == "open"
    assert set(found.frame["product"]) == {"all"} and "one series for each store" in said["product"].meaning
    assert "no column says how many were sold" in said["column.units"].meaning
    roles = {column.name: column.role for column in found.schema}
    assert (roles["open"], roles["StateHoliday"], roles["Customers"]) == (Role.KNOWN, Role.KNOWN, Role.INPUT)


def test_the_column_that_tells_rows_of_a_store_and_day_apart_names_the_product():
    lines = [f"2024-01-0{day},{store},{dept},{day * dept * 10}.5" for day in (1, 2, 3, 4) for store in (1, 2) for dept in (1, 2, 3)]
    found = guess("Date,Store,Dept,Weekly_Sales\n" + "\n".join(lines) + "\n", table="sales")
    assert found.mapping["Dept"] == "product" and found.mapping["Weekly_Sales"] == "units"
    assert set(found.frame["product"]) == {"1", "2", "3"}


def test_units_are_never_taken_from_revenue_where_a_price_says_that_they_are_missing():
    with pytest.raises(MissingColumn):
        guess("date,product,sales,price,visits,calls\n2024-01-01,a,10,2,5,7\n2024-01-02,a,12,2,6,8\n", table="sales")


@pytest.mark.parametrize(("header", "values", "name"), [("open", "101.5 99.2", "their_open"), ("open_orders", "3 7", "open_orders")])
def test_an_opening_price_does_not_say_who_is_open(header, values, name):
    first, second = values.split()
    found = guess(f"date,product,units,{header}\n2024-01-01,a,1,{first}\n2024-01-02,a,2,{second}\n")
    assert found.mapping[header] == name and found.schema.get(name).role is Role.INPUT


@pytest.mark.parametrize("words", ["1 0", "True False", "yes no", "ja nein"])
def test_open_is_read_in_the_usual_ways(words):
    first, second = words.split()
    found = guess(f"date,product,units,Is Open\n2024-01-01,a,1,{first}\n2024-01-02,a,2,{second}\n")
    assert found.frame["open"].to_list() == [1.0, 0.0]


def test_roles_of_further_columns():
    rows = "".join(
        f"2024-01-0{day},{item},{day},{day}.5,{1 if day == 3 else 0},{item}x,{day * 7}\n" for day in (1, 2, 3, 4) for item in "ab"
    )
    found = guess(f"date,product,units,discount_depth,holiday,family,visitors\n{rows}")
    roles = {column.name: column.role for column in found.schema}
    assert roles["discount_depth"] is Role.LEVER
    assert roles["holiday"] is Role.KNOWN
    assert roles["family"] is Role.STATIC
    assert roles["visitors"] is Role.INPUT
    said = {fact.name: fact.value for fact in found.why}
    assert said["lever_columns"] == "discount_depth"
    assert said["input_columns"] == "visitors"


def test_row_numbers_and_empty_columns_are_left_out_and_said():
    found = guess(",date,product,units,note\n0,2024-01-01,a,1,\n1,2024-01-02,a,2,\n")
    assert found.frame.columns == ["date", "product", "units"]
    assert {fact.name for fact in found.why} >= {"left_out", "empty_columns"}


def test_unicode_names_are_kept():
    found = guess("date,product,units,色\n2024-01-01,Žluťoučký kůň 🐎,1,赤\n")
    assert found.frame["product"].to_list() == ["Žluťoučký kůň 🐎"]
    assert found.frame["色"].to_list() == ["赤"]


def test_wrong_types_name_the_column_as_the_user_wrote_it():
    with pytest.raises(BadValue, match=r'"Menge" must hold a number: 2 of 2 values do not, first in row 1'):
        guess("Datum,Artikel,Menge\n2024-01-01,a,viel\n2024-01-02,a,wenig\n", table="sales")


def test_timestamps_are_described_as_such():
    found = guess("date,product,units\n2024-01-01 10:00,a,1\n2024-01-01 11:00,a,2\n")
    assert found.schema.get("date").type is Type.TIMESTAMP


def test_a_week_number_is_no_date_where_another_column_is():
    rows = "".join(f"{at},h{at % 3},s1,b{at},p{at % 2},1,{1.5 * at},0.25,{at},2017-01-{at:02d} 10:00:00\n" for at in range(1, 28))
    head = "n,household_id,store_id,basket_id,product_id,quantity,sales_value,coupon_disc,week,transaction_timestamp\n"
    found = infer(read((head + rows).encode(), name="transactions.csv"))
    assert found.table == "orders"
    assert {"household_id": "customer", "basket_id": "order", "transaction_timestamp": "date"}.items() <= found.mapping.items()
    assert "promotion" not in found.mapping.values()  # an amount is no word


def test_spend_beside_an_outcome_is_said_and_loaded_as_media_when_asked():
    text = "DATE,revenue,tv_spend,web_spend\n2024-01-01,90,1,3\n2024-01-08,80,2,0\n2024-01-15,85,2,4\n"
    found = infer(read(text.encode(), name="weeks.csv"))
    assert found.table == "outcomes"
    said = next(fact for fact in found.why if fact.name == "media_columns")
    assert "--table marketing" in said.meaning
    media = infer(read(text.encode(), name="weeks.csv"), table="marketing")
    assert media.frame.sort("channel", "date")["spend"].to_list() == [1, 2, 2, 3, 0, 4]


def test_numbers_that_name_something_are_no_figures():
    text = "campaign_id,campaign_type,start_date,end_date\n1,Type B,2017-03-03,2017-04-09\n2,Type A,2017-03-08,2017-04-09\n"
    with pytest.raises(MissingColumn) as caught:
        infer(read(text.encode(), name="campaigns.csv"))
    assert "campaign_id=" not in caught.value.hint


@here
@pytest.mark.parametrize(
    ("file", "options", "table", "rows", "columns"),
    [
        (
            "demand/stallion_beverages/stallion.parquet",
            {},
            "sales",
            21_000,
            {"agency": "store", "sku": "product", "volume": "units", "price_actual": "price"},
        ),
        ("demand/m5_small_nixtla/m5_sales_exog_small.csv", {}, "sales", 15_752, {"unique_id": "product", "ds": "date", "y": "units"}),
        ("demand/pasta_hierarchical/hierarchical_sales_data.csv", {}, "sales", 1_798 * 118, {"DATE": "date"}),
        ("customers/online_retail_uci/online_retail_all.parquet", {}, "orders", 541_909, {"InvoiceNo": "order", "CustomerID": "customer"}),
        (
            "customers/online_retail_uci/online_retail_all.parquet",
            {"table": "sales"},
            "sales",
            541_909,
            {"StockCode": "product", "Quantity": "units"},
        ),
        (
            "demand/m5_small_nixtla/tourism.csv",
            {"map": {"Purpose": "product", "Region": "store"}},
            "sales",
            24_320,
            {"Trips": "units", "Quarter": "date"},
        ),
        ("demand/skforecast_items/simulated_items_sales.csv", {}, "sales", 3_291, {"date": "date"}),
        (
            "promo_price/complete_journey_sample/transactions_sample.parquet",
            {},
            "orders",
            75_000,
            {"household_id": "customer", "basket_id": "order", "transaction_timestamp": "date", "sales_value": "amount"},
        ),
        ("demand/skforecast_items/intermittent_demand.csv", {"map": {"users": "units"}}, "sales", 17_544, {"date_time": "date"}),
    ],
)
def test_real_files_from_their_own_headers(file, options, table, rows, columns):
    found = infer(read(DATA / file), **options)
    assert found.table == table
    assert found.frame.height == rows
    assert columns.items() <= found.mapping.items()
    assert found.frame["date"].null_count() == 0


def test_hints_for_wide_files_numbered_days_calendars_and_two_keys():
    def hint(text: str, table: str) -> str:
        with pytest.raises(MissingColumn) as caught:
            guess(text, table=table)
        return caught.value.hint

    wide = hint("day,M01,N02,R03\n2024-01-01,3,4,5\n2024-01-02,2,6,7\n", "sales")
    assert "--wide '{product}=units'" in wide
    numbered = hint("item,d_1,d_2,d_3\na,3,4,5\nb,2,6,7\n", "sales")
    assert "d_1 is of 2024-01-31: --wide 'd_{day:2024-01-31}=units'" in numbered
    calendar = hint("date,weekday,event_name_1\n2024-12-24,Tuesday,\n2024-12-25,Wednesday,Christmas\n", "events")
    assert "--map event_name_1=name" in calendar
    rows = "".join(f"2024-01-0{day},{kind},{place},1\n" for day in (1, 2) for kind in ("plain", "organic") for place in ("north", "south"))
    assert "--map kind=product --map place=store" in hint(f"date,kind,place,volume\n{rows}", "sales")
