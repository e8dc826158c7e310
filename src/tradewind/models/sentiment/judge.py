"""How sentiment recipes are examined: labelled reviews held out part by part, each answered by what the others taught."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Array, Table
from tradewind.models.sentiment.classes import CLASSES, places

FEWEST = 12
BINS = 10
TINY = 1e-6
SURE = 0.55


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return cross-validation over the labelled reviews; the same text is never on both sides.

    Without labels made-up reviews with a known feeling stand in for them: what no label can teach is judged on those.
    """
    given = places(table.column("label"))
    labelled = np.flatnonzero(given >= 0)
    if len(labelled) == 0:
        return [_made_up(table, seed)]
    texts = table.column("text")[labelled].tolist()
    if len(set(texts)) < max(FEWEST, 2 * folds):
        raise LearnFailed(
            f"{len(set(texts))} different labelled reviews are too few to judge by", hint=f"label at least {max(FEWEST, 2 * folds)}"
        )
    fold = _folds(texts, given[labelled], max(folds, 2), seed)
    made = []
    for at in range(max(folds, 2)):
        held = labelled[fold == at]
        seen = np.ones(len(table), bool)
        seen[held] = False
        made.append(_exam(table.take(seen), table.take(held)))
    return made


def _folds(texts: Sequence[str], classes: Array, folds: int, seed: int) -> Array:
    """Return the fold of each row: different texts of a class in turn, in a random order."""
    rng = np.random.default_rng(seed)
    once: dict[str, int] = {}
    for text, place in zip(texts, classes.tolist(), strict=True):
        once.setdefault(text, place)
    names = list(once)
    order = rng.permutation(len(names))
    order = order[np.argsort(np.array([once[names[at]] for at in order]), kind="stable")]
    fold = {names[at]: turn % folds for turn, at in enumerate(order.tolist())}
    return np.array([fold[text] for text in texts])


def _exam(seen: Table, held: Table) -> Exam:
    asked = Table.from_columns({"text": held.column("text"), "force": np.ones(len(held))})
    return Exam(seen, asked, held.select(["text", "label"]))


def _made_up(table: Table, seed: int) -> Exam:
    from tradewind.models._kit.world_text import make_reviews

    days = np.arange(np.datetime64("2025-01-01"), np.datetime64("2025-12-31"))
    names = np.array(["P1", "P2", "P3"], object)
    items = np.array(["coffee", "cheese", "soap"], object)
    written = make_reviews(seed, count=400, days=days, products=names, items=items, customers=names)
    return _exam(table, Table.from_columns({"text": written.table["text"], "label": written.table["label"]}))


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return the share of wrong classes where one had to be named, and how good the probabilities are.

    `ece` is the mean gap between the largest probability and how often it was right, in ten bins; `answered` is the share that is answered
    at the usual threshold, `error_answered` how often those are wrong.
    """
    truth = np.concatenate([places(exam.truth.column("label")) for exam in exams])
    chance = np.concatenate([np.column_stack([one.column(f"p_{name}") for name in CLASSES]) for one in answers])
    said = np.concatenate([places(one.column("label")) for one in answers])
    wrong = (said != truth).astype("f8")
    rated, best = chance.max(1), chance.argmax(1)
    sure = rated >= SURE
    metrics = {
        "error": float(wrong.mean()),
        "log_loss": float(-np.log(np.maximum(chance[np.arange(len(truth)), truth], TINY)).mean()),
        "brier": float(((chance - np.eye(3)[truth]) ** 2).sum(1).mean()),
        "macro_f1": _macro_f1(truth, said),
        "ece": _ece(rated, (best == truth).astype("f8")),
        "answered": float(sure.mean()),
        "error_answered": float((best != truth)[sure].mean()) if sure.any() else 0.0,
    }
    return Marks(metrics, wrong, np.arange(len(wrong)))


def _macro_f1(truth: Array, said: Array) -> float:
    scores = []
    for place in np.unique(truth):
        hit = float(((truth == place) & (said == place)).sum())
        scores.append(2 * hit / max(float((truth == place).sum() + (said == place).sum()), 1.0))
    return float(np.mean(scores))


def _ece(rated: Array, right: Array) -> float:
    bins = np.minimum((rated * BINS).astype(int), BINS - 1)
    gaps = [abs(float((rated - right)[bins == at].mean())) * float((bins == at).mean()) for at in range(BINS) if (bins == at).any()]
    return float(sum(gaps))
