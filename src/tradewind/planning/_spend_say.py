"""A spend plan as a table, facts and words: no number in the words that is not a fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradewind.core.fact import Fact, prose
from tradewind.core.plan import Planned
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Array, Table

if TYPE_CHECKING:
    from tradewind.planning._spend_value import Value
    from tradewind.planning._spend_wishes import Wishes

SURE = 0.8  # chance of being better than today below which a plan is not recommended
_LEVELS = {"p50": 0.5, "lo80": 0.1, "hi80": 0.9, "lo90": 0.05, "hi90": 0.95}


def say(wish: Wishes, before: Value, spend: Array, value: Value, binding: list[str], *, mix: Value | None) -> Planned:
    """Return the plan told: spend (P, C), what it brings, and what holds it back; `mix` is today's mix at a budget that is not today's."""
    more = float(spend.sum() - wish.today.sum())
    gain = (value.total - before.total) * wish.worth
    profit = gain - more if wish.known else gain
    low, middle, high = (float(np.quantile(gain, level)) for level in (0.1, 0.5, 0.9))
    chance = float((profit > 0).mean())
    same = float(np.abs(spend - wish.today).sum()) <= 1e-4 * float(wish.today.sum())
    unit = "money" if wish.known else wish.outcome
    facts = [
        Fact("periods", len(wish.dates), wish.grain, "planned for"),
        Fact("first", wish.dates[0]),
        Fact("last", wish.dates[-1]),
        Fact("spend_today", _round(wish.today.sum()), "money", "of the plan it is compared with"),
        Fact("spend", _round(spend.sum()), "money"),
        Fact("spend_more", _round(more), "money", "than under the plan of today"),
        Fact("outcome_today", float(before.outcome.mean()), wish.outcome, "what media bring in these periods under the plan of today"),
        Fact("outcome", float(value.outcome.mean()), wish.outcome, "the same under this plan"),
        Fact("after_today", float(before.after.mean()), wish.outcome, "what carries over behind the last period, today"),
        Fact("after", float(value.after.mean()), wish.outcome, "the same under this plan"),
        Fact("roi_today", _over(float(before.total.mean()) * wish.worth, wish.today.sum()), f"{unit} per money"),
        Fact("roi", _over(float(value.total.mean()) * wish.worth, spend.sum()), f"{unit} per money"),
        Fact("gain", _round(middle), unit, "median of what this plan brings more"),
        Fact("gain_lo80", _round(low), unit),
        Fact("gain_hi80", _round(high), unit),
        Fact("chance_better", round(chance, 3), "", _better(wish)),
        Fact("recommended", bool(chance >= SURE and not same), "", f"the chance is at least {SURE:.0%}"),
        Fact("binding", "; ".join(binding) or "nothing", "", "what holds the plan back"),
        *(Fact(f"spend_{name}", _round(spend[:, at].sum()), "money") for at, name in enumerate(wish.channels)),
    ]
    if mix is not None:
        facts += _beside_the_mix(wish, mix, value, unit)
    beyond = [name for at, name in enumerate(wish.channels) if spend[:, at].max() > wish.highest[at] * 1.001]
    if beyond:
        facts.append(Fact("beyond", ", ".join(beyond), "", "spend above anything seen: the curve is extrapolated"))
    facts += [Fact("note", note) for note in wish.notes]
    words = prose(_words(facts, same=same, sure=chance >= SURE), *wish.notes)
    return Planned(_table(wish, before, spend, value), tuple(facts), words)


def _beside_the_mix(wish: Wishes, mix: Value, value: Value, unit: str) -> list[Fact]:
    """Return what the plan brings more than today's mix of the same money: what counts where the budget itself is not to be chosen."""
    gain = (value.total - mix.total) * wish.worth
    return [
        Fact("mix_gain", _round(float(np.quantile(gain, 0.5))), unit, "median of what it brings more than today's mix at this budget"),
        Fact("mix_chance", round(float((gain > 0).mean()), 3), "", "that it brings more than today's mix at this budget"),
    ]


def _better(wish: Wishes) -> str:
    return "that this plan brings more than today's, its spend taken off" if wish.known else "that this plan brings more than today's"


