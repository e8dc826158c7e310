"""Level 0: the rules of VADER over core and retail words, turned into probabilities by the labels there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.model import Knob
from tradewind.core.table import Array, Table
from tradewind.models.sentiment import answering, trends
from tradewind.models.sentiment.chances import Chances, learn
from tradewind.models.sentiment.classes import places
from tradewind.models.sentiment.lexicon import Feeling
from tradewind.models.sentiment.reading import Reader, make_reader

DEFAULT = Chances(
    np.array([[-0.69, -0.12, 0.81], [0.01, -0.68, 0.66], [3.52, -2.05, -1.46], [-1.16, -1.09, 2.26]]),
    np.array([0.0, 0.42, -0.42]),
    (0, 1, 2),
)
"""Where no label is given: fitted to the human ratings of 16,600 tweets, reviews and editorials published with VADER (MIT)."""


@dataclass(frozen=True, slots=True)
class State:
    """Words, and the map from how a text feels to probabilities; `learned` tells whether the tenant's labels made it."""

    reader: Reader
    chances: Chances
    learned: bool
    sure: float


class Rules:
    """Score by rules: works without a single label, says what counted, and is the same for everyone."""

    name = "rules"
    knobs = (
        Knob("sure", answering.SURE, 0.34, 0.99, meaning="answer a class from this probability on, else unsure", tune=False),
        Knob("retail", default=True, meaning="use the retail and trade words beside the core ones", tune=False),
    )

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Read the tenant's terms, and map scores to probabilities where there are labels for it."""
        del seed
        reader = make_reader(table, retail=bool(params["retail"]))
        reviews = table.take(table.column("kind") == "review")
        given = places(reviews.column("label"))
        known = reviews.take(given >= 0)
        rows = inputs([reader.lexicon.feel(one.scored) for one in answering.read(reader, known)])
        made = learn(rows, given[given >= 0], strength=10.0)
        state = State(reader, made or DEFAULT, made is not None, float(params["sure"]))
        told = trends.of(reviews, lambda asked: self.predict(state, asked))
        return replace(state, reader=replace(reader, trends=told))

    def predict(self, state: State, asked: Table) -> Table:
        """Answer every text; `score` is VADER's compound."""

        def score(texts: Sequence[str], feelings: Sequence[Feeling]) -> answering.Scored:
            del texts
            compound = np.array([one.compound for one in feelings])
            return answering.Scored(state.chances(inputs(feelings)), compound, answering.even_words(feelings))

        return answering.answered(state.reader, asked, score, sure=state.sure)

    def effects(self, state: State) -> Table:
        """Return how products did by aspect and month in the reviews it was learned from."""
        return trends.table(state.reader.trends)

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say which texts could not be read, and where probabilities were not set by labels of the tenant's own."""
        said = answering.notes(state.reader, asked)
        return said if state.learned else [*said, "No labelled reviews: probabilities are set by public ratings, not by yours."]

    def dump(self, state: State) -> Mapping[str, bytes]:
        """Write words and map as JSON."""
        head = json.dumps({"learned": state.learned, "sure": state.sure})
        return {"words.json": state.reader.dump(), "chances.json": state.chances.dump(), "head.json": head.encode()}

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back."""
        head = json.loads(parts["head.json"])
        return State(Reader.load(parts["words.json"]), Chances.load(parts["chances.json"]), bool(head["learned"]), float(head["sure"]))


def inputs(feelings: Sequence[Feeling]) -> Array:
    """Return (n, 4): compound, its size, and the shares of negative and positive words."""
    return np.array([(one.compound, abs(one.compound), one.negative, one.positive) for one in feelings], "f8").reshape(-1, 4)


RECIPE = Rules()
