"""Which further columns of sales follow from what sold or tell the price again: held fixed, they would take the effect of price."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tradewind.core.schema import Role
from tradewind.core.table import Table
from tradewind.models._kit.named import RIVALS, SOLD

NAMED = re.compile(f"{SOLD}|shopper|buyer|household|transaction|basket|receipt|purchase|sold|profit|margin|gewinn|marge", re.IGNORECASE)
"""Names of what is counted or earned when something sells."""
PRICED = re.compile(
    r"price|preis|prix|precio|prezzo|preco|prijs|cena|discount|rebate|markdown|rabatt|nachlass|remise|sconto|descuento|desconto|korting",
    re.IGNORECASE,
)
"""Names of levers that say what is paid, or what is taken off."""
AGAIN = 0.98  # mean correlation with the price inside series from which on a column is the price told again
NUMBERS = re.compile(r"(?i:(^|[\W_])(id|key|code|upc|ean|gtin|zip|plz|postcode)$)|[a-z](Id|ID)$")
"""Names of numbers that count nothing."""
TOGETHER = 0.9  # mean correlation with units inside series from which on a column of a product is taken for another measure of them
CHECKED = 200_000  # rows that are looked at


def follows(sales: Table, keys: Sequence[str], names: Sequence[str]) -> set[str]:
    """Return which of the columns are results of what sold, by role, by name or because they move as units do, or no figures at all.

    What is the same for several products at a time (the weather, who comes to the shop) is none, however much it moves with units, and
    a lever, a calendar or what a competitor does is none whatever its name.
    """
    roles = {column.name: column.role for column in sales.schema}
    seen = sales.frame.head(CHECKED)
    found = {name for name in names if roles.get(name) in (Role.PAST, Role.TARGET)}
    own = [name for name in names if roles.get(name, Role.INPUT) is Role.INPUT and not _shared(seen, keys, name)]
    own = [name for name in own if not RIVALS.search(name)]
    return found | {name for name in own if NAMED.search(name) or NUMBERS.search(name) or _together(seen, keys, name) > TOGETHER}


def restates(sales: Table, keys: Sequence[str], names: Sequence[str]) -> set[str]:
    """Return which of the columns tell the price paid again: shelf prices, discounts, and what moves as it does in every series."""
    levers = {column.name for column in sales.schema if column.role is Role.LEVER}
    found = {name for name in names if name in levers and PRICED.search(name)}
    if "price" not in sales:
        return found
    seen = sales.frame.head(CHECKED)
    return found | {name for name in names if name not in found and abs(_together(seen, keys, name, "price")) > AGAIN}


def _shared(frame: Any, keys: Sequence[str], name: str) -> bool:
    """Tell whether a column is the same for all of several products of a place at a time."""
    import polars as pl

    place = ["date", *(key for key in keys if key != "product")]
    several = frame.group_by(place).agg(pl.col(name).drop_nulls().n_unique().alias("_n"), pl.col("product").n_unique().alias("_products"))
    several = several.filter(pl.col("_products") > 1)
    return several.height > 0 and bool((several["_n"] <= 1).all())


def _together(frame: Any, keys: Sequence[str], name: str, other: str = "units") -> float:
    """Return the mean correlation with another column inside series, of the figures or of their logarithms, whichever is larger."""
    import polars as pl

    pair = frame.select(*keys, pl.col(other, name).cast(pl.Float64).fill_nan(None)).drop_nulls()
    found = [0.0]
    for one in (pair, pair.with_columns(pl.col(other, name).clip(0).log1p())):
        both = pl.col(other, name)
        scaled = one.with_columns((both - both.mean().over(keys)) / both.std(ddof=0).over(keys))
        scaled = scaled.filter(pl.all_horizontal(both.is_finite()))
        found.append(scaled.select((pl.col(other) * pl.col(name)).mean()).item() or 0.0)
    return max(found, key=abs)
