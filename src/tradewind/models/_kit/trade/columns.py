"""The columns of the modelling table of price and promotion."""

from __future__ import annotations

from tradewind.core.schema import Column, Role, Type

WORKED_OUT = "shelf price, worked out of what was paid"
COLUMNS: tuple[Column, ...] = (
    Column("date", Role.TIME, Type.DATE, required=True, meaning="first day of the period"),
    Column("product", Role.ENTITY, Type.TEXT, required=True),
    Column("store", Role.ENTITY, Type.TEXT),
    Column("units", Role.TARGET, unit="units", required=True, meaning="units sold; empty for planned periods"),
    Column("open", Role.AVAILABLE, meaning="share of the period's days that sold", minimum=0, maximum=1),
    Column("price", Role.LEVER, unit="money", meaning="price paid"),
    Column("regular", Role.LEVER, unit="money", meaning="shelf price without promotion"),
    Column("promotion", Role.LEVER, meaning="share of the period under promotion", minimum=0, maximum=1),
    Column("discount", Role.LEVER, meaning="stated depth of the promotion", minimum=0, maximum=1),
    Column("display", Role.LEVER, minimum=0, maximum=1),
    Column("feature", Role.LEVER, minimum=0, maximum=1),
    Column("mechanic", Role.LEVER, Type.TEXT),
    Column("event", Role.LEVER, Type.TEXT, meaning="name of the promotion"),
    Column("start", Role.LEVER, Type.DATE),
    Column("end", Role.LEVER, Type.DATE),
    Column("spend", Role.LEVER, unit="money", meaning="trade spend on the promotion in this store and product, whole"),
    Column("unit_cost", Role.KNOWN, unit="money"),
    Column("competitor_price", Role.KNOWN, unit="money"),
)
