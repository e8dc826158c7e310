"""Whether a media model can be believed: what the data allows before learning, and what was found after. Learning only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.models.roi.effects import returns, words
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.media import Media
from tradewind.models.roi.paths import contributions, path_of, without_media

Array = np.ndarray[Any, Any]
PER_CHANNEL = 8  # periods per channel below which returns are mostly belief
LITTLE = 0.1  # variation of spend (deviation over mean) below which a curve cannot be seen
TOGETHER = 10.0  # variance inflation above which channels cannot be told apart
PLACEBO = 0.5  # return of a shuffled channel above which something else is taken for media
SLIP = 20.0  # times the ninth tenth of what is above zero, beyond which a figure is told: it may be a slip of the keyboard
AFTER_DEMAND = re.compile(
    r"brand.*(search|sea\b|sem\b|ppc|keyword|exact)|(search|sea\b|sem\b|ppc|keyword).*brand|retarget|remarket", re.IGNORECASE
)
MOVED = 0.15  # change of returns without the last quarter above which they are not stable


def gate(media: Media) -> list[str]:
    """Return warnings in words: too few periods, spend that hardly varies, channels that move together, figures that may be slips."""
    known = int(np.isfinite(media.y[:, : media.cut]).any(0).sum())
    count, grain = len(media.channels), media.clock.grain
    out = []
    if known < grain.year or known < PER_CHANNEL * count:
        out.append(f"{known} {grain.name}s for {count} channels are few: what is said rests much on what was believed before")
    spend = media.money[:, : media.cut].sum(0)
    varied = spend.std(0) / spend.mean(0)
    flat = [name for name, one in zip(media.channels, varied, strict=True) if one < LITTLE]
    if flat:
        out.append(f"spend hardly varies, so its effect can hardly be seen: {', '.join(flat)}")
    if count > 1:
        inflated = inflation(spend)
        close = [name for name, one in zip(media.channels, inflated, strict=True) if one > TOGETHER]
        if close:
            out.append(f"spend moves together, so the returns can hardly be told apart: {', '.join(close)}")
    likely = [name for name, known in zip(media.channels, media.responds, strict=True) if AFTER_DEMAND.search(name) and not known]
    if likely:
        out.append(f"{', '.join(likely)} may be paid when people look anyway: if so, mark it in a column responds_to_demand of marketing")
    columns = {media.name or "outcome": media.y, **{f"spend of {name}": media.money[..., at] for at, name in enumerate(media.channels)}}
    return out + [words for name, values in columns.items() for words in _slips(media, name, values[:, : media.cut])]


def _slips(media: Media, name: str, values: Array) -> list[str]:
    """Return a warning where one figure of a place (G, T) dwarfs all its others."""
    for place, row in enumerate(values):
        above = row[np.isfinite(row) & (row > 0)]
        usual = float(np.quantile(above, 0.9, method="lower")) if len(above) > 3 else np.inf
        if len(above) and above.max() > SLIP * usual:
            at = int(np.nanargmax(row))
            day = str(media.clock.date(np.array([media.start + at]))[0])[:10]
            where = f" in {media.geos[place]}" if media.geos[place] else ""
            return [f"{name} of {day}{where} is {row[at]:,.6g}, where {usual:,.6g} is much already: look whether it is a slip"]
    return []


def inflation(spend: Array) -> Array:
    """Return the variance inflation of each column of spend (T, C): infinite where it is a sum of others."""
    wide = spend.std(0)
    z = (spend - spend.mean(0)) / np.where(wide > 0, wide, 1.0)
    found = []
    for at in range(z.shape[1]):
        rest = np.delete(z, at, 1)
        fit = rest @ np.linalg.lstsq(rest, z[:, at], rcond=None)[0]
        left = ((z[:, at] - fit) ** 2).mean()
        found.append(1 / max(left, 1e-12) if wide[at] > 0 else np.inf)
    return np.array(found)


def battery(media: Media, params: Mapping[str, Any], state: Learned, seed: int) -> dict[str, Any]:
    """Learn again with one channel shuffled in time, and without the last quarter: a placebo must return little, the rest must stay."""
    rng = np.random.default_rng([seed, 5])
    spend = media.money[:, : media.cut].sum((0, 1))
    chosen = int(np.argsort(spend)[len(spend) // 2])
    order = rng.permutation(media.cut)
    mixed = replace(media, money=_shuffled(media.money, chosen, order), spend=_shuffled(media.spend, chosen, order), tests=())
    before = np.median(returns(state), 0)
    out: dict[str, Any] = {
        "placebo_channel": media.channels[chosen],
        "placebo_return": float(np.median(_quick(mixed, params, seed)[:, chosen])),
        "placebo_was": float(before[chosen]),
    }
    quarter = max(media.clock.grain.year // 4, 1)
    shorter = media.cut - quarter
    if shorter >= 2 * quarter + 10:
        tests = tuple(test for test in media.tests if test.last < shorter)
        earlier = np.median(_quick(replace(media, cut=shorter, tests=tests), params, seed), 0)
        out["refresh_moved"] = float(np.mean(np.abs(before - earlier) / earlier))
    return out


def _shuffled(values: Array, channel: int, order: Array) -> Array:
    out = values.copy()
    out[:, : len(order), channel] = values[:, order, channel]
    return out


def _quick(media: Media, params: Mapping[str, Any], seed: int) -> Array:
    from tradewind.models.roi.laplace import draw
    from tradewind.models.roi.posterior import log_posterior
    from tradewind.models.roi.setup import learned, setup, start

    made = setup(media, params)
    drawn = draw(lambda theta: log_posterior(made.problem, theta), start(made.problem), seed, proposals=1500, keep=200, rounds=1)
    return returns(learned(made, drawn.theta, (drawn.mean, drawn.cov), seed, recipe="fast"))


def told(state: Learned, before: Learned | None, checks: Mapping[str, Any]) -> Learned:
    """Return the state with its health, the warnings that follow from it, and what changed since before."""
    health = {**state.health, **checks, **_fitted(state)}
    notes = list(state.notes)
    if health.get("placebo_return", 0.0) > PLACEBO * max(health.get("placebo_was", 1.0), 1.0):
        notes.append(
            f"placebo: {health['placebo_channel']} shuffled in time still seems to return {health['placebo_return']:.2g}: read it with care"
        )
    if health.get("refresh_moved", 0.0) > MOVED:
        notes.append(f"without the last quarter the returns differ by {health['refresh_moved']:.0%}: they are not settled yet")
    if abs(health["residual_correlation"]) > 0.5:
        notes.append(
            "what is left over goes on from one period to the next: something that matters is missing, and intervals are too narrow"
        )
    drawn = f"k-hat {health['k_hat']:.2f}" if "k_hat" in health else f"r-hat {health['r_hat']:.3f}" if "r_hat" in health else "bootstrap"
    notes.append(f"health: {health['explained']:.0%} of the outcome explained, {health['base_share']:.0%} of it without media, {drawn}")
    return replace(state, health=health, notes=(*notes, *words(state)), changed=_changed(state, before))


def _fitted(state: Learned) -> dict[str, float]:
    path = path_of(state, state.cut)
    window = slice(0, state.cut)
    base = without_media(state, path, window).mean(0)
    mean = base + contributions(state, path, window).sum(-1).mean(0)
    y = state.y[:, : state.cut]
    rest = y - mean
    known = np.isfinite(rest)
    explained = 1 - np.nanvar(rest[known]) / np.nanvar(y[known])
    pairs = known[:, 1:] & known[:, :-1]
    follow = float(np.corrcoef(rest[:, 1:][pairs], rest[:, :-1][pairs])[0, 1]) if pairs.sum() > 3 else 0.0
    share = float(base[known].sum() / y[known].sum())
    return {"explained": float(explained), "residual_correlation": follow, "base_share": share}


def _changed(state: Learned, before: Learned | None) -> tuple[str, ...]:
    """Say how each return moved in an update, and whether that lies within what was expected."""
    if before is None:
        return ()
    was, now = returns(before), returns(state)
    out = []
    added = state.cut - before.cut
    for at, name in enumerate(state.channels):
        low, high = np.quantile(was[:, at], [0.1, 0.9])
        new = float(np.median(now[:, at]))
        inside = "inside its 80 % interval" if low <= new <= high else "outside its 80 % interval: the new periods say otherwise"
        out.append(f"{name}: return {np.median(was[:, at]):.2f} before, {new:.2f} after {added} new {state.clock.grain.name}s, {inside}")
    return tuple(out)
