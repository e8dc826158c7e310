"""Reviews of the sample company, of which it is known what was meant about which aspect."""

from __future__ import annotations

import json

import numpy as np

from tradewind.core.catalog import TABLES
from tradewind.core.model import Example, Truth
from tradewind.core.table import Array, Table
from tradewind.models._kit.world_text import make_reviews

SEEN, ASKED = 500, 200


def example(seed: int) -> Example:
    """Write reviews to learn from, two terms of the tenant's own, and other reviews to be asked."""
    rows, _ = _written(seed, SEEN)
    reviews = {name: values for name, values in rows.items() if name != "rating"}
    terms = {
        "term": np.array(["zonky", "click and collect"], object),
        "valence": np.array([3.0, np.nan]),
        "aspect": np.array([None, "delivery"], object),
    }
    tables = {"reviews": Table.from_columns(reviews, TABLES["reviews"]), "terms": Table.from_columns(terms)}
    return Example(tables, _truths(seed), Table.from_columns({"text": rows["text"][:40]}))


def _written(seed: int, count: int) -> tuple[dict[str, Array], dict[str, Array]]:
    days = np.arange(np.datetime64("2025-01-01"), np.datetime64("2025-07-01"))
    names = np.array(["P1", "P2", "P3"], object)
    items = np.array(["coffee", "cheese", "soap"], object)
    written = make_reviews(seed, count=count, days=days, products=names, items=items, customers=names)
    return dict(written.table), dict(written.truth)


def _truths(seed: int) -> tuple[Truth, ...]:
    rows, truth = _written(seed + 1000, ASKED)
    asked = Table.from_columns({"text": rows["text"], "force": np.ones(ASKED)})
    meant: dict[str, dict[str, str]] = {}
    spoken: dict[str, str] = {}
    for review, aspect, feeling, language in zip(
        *(truth[name].tolist() for name in ("review", "aspect", "sentiment", "language")), strict=True
    ):
        meant.setdefault(review, {})[aspect] = feeling
        spoken[review] = language
    names = rows["review"].tolist()
    english = np.array([spoken[name] == "en" for name in names])

    def labels(answer: Table) -> float:
        return float((answer.column("label") == rows["label"])[english].mean())

    def aspects(answer: Table) -> float:
        """Return the share of meant aspects that were found with the feeling that was meant."""
        right = whole = 0
        for name, said, fine in zip(names, answer.column("aspects").tolist(), english.tolist(), strict=True):
            if not fine:
                continue
            found = {aspect: told["label"] for aspect, told in json.loads(said).items()}
            whole += len(meant[name])
            right += sum(found.get(aspect) == feeling for aspect, feeling in meant[name].items())
        return right / whole

    def languages(answer: Table) -> float:
        return float(np.mean([said == spoken[name] for name, said in zip(names, answer.column("language").tolist(), strict=True)]))

    own = Table.from_columns({"text": np.array(["This shop is zonky"], object), "force": np.ones(1)})
    return (
        Truth("share of English reviews with the label that was meant", asked, labels, 1.0, 0.17),
        Truth("share of meant aspects found with what was felt of them", asked, aspects, 1.0, 0.15),
        Truth("share of reviews whose language is known", asked, languages, 1.0, 0.03),
        Truth("a term of the tenant's own counts", own, lambda answer: float(answer.column("score")[0] > 0.2), 1.0, 0.0),
    )
