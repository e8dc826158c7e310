"""Level 1: words, pairs and letters of the tenant's own labelled reviews beside the rules, in one linear map scored in numpy.

Level 2: the same with the vectors of a sentence encoder that the user supplies (`encoder`), where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed, Tampered
from tradewind.core.model import Knob
from tradewind.core.table import Array, Table
from tradewind.models._kit.tensors import load as load_tensors
from tradewind.models._kit.tensors import save as save_tensors
from tradewind.models.sentiment import answering, chances, encoder, grams, trends
from tradewind.models.sentiment.chances import Chances
from tradewind.models.sentiment.classes import places
from tradewind.models.sentiment.encoder import Encoder
from tradewind.models.sentiment.grams import Grams
from tradewind.models.sentiment.lexicon import Feeling
from tradewind.models.sentiment.reading import Reader, make_reader
from tradewind.models.sentiment.rules import inputs

MOST_TEXTS = 40_000
FEWEST = 50  # labelled texts
OF_A_LANGUAGE = 40  # labelled texts from which a language other than English is read
PARTS = 4  # of the labels; what each says is held out once to calibrate by
BY_WORDS = 0.5  # what the lexicon counts in the score of a clause, the rest is the linear map's
FEELS = 2.0  # scale of the rules' numbers among the inputs


@dataclass(frozen=True, slots=True)
class State:
    """What reads a text, one weight per word or stretch and class, and the map that makes probabilities of it."""

    reader: Reader
    grams: Grams
    weights: Array  # (grams, classes told) float32
    dense: Array  # (rules' numbers and encoder's, classes told)
    bias: Array  # (classes told,)
    chances: Chances
    sure: float
    encoder: Encoder | None = None


class Linear:
    """Learn from labelled reviews; a probability is what held-out labels say it is."""

    name = "linear"
    knobs = (
        Knob("strength", 8.0, 0.01, 1000.0, log=True, meaning="how far weights may go: the inverse of the ridge penalty"),
        Knob("sure", answering.SURE, 0.34, 0.99, meaning="answer a class from this probability on, else unsure", tune=False),
        Knob("encoder", "", meaning="folder with model.onnx and tokenizer.json of a sentence encoder; empty: none", tune=False),
        Knob("encoder_sha256", "", meaning="the SHA-256 that model.onnx must have", tune=False),
    )

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Learn weights from all labels, and calibrate on labels held out part by part. Raises LearnFailed where there are too few."""
        reviews = table.take(table.column("kind") == "review")
        reader = make_reader(table)
        texts, classes, supported = _labelled(reader, reviews, seed)
        reader = replace(reader, supported=supported)
        extra = encoder.supplied(Path(params["encoder"]), params["encoder_sha256"]) if params["encoder"] else None
        known = grams.learn(texts)
        sparse, dense = _matrix(known, texts), _dense(reader, extra, texts)
        strength = float(params["strength"])
        held = _held_out(sparse, dense, classes, strength, seed)
        told = chances.told(classes)
        weights, bias = _fitted(sparse, dense, classes, strength)
        calibrated = chances.learn(held, classes, strength=1.0)
        if calibrated is None:
            raise LearnFailed("the labels are too few to calibrate by", hint=f"at least {chances.FEWEST} labelled reviews")
        state = State(
            reader,
            known,
            weights[: len(known)].astype("f4"),
            weights[len(known) :],
            bias,
            replace(calibrated, places=told),
            float(params["sure"]),
            extra,
        )
        found = trends.of(reviews, lambda asked: self.predict(state, asked))
        return replace(state, reader=replace(reader, trends=found))

    def predict(self, state: State, asked: Table) -> Table:
        """Answer every text; `score` is the chance of positive less the chance of negative."""
        return answering.answered(state.reader, asked, lambda texts, feelings: _score(state, texts, feelings), sure=state.sure)

    def effects(self, state: State) -> Table:
        """Return how products did by aspect and month in the reviews it was learned from."""
        return trends.table(state.reader.trends)

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say which texts could not be read, and which class is never answered because nobody labelled it."""
        from tradewind.models.sentiment.classes import CLASSES

        missing = [name for place, name in enumerate(CLASSES) if place not in state.chances.places]
        said = answering.notes(state.reader, asked)
        return [*said, f"No {' or '.join(missing)} reviews were labelled: that class is never answered."] if missing else said

    def dump(self, state: State) -> Mapping[str, bytes]:
        """Write words as JSON, weights as tensors, and the encoder as it was supplied."""
        head = {"sure": state.sure, "words": list(state.grams.words), "stretches": list(state.grams.stretches)}
        arrays = {"weights": state.weights, "dense": state.dense, "bias": state.bias, "rarity": state.grams.rarity.astype("f4")}
        parts = {
            "words.json": state.reader.dump(),
            "chances.json": state.chances.dump(),
            "grams.json": json.dumps(head, ensure_ascii=False).encode(),
            "weights.safetensors": save_tensors(arrays),
        }
        return parts | (state.encoder.parts() if state.encoder else {})

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back; raises Tampered where sizes do not fit together."""
        try:
            head = json.loads(parts["grams.json"])
            arrays = load_tensors(parts["weights.safetensors"])
            known = Grams(tuple(head["words"]), tuple(head["stretches"]), arrays["rarity"].astype("f8"))
            made = State(
                Reader.load(parts["words.json"]),
                known,
                arrays["weights"],
                arrays["dense"],
                arrays["bias"],
                Chances.load(parts["chances.json"]),
                float(head["sure"]),
                encoder.held(parts),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Tampered("a sentiment version cannot be read") from error
        if made.weights.shape != (len(known), len(made.bias)) or len(known.rarity) != len(known):
            raise Tampered("a sentiment version's weights do not fit its words")
        return made


def _score(state: State, texts: Sequence[str], feelings: Sequence[Feeling]) -> answering.Scored:
    logits = np.tile(state.bias, (len(texts), 1))
    if texts:
        logits += _numbers(state.encoder, texts, feelings) @ state.dense
        row, place, value = state.grams.rows(texts)
        told = state.weights[place]
        for at in range(logits.shape[1]):
            logits[:, at] += np.bincount(row, value * told[:, at], len(texts))
    made = state.chances(logits)
    own = made[:, 2] - made[:, 0]
    compound = np.array([one.compound for one in feelings])
    return answering.Scored(made, (1 - BY_WORDS) * own + BY_WORDS * compound if texts else own, answering.even_words(feelings))


def _labelled(reader: Reader, reviews: Table, seed: int) -> tuple[list[str], Array, tuple[str, ...]]:
    """Return labelled texts once each, their classes, and the languages that are labelled often enough to be read."""
    given = places(reviews.column("label"))
    once: dict[str, int] = {}
    spoken: dict[str, int] = {}
    for text, place in zip(reviews.column("text").tolist(), given.tolist(), strict=True):
        if place < 0:
            continue
        one = reader.read(text)
        if one.text and one.text not in once:
            once[one.text] = place
            spoken[one.languages[0]] = spoken.get(one.languages[0], 0) + 1
    supported = ("en", *sorted(name for name, count in spoken.items() if len(name) == 2 and name != "en" and count >= OF_A_LANGUAGE))
    texts, classes = list(once), np.array(list(once.values()), int)
    told = chances.told(classes)
    keep = np.flatnonzero(np.isin(classes, told))
    if len(keep) < FEWEST or len(told) < 2:
        raise LearnFailed(
            f"{len(keep)} different labelled reviews of {len(told)} classes are too few to learn from",
            hint=f"label at least {FEWEST}, {chances.FEWEST_EACH} of two classes or more; rules work without labels",
        )
    if len(keep) > MOST_TEXTS:
        keep = np.sort(np.random.default_rng(seed).choice(keep, MOST_TEXTS, replace=False))
    return [texts[at] for at in keep], classes[keep], supported


def _matrix(known: Grams, texts: Sequence[str]) -> Any:
    from scipy.sparse import csr_matrix

    row, place, value = known.rows(texts)
    return csr_matrix((value, (row, place)), shape=(len(texts), len(known)))


def _dense(reader: Reader, extra: Encoder | None, texts: Sequence[str]) -> Array:
    return _numbers(extra, texts, [reader.lexicon.feel(text) for text in texts])


def _numbers(extra: Encoder | None, texts: Sequence[str], feelings: Sequence[Feeling]) -> Array:
    felt = inputs(feelings) * FEELS
    return felt if extra is None else np.hstack([felt, extra.vectors(texts)])


def _fitted(sparse: Any, dense: Array, classes: Array, strength: float) -> tuple[Array, Array]:
    """Return weights (inputs, classes told) and their bias."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    rows = hstack([sparse, csr_matrix(dense)]).tocsr()
    fitted = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(rows, classes)
    if len(fitted.classes_) == 2:
        return np.hstack([np.zeros((rows.shape[1], 1)), fitted.coef_.T]), np.array([0.0, float(fitted.intercept_[0])])
    return np.asarray(fitted.coef_.T), np.asarray(fitted.intercept_)


def _held_out(sparse: Any, dense: Array, classes: Array, strength: float, seed: int) -> Array:
    """Return what a map learned from the other parts says of each label: the logits that probabilities are calibrated on."""
    from sklearn.model_selection import StratifiedKFold

    made = np.zeros((len(classes), len(chances.told(classes))))
    for learned, held in StratifiedKFold(PARTS, shuffle=True, random_state=seed).split(dense, classes):
        weights, bias = _fitted(sparse[learned], dense[learned], classes[learned], strength)
        made[held] = sparse[held] @ weights[: sparse.shape[1]] + dense[held] @ weights[sparse.shape[1] :] + bias
    return made


RECIPE = Linear()
