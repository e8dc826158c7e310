"""A log-linear panel drawn to product and company: what a promotion lifts, leaves behind, takes from siblings and brings along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.core.model import Knob
from tradewind.core.table import Array, Table
from tradewind.models._kit.trade.book import Book
from tradewind.models.promotion import serving
from tradewind.models.promotion.account import Account, account
from tradewind.models.promotion.answering import table as answered
from tradewind.models.promotion.asking import Cells, cells_of


def learned(table: Table, seed: int) -> Book:
    """Return the book of a modelling table, its lifts audited."""
    from tradewind.models._kit.trade.bind import bind
    from tradewind.models._kit.trade.fit import learn
    from tradewind.models._kit.trade.panel import panel_of
    from tradewind.models.promotion.audit_learn import audited

    panel = panel_of(table)
    fit = learn(panel, losses=True)
    return audited(bind(panel, fit), panel, fit, seed=seed)


class Structural:
    """Learn and serve the structural panel; the state is its book."""

    name = "structural"
    knobs: tuple[Knob, ...] = ()

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Book:
        """Learn the panel; the same table and seed give the same book."""
        return serving.costed(learned(table, seed))

    def predict(self, state: Book, asked: Table) -> Table:
        """Return one row per promotion asked about."""
        cells, accounts = self.predict_draws(state, asked)
        return answered(state, cells, accounts)

    def expand(self, state: Book, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the promotions of the calendar that fit, or the next period of every series where there is no calendar."""
        return serving.everything(state, horizon, where)

    def respond(self, state: Book, request: Mapping[str, Any]) -> dict[str, Array]:
        """Return draws of what candidate promotions would earn; see `serving.responded`."""
        return serving.responded(state, request, lambda asked: self.predict_draws(state, asked))

    def predict_draws(self, state: Book, asked: Table) -> tuple[Cells, Account]:
        """Return the cells and the account behind an answer."""
        cells = cells_of(state, asked)
        return cells, account(state, cells)

    def warm(self, state: Book) -> None:
        """Make a version ready to answer."""
        serving.warm(state)

    def effects(self, state: Book) -> Table:
        """Return per product what each lever does, with intervals."""
        return serving.effects(state)

    def notes(self, state: Book, asked: Table) -> list[str]:
        """Return what the answer must say in words."""
        return serving.notes(state, asked)

    def dump(self, state: Book) -> dict[str, bytes]:
        """Write the book."""
        return state.dump()

    def load(self, parts: Mapping[str, bytes]) -> Book:
        """Read the book."""
        return Book.load(parts)


RECIPE = Structural()
