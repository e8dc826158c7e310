"""The baseline: every text feels as most of them do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Knob
from tradewind.core.table import Array, Table
from tradewind.models._kit.tensors import load as load_tensors
from tradewind.models._kit.tensors import save as save_tensors
from tradewind.models.sentiment import answering
from tradewind.models.sentiment.classes import places
from tradewind.models.sentiment.lexicon import Feeling
from tradewind.models.sentiment.reading import Reader, make_reader


@dataclass(frozen=True, slots=True)
class State:
    """How often each class was given, smoothed."""

    reader: Reader
    shares: Array  # (3,)


class Majority:
    """Answer the shares of the classes, whatever is written; it finds no aspects and hears no word."""

    name = "majority"
    knobs: tuple[Knob, ...] = ()

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Count the labels; without any each class is as likely."""
        del params, seed
        if "label" not in table:
            raise LearnFailed("reviews need a column of labels, which may be empty")
        given = places(table.column("label"))
        counts = np.array([(given == place).sum() for place in range(3)], "f8")
        return State(make_reader(table), (counts + 1) / (counts.sum() + 3))

    def predict(self, state: State, asked: Table) -> Table:
        """Answer every text alike."""

        def score(texts: Sequence[str], feelings: Sequence[Feeling]) -> answering.Scored:
            del feelings
            chances = np.tile(state.shares, (len(texts), 1))
            return answering.Scored(chances, chances[:, 2] - chances[:, 0], [()] * len(texts))

        return answering.answered(state.reader, asked, score, sure=0.0)

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say which texts could not be read."""
        return answering.notes(state.reader, asked)

    def dump(self, state: State) -> Mapping[str, bytes]:
        """Write words as JSON and the shares as a tensor."""
        return {"words.json": state.reader.dump(), "shares.safetensors": save_tensors({"shares": state.shares})}

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back."""
        return State(Reader.load(parts["words.json"]), load_tensors(parts["shares.safetensors"])["shares"])


RECIPE = Majority()
