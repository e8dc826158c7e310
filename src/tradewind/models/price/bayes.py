"""Elasticities drawn to product and company, whose prior mean is a regression on price tier, category, brand and margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, NotFound
from tradewind.core.model import Knob
from tradewind.core.table import Array, Table
from tradewind.models.price import answering, responding
from tradewind.models.price.state import Priced, learned

NORMAL = {"80": 1.2815515655446004, "95": 1.959963984540054}


class Bayes:
    """Learn and serve; the state holds two forms of demand."""

    name = "bayes"
    knobs: tuple[Knob, ...] = ()

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Priced:
        """Learn both forms; the same table gives the same state."""
        return learned(table, self.name)

    def predict(self, state: Priced, asked: Table) -> Table:
        """Return one row per question."""
        return answering.answered(state, asked)

    def expand(self, state: Priced, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return every product that still sells, fits and can be recommended a price; raises NotFound, BadValue.

        Where that is none of all products, today's prices are tried: what sells at them is known without a cost.
        """
        book = state.book
        strange = [name for name in where if name not in ("product", "category", "brand")]
        if strange:
            raise BadValue(f"where cannot be by {', '.join(strange)}", hint="by product, category, brand")
        keep = np.zeros(len(book.products), bool)
        keep[book.product[book.living]] = True
        for name, values in (("product", book.products), ("category", book.categories), ("brand", book.brands)):
            if name in where:
                wanted = where[name] if isinstance(where[name], list | tuple) else [where[name]]
                keep &= np.isin(values.astype(str), [str(one) for one in wanted])
        if not keep.any():
            raise NotFound("no product that still sells fits", hint="leave out `where`")
        absent = answering.left_out(state)
        able = [at for at in np.flatnonzero(keep).tolist() if str(book.products[at]) not in absent]
        if not able and not where:
            return answering.today(state)
        if not able:
            names = [str(name) for name in book.products[keep].tolist()][:5]
            raise BadValue(
                f"no price can be recommended for any product: {', '.join(f'{name} ({absent[name]})' for name in names)}",
                hint="load unit_cost, or give rows with product and cost, or with a price to try",
            )
        return Table.from_columns({"product": book.products[able]})

    def respond(self, state: Priced, request: Mapping[str, Any]) -> dict[str, Array]:
        """Return what the planner of prices optimises over."""
        return responding.responded(state, request)

    def effects(self, state: Priced) -> Table:
        """Return own, sibling and competitor elasticities per product, with intervals."""
        book = state.book
        names = book.names.tolist()
        error = np.sqrt(np.diagonal(book.spread, axis1=1, axis2=2)).astype("f8")
        effect = book.mean.astype("f8")
        rows = effect.size
        kinds = ["elasticity" if name in ("price", "cut", "siblings", "sisters", "competitor") else "log lift" for name in names]
        columns: dict[str, Array] = {
            "product": np.repeat(book.products, len(names)),
            "lever": np.array(names * len(book.products), object),
            "kind": np.array(kinds * len(book.products), object),
            "effect": effect.reshape(rows),
        }
        for level, width in NORMAL.items():
            columns[f"lo{level}"] = (effect - width * error).reshape(rows)
            columns[f"hi{level}"] = (effect + width * error).reshape(rows)
        return Table.from_columns(columns)

    def notes(self, state: Priced, asked: Table) -> list[str]:
        """Return what the answer must say in words."""
        return answering.notes(state, asked)

    def dump(self, state: Priced) -> dict[str, bytes]:
        """Write the parts."""
        return state.dump()

    def load(self, parts: Mapping[str, bytes]) -> Priced:
        """Read the parts."""
        return Priced.load(parts)


RECIPE = Bayes()
