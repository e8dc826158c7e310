"""From texts to rows of answers: what is the same for every recipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import MissingColumn
from tradewind.core.table import Array, Table
from tradewind.models._kit.unasked import unasked
from tradewind.models.sentiment import MODEL
from tradewind.models.sentiment.aspects import Piece
from tradewind.models.sentiment.classes import CLASSES, UNSUPPORTED, UNSURE
from tradewind.models.sentiment.lexicon import Feeling
from tradewind.models.sentiment.reading import LONGEST, Read, Reader

FELT = 0.05  # a score beyond it is a feeling: VADER's own threshold
LONGEST_QUOTE = 160
SURE = 0.55  # the default of the knob `sure`

Words = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a recipe thinks of texts: probabilities (n, 3), scores -1 to 1 (n,), and the words that counted in each."""

    chances: Array
    score: Array
    words: Sequence[Words]


Score = Callable[[Sequence[str], Sequence[Feeling]], Scored]
"""Texts of which something may be scored, and how they feel by rules, in; what a recipe thinks of them out."""


def answered(reader: Reader, asked: Table, score: Score, *, sure: float) -> Table:
    """Return one row per asked text; an empty one is unsure, one in a language that cannot be read is unsupported, both at even odds."""
    reads = read(reader, asked)
    pieces = [reader.aspects.pieces(one.scored) if one.scored else [] for one in reads]
    texts = [one.scored for one in reads if one.scored]
    parts = [piece.text for found in pieces for piece in found]
    every = list(dict.fromkeys([*texts, *parts]))  # a clause is often the whole text: it is scored once
    place = {text: at for at, text in enumerate(every)}
    told = score(every, [reader.lexicon.feel(text) for text in every])
    whole, apart = [place[text] for text in texts], told.score[[place[text] for text in parts]]
    count = len(reads)
    chances, feeling = np.full((count, 3), 1 / 3), np.zeros(count)
    scored = np.array([bool(one.scored) for one in reads])
    chances[scored], feeling[scored] = told.chances[whole], told.score[whole]
    force = asked.column("force").astype("f8") > 0.5 if "force" in asked else np.zeros(count, bool)
    best, rated = chances.argmax(1), chances.max(1)
    labels = np.where(force | (rated >= sure), np.array(CLASSES, object)[best], UNSURE)
    labels = np.where(scored, labels, [_silent(one) for one in reads]).astype(object)
    words = iter(told.words[at] for at in whole)
    aspects, at = np.empty(count, object), 0
    for row, found in enumerate(pieces):
        aspects[row] = _aspects(found, apart[at : at + len(found)])
        at += len(found)
    because = [_because(next(words)) if fine else "" for fine in scored.tolist()]
    columns = {"label": labels, "score": np.clip(feeling, -1, 1)}
    columns |= {f"p_{name}": chances[:, place] for place, name in enumerate(CLASSES)}
    columns |= {"language": _objects("+".join(one.languages) for one in reads), "aspects": aspects, "because": _objects(because)}
    return Table.from_columns(columns)


def read(reader: Reader, asked: Table) -> list[Read]:
    """Return every asked text made plain; what was asked last is remembered. Raises MissingColumn."""
    kept, found = reader.memo.get("asked", (None, None))
    if kept is asked:
        return list(found)
    if "text" not in asked:
        raise MissingColumn('column "text" is missing', hint=f"there are: {', '.join(asked.names)}")
    spoken = asked.column("language").tolist() if "language" in asked else [None] * len(asked)
    made = [reader.read(text, str(language or "")) for text, language in zip(asked.column("text").tolist(), spoken, strict=True)]
    reader.memo["asked"] = asked, made
    return made


def notes(reader: Reader, asked: Table) -> list[str]:
    """Return what must be said of the texts: empty ones, languages that cannot be read, mixed ones, and those that were cut."""
    reads = read(reader, asked)
    said = []
    foreign: dict[str, int] = {}
    for one in reads:
        if one.text and not one.scored:
            foreign["+".join(one.languages)] = foreign.get("+".join(one.languages), 0) + 1
    if foreign:
        told = ", ".join(f"{name} {count}" for name, count in sorted(foreign.items(), key=lambda one: -one[1]))
        said.append(
            f"{sum(foreign.values())} texts are in a language that cannot be read here ({told}); it reads {', '.join(reader.supported)}."
        )
    mixed = sum(len(one.languages) > 1 and bool(one.scored) and one.scored != one.text for one in reads)
    if mixed:
        said.append(f"{mixed} texts mix languages: only the sentences in {', '.join(reader.supported)} were scored.")
    empty = sum(not one.text for one in reads)
    if empty:
        said.append(f"{empty} texts are empty: nothing can be said of them.")
    cut = sum(one.cut for one in reads)
    if cut:
        said.append(f"{cut} texts were longer than {LONGEST:,} characters: only their beginning was read.")
    return said + unasked(MODEL.asks, asked)


def even_words(feelings: Sequence[Feeling]) -> list[Words]:
    """Return the words of the lexicon that counted."""
    return [one.words for one in feelings]


def _silent(one: Read) -> str:
    return UNSUPPORTED if one.text else UNSURE


def _aspects(found: Sequence[Piece], scores: Array) -> str:
    """Return JSON: aspect -> label, the mean score of its clauses, and the clause that feels most."""
    if not found:
        return "{}"
    clauses: dict[str, list[tuple[float, str]]] = {}
    for piece, value in zip(found, scores.tolist(), strict=True):
        for aspect in piece.aspects:
            clauses.setdefault(aspect, []).append((value, piece.text))
    said: dict[str, Mapping[str, Any]] = {}
    for aspect, told in clauses.items():
        mean = sum(value for value, _ in told) / len(told)
        quote = max(told, key=lambda one: abs(one[0]))[1]
        said[aspect] = {"label": label_of(mean), "score": round(mean, 3), "quote": quote[:LONGEST_QUOTE]}
    return json.dumps(said, ensure_ascii=False)


def label_of(score: float) -> str:
    """Return the class of a score from -1 to 1."""
    return CLASSES[2] if score >= FELT else CLASSES[0] if score <= -FELT else CLASSES[1]


def _because(words: Words) -> str:
    return ", ".join(f"{word} {value:+.1f}" for word, value in words[:4])


def _objects(values: Any) -> Array:
    found = list(values)
    made = np.empty(len(found), object)
    made[:] = found
    return made
