"""One engine around every way to rank: what is kept, how it is learned, and how questions are answered with chances and reasons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tradewind.core.errors import Tampered
from tradewind.core.model import Knob
from tradewind.core.table import Array, Table
from tradewind.models._kit.tensors import load as load_tensors
from tradewind.models._kit.tensors import save as save_tensors
from tradewind.models._kit.unasked import unasked
from tradewind.models.recommend import MODEL, offers, ranker, reasons, rules, shop, weights
from tradewind.models.recommend import log as logs
from tradewind.models.recommend.offers import Redeem
from tradewind.models.recommend.ranker import Grid, Ranker
from tradewind.models.recommend.rules import Wish
from tradewind.models.recommend.shop import Profiles, Shop
from tradewind.models.recommend.weights import Weights

POWERS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
STEADY = 0.5  # the power of the trend where there is no time to tune it on
YOUNG = 20  # buyers up to which an item is young
FLOOR = -40.0  # log odds below those of every candidate
ROWS = 25  # questions answered together: what is worked out for them stays in the processor's cache
EASE_KNOBS = (
    Knob("strength", 300.0, 1.0, 100_000.0, log=True, meaning="how much shared buying is needed before items speak for each other"),
    Knob("keep", 100, 5, 1000, meaning="weights kept into each item", tune=False),
    Knob("most", 6000, 50, 10_000, meaning="items, the most bought first, whose weights for each other are worked out exactly", tune=False),
    Knob(
        "factors",
        64,
        0,
        256,
        meaning="numbers per item that those past `most` learn weights by (implicit ALS); 0: they have habit and popularity",
        tune=False,
    ),
)


@dataclass(frozen=True, slots=True)
class State:
    """What was learned as of the day after the last purchase."""

    shop: Shop
    ranker: Ranker
    power: float
    weights: Weights | None
    redeem: Redeem
    memo: dict[str, Any] = field(default_factory=dict)  # the notes to the last question


@dataclass(frozen=True, slots=True)
class _Told:
    """What some rows are answered: how many items each, and of these items, one after the other, what is said of them."""

    sizes: list[int]
    item: Array
    score: Array
    chance: Array
    reason: list[str]
    short: list[str]  # of rows that got fewer than they asked for


class Engine(ABC):
    """Learn, answer, explain and be written down; a recipe says how a shelf is ranked."""

    name = ""
    knobs: tuple[Knob, ...] = ()
    likes = False  # whether it learns what items say for each other

    @abstractmethod
    def score(self, state: State, who: Profiles, made: Grid, shelf: str) -> Array:
        """Return (rows, items), higher is better; whether an item may be offered is looked at later."""

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Learn from all purchases; chances and the power of the trend from what was bought after past days."""
        log = logs.read(table)
        past = ranker.cuts(log, seed)
        taught = [(cut, self._weights(log, cut.seen, params, seed)) for cut in past]
        timed = len(past) > 1 or past[0].seen.day < log.end
        power = ranker.tune(log, taught, POWERS, seed) if self.likes and timed else STEADY
        learned = ranker.learn(log, taught, power, seed)
        now = logs.seen(log, log.end)
        here = shop.of(log, now)
        return State(here, learned, power, self._weights(log, now, params, seed), offers.learn(log, here, seed))

    def _weights(self, log: logs.Log, seen: logs.Seen, params: Mapping[str, Any], seed: int) -> Weights | None:
        if not self.likes:
            return None
        whole = {name: int(params[name]) for name in ("keep", "most", "factors")}
        return weights.learn(log, seen, strength=float(params["strength"]), seed=seed, **whole)

    def predict(self, state: State, asked: Table) -> Table:
        """Answer each row with its best items: exactly as many as asked, or as many as there are, and then the notes say why."""
        wishes = rules.read(state.shop, asked)
        parts = [self._answered(state, wishes[at : at + ROWS]) for at in range(0, len(wishes), ROWS)]
        state.memo.update(asked=asked, wishes=wishes, short=[one for part in parts for one in part.short])
        sizes = np.array([size for part in parts for size in part.sizes], int)
        row = np.repeat(np.arange(len(wishes)), sizes)
        columns: dict[str, Array] = {"asked": row}
        columns["customer"] = _objects(one.customer or None for one in wishes)[row]
        columns["shelf"] = _objects(one.shelf for one in wishes)[row]
        columns["rank"] = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        columns["item"] = state.shop.items[np.concatenate([np.zeros(0, int), *(part.item for part in parts)])]
        columns["score"] = np.concatenate([np.zeros(0), *(part.score for part in parts)])
        columns["probability"] = np.concatenate([np.zeros(0), *(part.chance for part in parts)])
        columns["reason"] = _objects([said for part in parts for said in part.reason])
        return Table.from_columns(columns)

    def _answered(self, state: State, wishes: Sequence[Wish]) -> _Told:
        who = shop.profiles(state.shop, np.array([one.person for one in wishes]), [one.basket for one in wishes])
        made = ranker.grid(state.shop, state.weights, who)
        score = self._score(state, who, made, [one.shelf for one in wishes])
        open_ = _open(state, wishes, made)
        taken: list[dict[str, int]] = [{} for _ in wishes]
        for at, wish in enumerate(wishes):
            if not wish.plain():
                days = np.where(made.count[at] > 0, state.shop.seen.day - made.last[at], -1)
                fine, taken[at] = rules.allowed(state.shop, wish, days)
                open_[at] &= fine
        score[~open_] = -np.inf
        found, short = _best(score, [one.k for one in wishes]), []
        young = state.shop.seen.buyers <= YOUNG
        for at, wish in enumerate(wishes):
            why = ""
            if not wish.plain():
                found[at], why = rules.choose(state.shop, wish, score[at], young)
            if len(found[at]) < wish.k:
                short.append(_short(state.shop, wish, made.count[at] > 0, found=len(found[at]), taken=taken[at], capped=why))
        sizes = [len(chosen) for chosen in found]
        pairs = np.repeat(np.arange(len(wishes)), sizes), np.array([one for chosen in found for one in chosen], int)
        chance = state.ranker.chance(ranker.inputs(state.shop, who, made, *pairs), made.count[pairs] > 0)
        said = reasons.of(state.shop, state.weights, made, *pairs)
        if any(one.pin for one in wishes):
            pins = [set(one.pin) for one in wishes]
            told = zip(pairs[0].tolist(), pairs[1].tolist(), said, strict=True)
            said = ["pinned by a rule" if item in pins[row] else reason for row, item, reason in told]
        return _Told(sizes, pairs[1], score[pairs].astype("f8"), chance, said, short)

    def _score(self, state: State, who: Profiles, made: Grid, shelves: Sequence[str]) -> Array:
        first, *others = sorted(set(shelves))
        if not others:
            return self.score(state, who, made, first)
        named = np.array(shelves)
        score: Array = np.empty(0)
        for shelf in (first, *others):
            rows = np.flatnonzero(named == shelf)
            part = self.score(state, who.take(rows), made.take(rows), shelf)
            score = score if len(score) else np.empty(made.count.shape, part.dtype)
            score[rows] = part
        return score

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say who is unknown, what of a basket is, why a row got fewer items than it asked for, and which items are ranked by factors."""
        if state.memo.get("asked") is not asked:
            self.predict(state, asked)
        wishes, short = state.memo["wishes"], state.memo["short"]
        said = []
        held = np.bincount(state.weights.known, minlength=4).tolist() if state.weights is not None else [0] * 4
        if held[weights.FACTORED]:
            told = f"the {held[weights.EXACT]:,} most bought"
            said.append(f"{held[weights.FACTORED]:,} items past {told} are ranked by factors (implicit ALS), which is less exact.")
        unknown = [one.customer for one in wishes if one.customer and one.person < 0]
        if unknown:
            told = "their basket" if all(one.basket for one in wishes if one.customer and one.person < 0) else "what is bought lately"
            said.append(f"{'customer' if len(set(unknown)) == 1 else 'customers'} {_some(unknown)} not known: answered by {told}.")
        strange = [name for one in wishes for name in one.strange]
        if strange:
            said.append(f"left out of baskets, as not of the range: {_some(strange)}.")
        more = [f"{len(short) - 3} more rows got fewer items than they asked for."] if len(short) > 3 else []
        return [*said, *short[:3], *more, *unasked(MODEL.asks, asked)]

    def update(self, state: State, table: Table) -> State:
        """Return the state as of the end of a newer table: new purchases, customers and items; weights and chances stay as learned."""
        log = logs.read(table)
        here = shop.of(log, logs.seen(log, log.end))
        return replace(state, shop=here, weights=_renumbered(state, here), memo={})

    def changes(self, before: State, after: State) -> Table:
        """Return how many customers, items and pairs of them are known, before and after an update."""
        rows = [(one.shop.customers, one.shop.items, one.shop.seen.item) for one in (before, after)]
        columns = {"what": _objects(["customers", "items", "pairs"])}
        return Table.from_columns(
            columns | {name: np.array([len(part) for part in row], "i8") for name, row in zip(("before", "after"), rows, strict=True)}
        )

    def respond(self, state: State, request: Mapping[str, Any]) -> Mapping[str, Array]:
        """Return what offers would do, customer by customer: what the planner of offers asks for."""
        return offers.respond(state.shop, state.ranker, state.weights, state.redeem, request)

    def dump(self, state: State) -> Mapping[str, bytes]:
        """Write names as JSON, all numbers as tensors."""
        arrays = {name: getattr(state.ranker, name) for name in ("weights", "middle", "spread", "calm")} | {
            "power": np.array([state.power])
        }
        parts = state.shop.dump() | {"ranker.safetensors": save_tensors(arrays), "redeem.json": state.redeem.dump()}
        if state.weights is None:
            return parts
        small = "u2" if len(state.shop.items) < 1 << 16 else "i4"
        said = state.weights
        kept = {"start": said.start.astype("i4"), "target": said.target.astype(small), "value": said.value, "known": said.known}
        return parts | {"weights.safetensors": save_tensors(kept)}

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back; raises Tampered where numbers do not fit together."""
        here = Shop.load(parts)
        arrays = load_tensors(parts["ranker.safetensors"])
        learned = Ranker(arrays["weights"], arrays["middle"], arrays["spread"], arrays["calm"])
        held = None
        if "weights.safetensors" in parts:
            said = load_tensors(parts["weights.safetensors"])
            held = Weights(said["start"].astype("i8"), said["target"], said["value"], said["known"])
            fits = len(held.start) == len(here.items) + 1 and int(held.start[-1]) == len(held.target) == len(held.value)
            if not fits or (len(held.target) and int(held.target.max()) >= len(here.items)):
                raise Tampered("the weights of a recommend version do not fit its range")
        return State(here, learned, float(arrays["power"][0]), held, Redeem.load(parts["redeem.json"]))


