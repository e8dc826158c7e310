"""Learn segments: how many the data supports, where their middles lie, what they are called, how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, LearnFailed
from tradewind.core.table import Array, Table
from tradewind.models._kit.clusters import mixture, network
from tradewind.models._kit.clusters.agree import numbered
from tradewind.models._kit.clusters.choose import Candidate, Choice, centres, choose, distances, nearest, sampled, solidity, stability
from tradewind.models._kit.customers.features import MEANINGS
from tradewind.models.segments.inputs import Inputs, learned
from tradewind.models.segments.naming import names
from tradewind.models.segments.rules import rules
from tradewind.models.segments.state import Segments

LEAST, MOST = 3, 9
FEWEST = 300  # customers below which no number of segments is looked for
FEWEST_LABELS = 3  # labelled customers per segment
MOST_ROWS = 20_000  # a mixture or network learns from a sample of this many
SHARE, BOOTSTRAPS = 0.03, 20  # as the knobs of k-means stand: what was tried for it is not tried again
SMALL = 10  # customers below which nothing can be said of a segment
DRAWS = 5  # groupings of resampled customers that teach the network how sure to be
PARTS = 5  # quintiles of recency, frequency and money
CELLS: tuple[tuple[str, tuple[int, int], tuple[int, int]], ...] = (
    ("Champions", (4, 5), (4, 5)),
    ("Loyal", (3, 3), (4, 5)),
    ("Potential loyalists", (4, 5), (2, 3)),
    ("New", (5, 5), (1, 1)),
    ("Promising", (4, 4), (1, 1)),
    ("Need attention", (3, 3), (3, 3)),
    ("About to sleep", (3, 3), (1, 2)),
    ("Cannot lose", (1, 2), (5, 5)),
    ("At risk", (1, 2), (3, 4)),
    ("Hibernating", (1, 2), (1, 2)),
)
"""Name, fifths of recency (5: bought last), fifths of frequency and money (5: most), both ends included."""


@dataclass(frozen=True, slots=True)
class Base:
    """A grouping before anyone is assigned by it: groups from 0, their names where an expert gave them, what is to be said."""

    groups: Array
    named: tuple[str, ...]
    jaccard: Array
    known: Array | None
    said: tuple[str, ...]
    numbers: Mapping[str, Any]


def cells(now: Table, wish: Mapping[str, Any], seed: int) -> Segments:
    """Return recency x (frequency, money) cells by quintiles, in ten named groups of which each customer has exactly one."""
    wanted = ("recency", "orders", "basket")
    if any(name not in now for name in wanted):
        inputs = Inputs((), (), np.zeros(0, bool), np.zeros(0), np.zeros(0), np.zeros(0))
        base = Base(np.zeros(len(now), int), ("All customers",), np.ones(1), None, ("there are no orders to make cells of",), {})
        return _stated("cells", inputs, now, base=base, parameters={}, seed=seed)
    inputs = Inputs(wanted, ("",) * 3, np.ones(3, bool), np.zeros(3), np.ones(3), np.ones(3))
    raw = inputs.raw(now)
    edges = {f"edges_{at}": np.unique(np.quantile(raw[:, at], np.arange(1, PARTS) / PARTS)) for at in range(3)}
    edges = {name: np.r_[values, np.full(PARTS - 1 - len(values), np.inf)] for name, values in edges.items()}
    table = np.zeros((PARTS, PARTS), "i8")
    for number, (_, recent, often) in enumerate(CELLS):
        table[recent[0] - 1 : recent[1], often[0] - 1 : often[1]] = number
    score = [1 + np.searchsorted(edges[f"edges_{at}"], raw[:, at], side="right") for at in range(3)]
    groups = table[PARTS - score[0], (score[1] + score[2] + 1) // 2 - 1]
    said = ("cells are cut at quintiles: they are a grid laid over customers, not groups found among them", *_found(now, seed))
    base = Base(groups, tuple(name for name, _, _ in CELLS), np.ones(len(CELLS)), None, said, {})
    return _stated("cells", inputs, now, base=base, parameters=edges | {"cells": table}, seed=seed)


def _found(now: Table, seed: int) -> tuple[str, ...]:
    """Return the words of a search for groups that found none: who is given cells should know that there is nothing better."""
    if len(now) < FEWEST or _labels(now) is not None:
        return ()
    try:
        choice = choose(learned(now).matrix(now), seed, least=LEAST, most=MOST, share=SHARE, bootstraps=BOOTSTRAPS)
    except LearnFailed as error:
        return (error.message,)
    return () if choice.k else (_unsupported(choice),)


def grouped(now: Table, how: str, wish: Mapping[str, Any], seed: int) -> Segments:
    """Return segments by k-means, a mixture or a network, begun from labelled customers where there are some."""
    inputs = learned(now)
    rows = inputs.matrix(now)
    known = _labels(now)
    base = _by_labels(rows, known, wish, seed) if known is not None else _by_rows(rows, wish, seed)
    if len(base.named) == 1:
        return _stated("centres", inputs, now, base=base, parameters={}, seed=seed)
    parameters: dict[str, Array] = {}
    if how == "mixture":
        made = _mixture(rows, base, seed)
        parameters = {"weight": made.weight, "mean": made.mean, "root": made.root}
    elif how == "network":
        taught = _network(rows, base, seed, int(wish["steps"]))
        parameters = {"first": taught.first, "first_bias": taught.first_bias, "last": taught.last, "last_bias": taught.last_bias}
        fidelity = float((taught.probability(rows).argmax(1) == base.groups).mean())
        base.numbers["fidelity"] = fidelity  # type: ignore[index]
    return _stated(how, inputs, now, base=base, parameters=parameters, seed=seed)


def _labels(now: Table) -> tuple[Array, tuple[str, ...]] | None:
    """Return the known segment of every customer (-1: not known) and their names; raises LearnFailed where one has too few members."""
    if "label" not in now:
        return None
    values = now.column("label")
    found = numbered(values)
    if not (found >= 0).any():
        return None
    named = tuple(sorted({str(value) for value in values.tolist() if value is not None}))
    count = np.bincount(found[found >= 0])
    if len(named) < 2 or count.min() < FEWEST_LABELS:
        low = named[int(count.argmin())]
        raise LearnFailed(
            f"{int(count.min())} customers are labelled {low!r}: that says too little of a segment",
            hint=f"label {FEWEST_LABELS} customers at least of two segments or more; ten of each are good",
        )
    return found, named


def _by_labels(rows: Array, labelled: tuple[Array, tuple[str, ...]], wish: Mapping[str, Any], seed: int) -> Base:
    known, named = labelled
    if wish["k"] and wish["k"] != len(named):
        raise BadValue(f"k is {wish['k']}, but customers are labelled with {len(named)} segments", hint="leave k out")
    part = _part(len(rows), seed, known)
    few, fixed = rows[part], known[part]
    made = mixture.learned(few, mixture.seeded(few, fixed), known=fixed)
    groups = np.where(known >= 0, known, made.probability(rows).argmax(1))
    labelled_rows = rows[known >= 0], known[known >= 0]

    def refit(sample: Array, number: int) -> Any:
        both, kept = np.concatenate([sample, labelled_rows[0]]), np.r_[np.full(len(sample), -1), labelled_rows[1]]
        again = mixture.learned(both, mixture.seeded(both, kept), known=kept, rounds=20)
        return lambda every: again.probability(every).argmax(1)

    few = sampled(rows, seed)
    found = stability(few, made.probability(few).argmax(1), refit, seed=seed, bootstraps=min(int(wish["bootstraps"]), 10))
    said = (f"segments follow {int((known >= 0).sum())} labelled customers",)
    return Base(groups, named, found.jaccard, known, said, _measured(found))


def _part(count: int, seed: int, known: Array) -> Array:
    """Return at most MOST_ROWS rows, all labelled ones among them."""
    if count <= MOST_ROWS:
        return np.arange(count)
    drawn = np.random.default_rng(seed).choice(count, MOST_ROWS, replace=False)
    return np.union1d(drawn, np.flatnonzero(known >= 0))


def _by_rows(rows: Array, wish: Mapping[str, Any], seed: int) -> Base:
    forced = int(wish["k"])
    if forced and forced > len(np.unique(rows.round(9), axis=0)):
        raise BadValue(f"there are fewer different customers than {forced} segments", hint="ask for fewer, or leave k out")
    if not forced and len(rows) < FEWEST:
        raise LearnFailed(
            f"{len(rows)} customers are too few to tell how many segments there are", hint=f"at least {FEWEST}; rfm cells serve, or set k"
        )
    least, most = (forced, forced) if forced > 1 else (LEAST, MOST)
    choice = Choice(1) if forced == 1 else choose(rows, seed, least=least, most=most, share=wish["share"], bootstraps=wish["bootstraps"])
    k = forced or choice.k
    if k < 2:
        return Base(np.zeros(len(rows), int), ("All customers",), np.ones(1), None, (_unsupported(choice),), _tried(choice))
    best = choice.of(k)
    start = best.middles if best is not None else None
    middles, _ = centres(rows, k, seed, start=start)
    groups = nearest(rows, middles)
    order = np.argsort(-np.bincount(groups, minlength=k), kind="stable")
    place = np.argsort(order)
    jaccard = best.jaccard[order] if best is not None else np.full(k, np.nan)
    return Base(place[groups], ("",) * k, jaccard, None, _supported(choice, k, forced), _tried(choice) | (_measured(best) if best else {}))


def _unsupported(choice: Choice) -> str:
    if not choice.tried:
        return "one segment was asked for"
    why = "; ".join(f"{one.k}: {one.why}" for one in choice.tried)
    span = f"from {choice.tried[0].k} to {choice.tried[-1].k}"
    return f"no supported segmentation: no number of segments {span} is supported by the data ({why})"


def _supported(choice: Choice, k: int, forced: int) -> tuple[str, ...]:
    best = choice.of(k)
    if best is None:
        return (f"{k} segments were asked for; how stable they are was not measured",)
    if forced:
        return (f"{k} segments were asked for; the data " + (f"does not support them: {best.why}" if best.why else "supports them"),)
    agree = f"Rand index {best.stability:.2f}, tenth percentile {best.p10:.2f}"
    said = f"{k} segments are supported: refits to resampled customers agree ({agree})"
    if not 5 <= k <= 8:
        said += "; a number from 5 to 8 is not supported by the data"
    return (said,)


def _measured(one: Candidate) -> dict[str, Any]:
    return {"stability": _plain(one.stability), "p10": _plain(one.p10)}


def _tried(choice: Choice) -> dict[str, Any]:
    found = [
        {"k": one.k, "p10": _plain(one.p10), "jaccard": _plain(one.jaccard.min()), "share": one.share, "beyond": one.beyond, "why": one.why}
        for one in choice.tried
    ]
    return {"tried": found}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mixture(rows: Array, base: Base, seed: int) -> mixture.Mixture:
    part = _part(len(rows), seed, np.full(len(rows), -1) if base.known is None else base.known)
    return mixture.learned(rows[part], base.groups[part], known=None if base.known is None else base.known[part])


def _network(rows: Array, base: Base, seed: int, steps: int) -> network.Network:
    """Return the network that learned several plausible groupings of the same rows, and so how sure one can be."""
    rng = np.random.default_rng(seed)
    known = np.full(len(rows), -1) if base.known is None else base.known
    part = _part(len(rows), seed, known)
    k, few, groups = len(base.named), rows[part], base.groups[part]
    drawn = []
    soft = None if base.known is None else _mixture(rows, base, seed).probability(few)
    for draw in range(DRAWS):
        if soft is not None:
            drawn.append((rng.random((len(few), 1)) > soft.cumsum(1)).sum(1).clip(max=k - 1))
            continue
        start = np.stack([few[groups == group].mean(0) for group in range(k)])
        drawn.append(nearest(few, centres(few[rng.integers(0, len(few), len(few))], k, seed + draw, start=start)[0]))
    drawn.append(groups)  # the grouping itself, so that every group is there
    if base.known is not None:
        labelled = base.known[part] >= 0
        few_known, groups_known = np.tile(few[labelled], (DRAWS, 1)), np.tile(base.known[part][labelled], DRAWS)
        return network.learned(np.concatenate([np.tile(few, (DRAWS + 1, 1)), few_known]), np.r_[*drawn, groups_known], seed, steps=steps)
    return network.learned(np.tile(few, (DRAWS + 1, 1)), np.concatenate(drawn), seed, steps=steps)


def _stated(how: str, inputs: Inputs, now: Table, *, base: Base, parameters: Mapping[str, Array], seed: int) -> Segments:
    raw = inputs.raw(now)
    rows, k = inputs.scaled(raw), len(base.named)
    middles = np.stack([rows[base.groups == at].mean(0) if (base.groups == at).any() else np.zeros(rows.shape[1]) for at in range(k)])
    spread = float(np.mean(distances(rows, middles)[np.arange(len(rows)), base.groups] ** 2) / max(rows.shape[1], 1)) or 1.0
    profile, facts = _profile(now, base.groups, k)
    made = Segments(
        how=how,
        inputs=inputs,
        middles=middles,
        names=base.named if base.named[0] else names(inputs, middles),
        rules=rules(inputs, raw, base.groups, k, seed) if raw.shape[1] else ("all customers",) * k,
        solid=tuple("a cell, cut by rule" if how == "cells" else solidity(float(one)) for one in base.jaccard),
        people=now.column("customer").astype(str).astype(object),
        raw=raw.astype("f4").astype("f8"),
        home=base.groups.astype("i8"),
        share=np.bincount(base.groups, minlength=k) / len(base.groups),
        profile=profile,
        facts=facts,
        said=(*base.said, *_small(base.groups, k)),
        numbers={**base.numbers, "spread": spread, "jaccard": [_plain(float(one)) for one in base.jaccard]},
        parameters=parameters,
    )
    home = made.home if (base.known is None and how == "centres") or how == "cells" else made.assign(made.raw)[0].argmax(1)
    if base.known is not None:
        home = np.where(base.known >= 0, base.known, home)  # what an expert said stands
    return Segments(**{name: getattr(made, name) for name in made.__dataclass_fields__} | {"home": home.astype("i8")})


def _small(groups: Array, k: int) -> tuple[str, ...]:
    count = np.bincount(groups, minlength=k)
    few = [f"S{at + 1} holds {count[at]} customers" for at in range(k) if 0 < count[at] < SMALL]
    return (f"{', '.join(few)}: too few to say anything of or to act on",) if few else ()


def _profile(now: Table, groups: Array, k: int) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return mean, standard error and count of every numeric fact by segment."""
    facts = [name for name in now.names if name in MEANINGS or (name.startswith("about_") and now.column(name).dtype.kind in "biuf")]
    mean, error = np.zeros((k, len(facts))), np.zeros((k, len(facts)))
    for place, name in enumerate(facts):
        values = now.column(name).astype("f8")
        for group in range(k):
            part = values[(groups == group) & np.isfinite(values)]
            if len(part):
                mean[group, place] = part.mean()
                error[group, place] = part.std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else abs(part.mean())
    return {"mean": mean, "error": error, "count": np.bincount(groups, minlength=k).astype("f8")}, tuple(facts)
