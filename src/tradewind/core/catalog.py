"""The business tables a user loads: their columns, keys, roles and synonyms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tradewind.core.errors import NotFound
from tradewind.core.schema import Column, Role, Schema, Type

T = Type


def _date(name: str = "date", *synonyms: str, required: bool = True, role: Role = Role.TIME) -> Column:
    return Column(name, role, T.DATE, required, synonyms=synonyms)


def _key(name: str, *synonyms: str, required: bool = True) -> Column:
    return Column(name, Role.ENTITY, T.TEXT, required, synonyms=synonyms)


def _num(
    name: str,
    *synonyms: str,
    role: Role = Role.INPUT,
    required: bool = False,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Column:
    return Column(name, role, T.NUMBER, required, unit, synonyms=synonyms, minimum=low, maximum=high)


def _text(name: str, *synonyms: str, role: Role = Role.STATIC, required: bool = False, sensitive: bool = False) -> Column:
    return Column(name, role, T.TEXT, required, synonyms=synonyms, sensitive=sensitive)


_PRODUCT = _key(
    "product", "sku", "item", "item_id", "article", "stockcode", "stock_code", "product_id", "upc", "ean", "material", "unique_id"
)
_STORE = _key("store", "shop", "outlet", "location", "agency", "store_id", "market", "branch", required=False)
_GEO = _text("geo", "region", "dma", "city", "county", "market", "location", role=Role.ENTITY)
_CUSTOMER = _key("customer", "customer_id", "customerid", "client", "user", "user_id", "member")
_DAY = _date("date", "ds", "day", "week", "month", "timestamp", "invoicedate", "invoice_date", "order_date", "time", "period", "datum")

TABLES: Mapping[str, Schema] = MappingProxyType(
    {
        "sales": Schema(
            (
                _DAY,
                _PRODUCT,
                _STORE,
                _num(
                    "units",
                    "qty",
                    "quantity",
                    "sales_units",
                    "volume",
                    "y",
                    "demand",
                    "sold",
                    "menge",
                    role=Role.TARGET,
                    required=True,
                    unit="units",
                ),
                _num("revenue", "sales", "turnover", "amount", "value", role=Role.PAST, unit="money"),
                _num(
                    "price", "unit_price", "unitprice", "sell_price", "price_actual", "actual_price", role=Role.LEVER, unit="money", low=0
                ),
                _num("promotion", "promo", "on_promotion", "onpromotion", "deal", "is_promo", role=Role.LEVER, low=0, high=1),
                _num("open", "is_open", "opened", "store_open", "shop_open", role=Role.KNOWN, low=0, high=1),
                _num("stock", "inventory", "on_hand", "stock_level", role=Role.PAST, unit="units"),
            ),
            ("date", "product", "store"),
        ),
        "prices": Schema(
            (
                _DAY,
                _PRODUCT,
                _STORE,
                _num("price", "unit_price", "sell_price", role=Role.LEVER, required=True, unit="money", low=0),
                _num("competitor_price", "comp_price", role=Role.KNOWN, unit="money", low=0),
                _num("unit_cost", "cost", "cogs", role=Role.KNOWN, unit="money", low=0),
            ),
            ("date", "product", "store"),
        ),
        "promotions": Schema(
            (
                _key("promotion", "promo", "promo_id", "promotion_id", "offer"),
                _PRODUCT,
                _STORE,
                _date("start", "start_date", "from", "begin"),
                _date("end", "end_date", "to", "until", role=Role.INPUT),
                _text("mechanic", "type", "promo_type", role=Role.LEVER),
                _num("discount", "depth", "discount_depth", "pct_off", role=Role.LEVER, low=0, high=1),
                _num("cost", "spend", "trade_spend", unit="money", low=0),
                _num("display", role=Role.LEVER, low=0, high=1),
                _num("feature", "flyer", "leaflet", role=Role.LEVER, low=0, high=1),
                _text("audience", "target_group", role=Role.INPUT),
            ),
            ("promotion", "product", "store"),
        ),
        "products": Schema(
            (
                _PRODUCT,
                _text("category", "department", "group", "class"),
                _text("brand"),
                _num("unit_cost", "cost", "cogs", role=Role.STATIC, unit="money", low=0),
                _num("list_price", "rrp", "msrp", role=Role.STATIC, unit="money", low=0),
                _date("launch", "launch_date", "introduced", required=False, role=Role.STATIC),
                _text("description", "name", "title"),
            ),
            ("product",),
        ),
        "stores": Schema(
            (
                _key("store", "shop", "outlet", "location", "agency", "store_id"),
                _text("region", "area", "state"),
                _text("format", "type"),
                _num("size", "area_m2", "sqm", role=Role.STATIC),
            ),
            ("store",),
        ),
        "customers": Schema(
            (
                _CUSTOMER,
                _date("joined", "signup", "created", "registered", required=False, role=Role.STATIC),
                Column("churned", Role.TARGET, T.TEXT, synonyms=("churn", "left", "cancelled"), meaning="a date or a flag"),
                Column("consent", Role.STATIC, T.FLAG, synonyms=("opt_in", "marketing_consent")),
            ),
            ("customer",),
        ),
        "orders": Schema(
            (
                _key("order", "order_id", "invoice", "invoiceno", "invoice_no", "basket", "transaction"),
                _DAY,
                Column("customer", Role.ENTITY, T.TEXT, synonyms=_CUSTOMER.synonyms),
                _PRODUCT,
                _num("quantity", "qty", "units", role=Role.INPUT, required=True, unit="units"),
                _num("amount", "total", "line_total", "revenue", role=Role.TARGET, unit="money"),
                _num("unit_price", "unitprice", "price", unit="money"),
                _text("promotion", "promo", "coupon", role=Role.INPUT),
                _text("channel", role=Role.INPUT),
            ),
            ("order", "date", "customer", "product"),
        ),
        "marketing": Schema(
            (
                _DAY,
                _key("channel", "media", "medium"),
                _text("campaign", role=Role.ENTITY),
                _GEO,
                _num("spend", "cost", "budget", "amount_spent", role=Role.LEVER, required=True, unit="money", low=0),
                _num("impressions", "views", "impr", role=Role.PAST),
                _num("clicks", role=Role.PAST),
                _num("reach", role=Role.PAST),
                _num("frequency", role=Role.PAST),
            ),
            ("date", "channel", "campaign", "geo"),
        ),
        "outcomes": Schema((_DAY, _GEO), ("date", "geo")),
        "events": Schema(
            (
                _DAY,
                _text("name", "event", "holiday", role=Role.EVENT, required=True),
                _text("kind", "type", role=Role.EVENT),
                _date("until", "end", "end_date", required=False, role=Role.EVENT),
            ),
            ("date", "name"),
        ),
        "reviews": Schema(
            (
                _key("review", "review_id", "id"),
                _text("text", "comment", "body", "content", role=Role.INPUT, required=True, sensitive=True),
                _date("date", "day", "created", required=False),
                _key("product", *_PRODUCT.synonyms, required=False),
                Column("customer", Role.ENTITY, T.TEXT, synonyms=_CUSTOMER.synonyms),
                _num("rating", "stars", "score"),
                _text("label", "sentiment", role=Role.TARGET),
            ),
            ("review",),
        ),
        "terms": Schema(
            (
                _key("term", "word", "phrase"),
                _num("valence", "weight", "score", low=-4, high=4),
                _text("aspect", "topic", role=Role.INPUT),
            ),
            ("term",),
        ),
        "interactions": Schema(
            (
                _CUSTOMER,
                _key("item", "product", "item_id", "sku"),
                Column("time", Role.TIME, T.TIMESTAMP, synonyms=("timestamp", "date", "at")),
                _text("kind", "event", "action", role=Role.INPUT),
                _num("value", "weight", "rating"),
            ),
            ("customer", "item", "time"),
        ),
        "experiments": Schema(
            (
                _key("name", "experiment", "test"),
                _text("channel", role=Role.ENTITY),
                _GEO,
                _date("start"),
                _date("end", role=Role.INPUT),
                _num("lift", "effect", role=Role.TARGET, required=True),
                _num("standard_error", "se", "stderr", required=True, low=0),
            ),
            ("name",),
        ),
        "treatments": Schema(
            (
                _CUSTOMER,
                _DAY,
                _text("arm", "group", "variant", role=Role.LEVER, required=True),
                _num("outcome", "response", role=Role.TARGET),
            ),
            ("customer", "date"),
        ),
        "targets": Schema((_DAY, _key("metric", "kpi"), _num("value", "target", role=Role.TARGET, required=True)), ("date", "metric")),
    }
)
"""Table name -> schema. A column of the user's that none of these names is kept as an input."""


def table_schema(name: str) -> Schema:
    """Return the schema of a business table; raises NotFound."""
    if name not in TABLES:
        raise NotFound(f"there is no business table {name!r}", hint=f"tables: {', '.join(TABLES)}")
    return TABLES[name]