def spread_out(state: State, who: Profiles, made: Grid, shelf: str) -> Array:
    """Return the ranker's log odds of the candidates; all other items follow below them by likeness, trend and popularity."""
    again = np.asarray(made.count > 0)
    new = ranker.fresh(state.shop, made, state.power)
    score = FLOOR + np.log(new)
    row, item = ranker.candidates(state.shop, made, new, again if shelf == "again" else None)
    score[row, item] = state.ranker.logit(ranker.inputs(state.shop, who, made, row, item), again[row, item])
    return np.asarray(score)


def _open(state: State, wishes: Sequence[Wish], made: Grid) -> Array:
    """Return (rows, items): the shelf's items, without those of the basket and those known to be out of stock."""
    before = made.count > 0
    open_ = before | ~made.held
    named = np.array([one.shelf for one in wishes])
    for shelf, fine in (("again", before), ("discover", ~before)):
        rows = named == shelf
        open_[rows] &= fine[rows]
    for at, wish in enumerate(wishes):
        if wish.basket:
            open_[at, list(wish.basket)] = False
    if state.shop.crowd.gone.any():
        open_[np.array([one.numbers.get("in_stock", 1.0) > 0 for one in wishes])] &= ~state.shop.crowd.gone
    return np.asarray(open_)


def _best(score: Array, wanted: Sequence[int]) -> list[list[int]]:
    """Return the best items of each row, best first; the one named first among equals."""
    most = min(max(wanted), score.shape[1])
    near = np.flatnonzero(ranker.best(score, most)).reshape(len(score), most) % score.shape[1]
    value = np.take_along_axis(score, near, 1)
    order = np.argsort(-value, axis=1, kind="stable")
    near, value = np.take_along_axis(near, order, 1), np.take_along_axis(value, order, 1)
    sizes = np.minimum((value > -np.inf).sum(1), wanted).tolist()
    return [row[:size] for row, size in zip(near.tolist(), sizes, strict=True)]