def _round(value: float) -> float:
    """Round money to what can be meant: three digits behind the largest that matters, at least cents."""
    return round(float(value), 2)


def _over(value: float, money: float) -> float:
    return round(float(value / money), 4) if money > 0 else 0.0


def _words(facts: list[Fact], *, same: bool, sure: bool) -> str:
    said = {fact.name: fact.value for fact in facts}
    if same:
        return f"Keep the plan of today: within these limits no other is better. What holds it: {said['binding']}."
    names = ("spend_more", "spend", "gain", "gain_lo80", "gain_hi80")
    more, spent, gain, low, high = (next(float(fact.value or 0) for fact in facts if fact.name == name) for name in names)
    beside = "" if abs(more) < 0.01 * spent else f" ({more:+,.2f} against today)"
    brings = f"{gain:,.2f} more than" if gain >= 0 else f"{-gain:,.2f} less than"
    moved = (
        f"{said['periods']} periods from {said['first']}: {spent:,.2f} of spend{beside} bring {brings} today's plan "
        f"(80 % interval {low:+,.2f} to {high:+,.2f}); better with a chance of {said['chance_better']:.1%}."
    )
    if "mix_gain" in said:
        moved += f" Beside today's mix at this budget it brings {said['mix_gain']:+,.2f}, better with a chance of {said['mix_chance']:.1%}."
    if not sure:
        keep = "budget if it is yours to choose" if "mix_gain" in said else "plan, or test the channel that moves most first"
        moved += f" That is not sure enough to move: keep today's {keep}."
    if "beyond" in said:
        moved += f" Above anything spent before, so less sure than the interval says: {said['beyond']}."
    return f"{moved} What holds it: {said['binding']}."


def _table(wish: Wishes, before: Value, spend: Array, value: Value) -> Table:
    """Return a row per channel; with free phasing a row per channel and period."""
    if wish.free:
        periods, channels = spend.shape
        dates = np.array(wish.dates, "M8[D]")
        columns: dict[str, Array] = {
            "channel": np.repeat(np.array(wish.channels, object), periods),
            "date": np.tile(dates, channels),
            "today": wish.today.T.ravel(),
            "spend": spend.T.ravel(),
        }
        return Table.from_columns(columns, _SCHEMA)
    low, high = wish.low, wish.high
    total, was = spend.sum(0), wish.today.sum(0)
    brought = value.by_channel
    columns = {
        "channel": np.array(wish.channels, object),
        "today": was,
        "spend": total,
        "change": np.where(was > 0, total / np.where(was > 0, was, 1.0) - 1, np.where(total > 0, 1.0, 0.0)),
        "low": low,
        "high": high,
        "outcome_today": before.by_channel.mean(0),
        "mean": brought.mean(0),
        **{name: np.quantile(brought, level, axis=0) for name, level in _LEVELS.items()},
        "next_unit": wish.by_lever(value.slope).mean(0) * wish.worth,
        "locked": np.array(["yes" if one else "no" for one in wish.locked], object),
    }
    return Table.from_columns(columns, _SCHEMA)


_SCHEMA = Schema(
    (
        Column("channel", Role.ENTITY, Type.TEXT),
        Column("date", Role.TIME, Type.DATE),
        Column("today", Role.OUTPUT, unit="money", meaning="of the plan it is compared with"),
        Column("spend", Role.OUTPUT, unit="money", meaning="recommended, of the whole time (or of the period, where there is a date)"),
        Column("change", Role.OUTPUT, meaning="as a share of today's"),
        Column("low", Role.OUTPUT, unit="money", meaning="least that the limits allow"),
        Column("high", Role.OUTPUT, unit="money", meaning="most that the limits allow"),
        Column("outcome_today", Role.OUTPUT, meaning="brought in these periods under the plan of today"),
        Column("mean", Role.OUTPUT, meaning="brought in these periods under this plan"),
        Column("next_unit", Role.OUTPUT, meaning="return on the next unit of spend, under this plan"),
        Column("locked", Role.OUTPUT, Type.TEXT),
    )
)
