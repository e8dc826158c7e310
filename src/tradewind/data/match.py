"""Which of their columns is which of ours: by name first, then by values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import polars as pl

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.data.dates import looks_dated
from tradewind.data.parse import flags, looks_numeric, numbers
from tradewind.data.words import AWAY, MORE, NO_KEY, NUMBERED, OF, UNLIKE, WIDER

LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l"})
INDEX = re.compile(r"__index_level_\d+__|unnamed:?[ _]?\d*|column_0|_duplicated_\d+|index|level_\d+|row_?(number|nr|id)?|x1?|")

ODD = 0.1  # share of lines whose money is no whole number of prices from which on it is taken for units
HELD = 0.6  # how sure a match is of which a part of the name speaks
UNFIT = -0.45  # what it costs a match beyond doubt that the values are none: a fitting column of which a part of the name speaks is surer
GROUPED = 0.5  # how sure a match is of a group that stands for what nothing finer tells
BY_VALUE = 0.4  # how sure a match is that no name speaks for


@dataclass(frozen=True, slots=True)
class Match:
    """Their column for one of ours, how sure, and why."""

    theirs: str
    score: float
    why: str


@cache
def fold(name: str) -> str:
    """Write a name in lower-case ASCII words joined by underscores: `InvoiceDate` and `invoice date` are the same name."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip())
    plain = (
        unicodedata.normalize("NFKD", unicodedata.normalize("NFC", spaced).lower().translate(LETTERS)).encode("ascii", "ignore").decode()
    )
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def is_index(name: str, values: pl.Series) -> bool:
    """Tell whether a column is only the row number that a frame was saved with."""
    if not INDEX.fullmatch(name.strip().lower()) or not values.dtype.is_integer():
        return False
    return values.null_count() == 0 and values.n_unique() == len(values)


def by_name(ours: Column, theirs: str) -> Match | None:
    """Compare one name of theirs with the name and the synonyms of one of our columns."""
    header = fold(theirs)
    if header == ours.name:
        return Match(theirs, 1.0, "same name")
    tight = header.replace("_", "")
    names = (*ours.synonyms, *MORE.get(ours.name, ()))
    for at, name in enumerate(names):
        if tight == name.replace("_", ""):
            return Match(theirs, 0.95 - 0.001 * at, f"another name for {ours.name}")
    if tight == ours.name.replace("_", ""):
        return Match(theirs, 0.99, "same name")
    words = set(header.split("_"))
    for name in (ours.name, *names):
        parts = set(name.split("_"))
        other = words - parts
        unlike = OF if ours.role is Role.ENTITY else UNLIKE.get(ours.name, AWAY)
        if len(name) > 2 and parts <= words and len(other) <= 1 and not other & unlike:
            return Match(theirs, HELD, f"the name holds {name!r}")
    if header in WIDER.get(ours.name, ()):
        return Match(theirs, GROUPED, f"a group, taken where nothing is called {ours.name}")
    return None