def _short(here: Shop, wish: Wish, before: Array, *, found: int, taken: Mapping[str, int], capped: str) -> str:
    """Say why a row got fewer items than it asked for: how many of the range each rule and the shelf left out."""
    reasons_ = [f"{len(here.items)} items in the range"]
    if wish.shelf == "again":
        reasons_.append(f"{int(before.sum())} bought before")
    elif wish.shelf == "discover":
        reasons_.append(f"{int((~before).sum())} never bought")
    if wish.basket:
        reasons_.append(f"{len(wish.basket)} in the basket")
    gone = int(here.crowd.gone.sum())
    if gone and wish.numbers.get("in_stock", 1.0) > 0:
        reasons_.append(f"{gone} out of stock")
    reasons_ += [f"{count} {name}" for name, count in taken.items() if name != "out of stock"]
    return f"{wish.customer or 'a basket'} ({wish.shelf}) got {found} of {wish.k}: {', '.join([*reasons_, *([capped] if capped else [])])}."


def _some(names: Sequence[str]) -> str:
    once = list(dict.fromkeys(names))
    return ", ".join(once[:3]) + (f" and {len(once) - 3} more" if len(once) > 3 else "")


def _renumbered(state: State, here: Shop) -> Weights | None:
    """Return the weights under the numbers of a newer range; items that are no more have none."""
    old = state.weights
    if old is None:
        return None
    place = np.array([here.place.get(name, -1) for name in state.shop.items.tolist()], "i8")
    source = place[np.repeat(np.arange(len(old.start) - 1), np.diff(old.start))]
    target = place[old.target]
    keep = (source >= 0) & (target >= 0)
    source, target, value = source[keep], target[keep], old.value[keep]
    order = np.lexsort((target, source))
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(here.items)))])
    known = np.zeros(len(here.items), "i1")
    known[place[place >= 0]] = old.known[place >= 0]
    return Weights(start, target[order], value[order], known)


def _objects(values: Any) -> Array:
    found = list(values)
    made = np.empty(len(found), object)
    made[:] = found
    return made
