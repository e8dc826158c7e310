"""Business tables -> reviews with a label where there is one, and the tenant's own terms below them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn
from tradewind.core.schema import Column
from tradewind.core.table import Array, Table
from tradewind.models.sentiment.classes import CLASSES, named

GOOD_FROM, BAD_UP_TO = 0.7, 0.4  # of the rating scale: 4 and 5 of 5 stars are good, 1 and 2 bad


def assemble(tables: Mapping[str, Table], **_: Any) -> Table:
    """Return one row per review, and one per term of the tenant's own.

    A label may be negative, neutral, positive or what people write for them (bad, pos, 0/1, ...); any other word is an error. Where none is
    given the rating speaks: of the scale's top (5, 10 or 100, the smallest that holds them all) 70 % or more is positive, up to 40 %
    negative. Raises MissingColumn, EmptyTable, BadValue.
    """
    reviews = tables["reviews"]
    if "text" not in reviews:
        raise MissingColumn('column "text" is missing in reviews', hint=f"there are: {', '.join(reviews.names)}")
    if len(reviews) == 0:
        raise EmptyTable("the reviews table has no rows")
    count = len(reviews)
    text = np.array(["" if said is None else str(said) for said in reviews.column("text").tolist()], object)
    rows: dict[str, Array] = {
        "review": _texts(reviews, "review", count),
        "text": text,
        "label": _labels(reviews, count),
        "date": reviews.column("date").astype("M8[D]") if "date" in reviews else np.full(count, np.datetime64("NaT"), "M8[D]"),
        "product": _texts(reviews, "product", count),
        "kind": np.full(count, "review", object),
        "valence": np.full(count, np.nan),
        "aspect": np.full(count, None, object),
    }
    if "terms" in tables and len(tables["terms"]):
        rows = _with_terms(rows, tables["terms"])
    from tradewind.models.sentiment import MODEL

    described = {column.name: column for column in MODEL.needs}
    return Table.from_columns(rows, MODEL.needs.with_columns(*(described.get(name, Column(name)) for name in rows)))


def _texts(table: Table, name: str, count: int) -> Array:
    if name not in table:
        return np.full(count, None, object)
    return np.array([None if value is None else str(value) for value in table.column(name).tolist()], object)


def _labels(reviews: Table, count: int) -> Array:
    """Return the class of each review by its label, else by its rating, else None."""
    found = np.full(count, None, object)
    if "rating" in reviews:
        stars = reviews.column("rating").astype("f8")
        known = np.isfinite(stars)
        top = float(np.nanmax(stars)) if known.any() else 5.0
        scale = next((size for size in (1.0, 5.0, 10.0, 100.0) if top <= size), top)
        share = np.where(known, stars / scale, 0.5)
        found[known] = np.where(share >= GOOD_FROM, CLASSES[2], np.where(share <= BAD_UP_TO, CLASSES[0], CLASSES[1])).astype(object)[known]
    if "label" not in reviews:
        return found
    said = reviews.column("label").tolist()
    read = {value: named(str(value)) for value in set(said) if value is not None and str(value).strip()}
    strange = sorted(str(value) for value, name in read.items() if name is None)
    if strange:
        raise BadValue(
            f"labels that are no feeling: {', '.join(strange[:5])}", hint="use negative, neutral, positive; leave others empty or map them"
        )
    for at, value in enumerate(said):
        if value in read:
            found[at] = read[value]
    return found


def _with_terms(rows: dict[str, Array], terms: Table) -> dict[str, Array]:
    count = len(terms)
    valence = terms.column("valence").astype("f8") if "valence" in terms else np.full(count, np.nan)
    if (np.abs(valence[np.isfinite(valence)]) > 4).any():
        raise BadValue("a term's valence must lie between -4 and 4")
    more: dict[str, Array] = {
        "review": np.full(count, None, object),
        "text": _texts(terms, "term", count),
        "label": np.full(count, None, object),
        "date": np.full(count, np.datetime64("NaT"), "M8[D]"),
        "product": np.full(count, None, object),
        "kind": np.full(count, "term", object),
        "valence": valence,
        "aspect": _texts(terms, "aspect", count),
    }
    return {name: np.concatenate([values, more[name]]) for name, values in rows.items()}