def meant(columns: Iterable[Column], frame: pl.DataFrame, *, decimal: str, headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return theirs -> ours of a file of questions: dates and keys as `assign` finds them in a table, anything else beyond doubt only.

    What is called as one of ours is left alone, and so is what a part of the name speaks for alone: a rival's price is no price of ours.
    `headers` says how those of loaded files were understood: these mean the same here.
    """
    wanted = Schema(tuple({ours.name: ours for ours in columns}.values()))
    there = {name: name for name in frame.columns if name in wanted}
    for theirs, ours in (headers or {}).items():
        if theirs in frame.columns and theirs not in there and ours not in there.values():
            there[theirs] = ours
    found = assign(wanted, frame, there, decimal=decimal, by_values=False)
    keys = {*wanted.of(Role.TIME), *wanted.of(Role.ENTITY)}
    return {match.theirs: ours for ours, match in found.items() if match.theirs != ours and (match.score >= 0.9 or ours in keys)}


def fits(ours: Column, values: pl.Series, decimal: str) -> bool:
    """Tell whether a sample of the values is of the type that the column asks for."""
    if ours.type in (Type.DATE, Type.TIMESTAMP):
        return looks_dated(values) or (values.dtype.is_numeric() and _numeric_dates(values))
    if ours.type in (Type.NUMBER, Type.INTEGER):
        return _yes_or_no(values, decimal) if _strict(ours) else looks_numeric(values, decimal)
    if ours.role is Role.ENTITY:
        return not values.dtype.is_float() or _whole(values)
    if ours.type is Type.TEXT and ours.role is Role.INPUT and looks_numeric(values, decimal):
        return _whole(numbers(values.head(1000), decimal).values)  # an amount is no word
    return ours.role is not Role.EVENT or not (looks_numeric(values, decimal) or _yes_or_no(values, decimal))  # a flag names no event


def _strict(ours: Column) -> bool:
    """Tell whether a name alone is not enough: a share known ahead, such as whether a store is open."""
    return ours.role is Role.KNOWN and ours.maximum == 1


def _yes_or_no(values: pl.Series, decimal: str) -> bool:
    """Tell whether a sample holds flags or shares: an opening price is not whether a shop is open."""
    shares = numbers(values.head(1000), decimal) if looks_numeric(values, decimal) else flags(values.head(1000))
    if shares.bad:
        return False
    return bool(shares.values.cast(pl.Float64).drop_nulls().drop_nans().is_between(0, 1).all())


def _whole(values: pl.Series) -> bool:
    sample = values.drop_nulls().drop_nans().head(1000)
    return bool((sample == sample.round(0)).all())


def _numeric_dates(values: pl.Series) -> bool:
    sample = values.drop_nulls().head(1000)
    if sample.is_empty() or (values.dtype.is_float() and not _whole(values)):
        return False
    low, high = float(sample.min()), float(sample.max())  # type: ignore[arg-type]
    return any(a <= low and high <= b for a, b in ((19000101, 21991231), (1900, 2199), (20000, 80000), (1e8, 1e10), (1e11, 1e13)))


def assign(schema: Schema, frame: pl.DataFrame, fixed: Mapping[str, str], *, decimal: str, by_values: bool) -> dict[str, Match]:
    """Return ours -> their column. `fixed` is theirs -> ours and stands; each of theirs is used once, best scores first."""
    found = {ours: Match(theirs, 1.0, "as you mapped it") for theirs, ours in fixed.items()}
    sample = frame.head(2000)
    free = [name for name in frame.columns if name not in fixed]
    offers: list[tuple[float, int, Column, Match]] = []
    for place, ours in enumerate(schema):
        for theirs in free if ours.name not in found else ():
            match = by_name(ours, theirs)
            if match and ((match.score >= 0.9 and not _strict(ours)) or fits(ours, sample[theirs], decimal)):
                fit = 0.0 if fits(ours, sample[theirs], decimal) else UNFIT
                offers.append((match.score + fit, -place, ours, match))
    taken: set[str] = set()
    for _, _, ours, match in sorted(offers, key=lambda offer: offer[:2], reverse=True):
        if ours.name not in found and match.theirs not in taken:
            found[ours.name] = match
            taken.add(match.theirs)
    if by_values:
        _by_values(schema, sample, found, decimal)
    return found


def _by_values(schema: Schema, sample: pl.DataFrame, found: dict[str, Match], decimal: str) -> None:
    """Fill required columns that no name gave, where only one of the left columns can be meant."""
    for ours in schema:
        if not ours.required or ours.name in found:
            continue
        options = candidates(ours, sample, found, decimal)
        money = found.get("revenue") if ours.role is Role.TARGET else None
        if money is not None and _counts(money, options, sample, found, decimal):
            compared = bool(options) or "price" in found
            why = "no column says how many were sold" if compared else "the only figures in the file; map it to revenue if it is money"
            found[ours.name] = Match(found.pop("revenue").theirs, HELD if compared else BY_VALUE, why)
        elif len(options) == 1:
            found[ours.name] = Match(options[0], BY_VALUE, "the only column whose values fit")


def _counts(money: Match, options: list[str], sample: pl.DataFrame, found: Mapping[str, Match], decimal: str) -> bool:
    """Tell whether what a name takes for revenue is what is to be forecast: no other figure is, and no price makes whole units of it."""
    if money.score >= 0.99 or (options and "sales" not in fold(money.theirs).split("_")):
        return False
    if "price" not in found:
        return True
    price = numbers(sample[found["price"].theirs], decimal).values
    units = (numbers(sample[money.theirs], decimal).values / price).filter(price > 0).drop_nulls()
    odd = (units - units.round(0)).abs() > 1e-3 * units.abs().clip(1)
    whole = _whole(numbers(sample[money.theirs], decimal).values)  # money has cents: where nothing else can be meant, it must look counted
    return (bool(options) or whole) and len(units) > 0 and int(odd.sum()) > ODD * len(odd)


def candidates(ours: Column, sample: pl.DataFrame, found: Mapping[str, Match], decimal: str) -> list[str]:
    """List the unused columns whose values could be the one asked for, likeliest first."""
    used = {match.theirs for match in found.values()}
    free = [
        name
        for name in sample.columns
        if name not in used and sample[name].null_count() < sample.height and not is_index(name, sample[name])
    ]
    dated = [name for name in free if looks_dated(sample[name])]
    if ours.type in (Type.DATE, Type.TIMESTAMP):
        return dated
    if ours.type in (Type.NUMBER, Type.INTEGER):
        counted = [name for name in free if name not in dated and fold(name).split("_")[-1] not in NUMBERED]
        return [name for name in counted if looks_numeric(sample[name], decimal)]
    texts = [
        name for name in free if name not in dated and not looks_numeric(sample[name], decimal) and not _yes_or_no(sample[name], decimal)
    ]
    if ours.role is not Role.ENTITY:
        return texts
    return sorted((name for name in texts if NO_KEY.isdisjoint(fold(name).split("_"))), key=lambda name: sample[name].n_unique())
