"""The word packs that come with Tradewind, and a tenant's own terms on top."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from tradewind.models.sentiment.lexicon import Lexicon

HOME = "tradewind.models.sentiment"
CORE, RETAIL = "core_en", "retail_en"


@dataclass(frozen=True, slots=True)
class Term:
    """A tenant's own word or phrase: how it feels from -4 to 4 (None: as before), and the aspect it speaks of ("" for none)."""

    text: str
    valence: float | None = None
    aspect: str = ""


def rows(pack: str) -> list[tuple[str, str]]:
    """Return the two columns of a pack; its first line says what it is and where it is from."""
    text = files(HOME).joinpath("packs", f"{pack}.tsv").read_text("utf-8")
    found = [line.split("\t")[:2] for line in text.split("\n")[1:] if "\t" in line]
    return [(first, second) for first, second in found]


def lexicon(packs: Iterable[str] = (CORE, RETAIL), terms: Iterable[Term] = ()) -> Lexicon:
    """Return packs as one lexicon: a later pack overrides an earlier one, a tenant's term overrides both."""
    said: dict[str, float] = {}
    chosen = tuple(packs)
    for pack in chosen:
        said |= {term: float(valence) for term, valence in rows(pack)}
    own = {term.text.lower(): float(term.valence) for term in terms if term.valence is not None}
    emoji = dict(rows("emoji_en")) | (dict(rows("emoji_retail_en")) if RETAIL in chosen else {})
    return Lexicon.of(said | own, emoji)


def aspect_terms(terms: Iterable[Term] = ()) -> Mapping[str, str]:
    """Return word or phrase -> aspect, the tenant's on top."""
    said = dict(rows("aspects_en"))
    return said | {term.text.lower(): term.aspect for term in terms if term.aspect}
