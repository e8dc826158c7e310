"""What every recipe keeps to read a text with: words, aspects, languages, and the trends of the reviews it was given."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.errors import Tampered
from tradewind.core.table import Table
from tradewind.models.sentiment import packs
from tradewind.models.sentiment.aspects import Aspects
from tradewind.models.sentiment.language import NONE, Languages
from tradewind.models.sentiment.lexicon import Lexicon

LONGEST = 20_000  # characters of a text that are read
_TAG = re.compile(r"<[^<>]{1,200}>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\ufeff]")
_SENTENCE = re.compile(r"(?<=[.!?\n])\s+")


@dataclass(frozen=True, slots=True)
class Reader:
    """Words with their valence, words of aspects, words of languages, and the languages that may be answered."""

    lexicon: Lexicon
    aspects: Aspects
    languages: Languages
    supported: tuple[str, ...] = ("en",)
    trends: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # the last question, read: notes ask for it again

    def read(self, text: Any, language: str = "") -> Read:
        """Return a text made plain, and what of it may be scored; `language` overrides what is detected."""
        plain, cut = cleaned(text)
        spoken = (language.lower()[:2],) if language else self.languages.of(plain)
        if spoken == (NONE,):  # signs only, such as an emoji, are read in any language
            return Read(plain, spoken, plain, cut=cut)
        fine = [name for name in spoken if name in self.supported]
        if not fine:
            return Read(plain, spoken, "", cut=cut)
        if len(fine) == len(spoken):
            return Read(plain, spoken, plain, cut=cut)
        kept = [part for part in _SENTENCE.split(plain) if self.languages.of(part)[0] in (*self.supported, NONE)]
        return Read(plain, spoken, " ".join(kept), cut=cut)

    def dump(self) -> bytes:
        """Write it as JSON."""
        said = {
            "terms": self.lexicon.terms(),
            "emoji": dict(self.lexicon.emoji),
            "aspects": dict(self.aspects.terms),
            "languages": {name: sorted(words) for name, words in self.languages.words.items()},
            "supported": list(self.supported),
            "trends": list(self.trends),
        }
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def load(cls, data: bytes) -> Reader:
        """Read it back; raises Tampered."""
        try:
            said = json.loads(data)
            lexicon = Lexicon.of({str(term): float(value) for term, value in said["terms"].items()}, said["emoji"])
            words = {str(name): frozenset(map(str, known)) for name, known in said["languages"].items()}
            return cls(lexicon, Aspects(said["aspects"]), Languages(words, lexicon.words), tuple(said["supported"]), tuple(said["trends"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Tampered("the words of a sentiment version cannot be read") from error


@dataclass(frozen=True, slots=True)
class Read:
    """A text made plain, its language or languages, and the part of it that may be scored ("" for none)."""

    text: str
    languages: tuple[str, ...]
    scored: str
    cut: bool = False


def cleaned(text: Any) -> tuple[str, bool]:
    """Return a text without markup and control signs, and whether it was cut to the longest that is read."""
    said = "" if text is None else str(text)
    cut = len(said) > LONGEST
    said = said[:LONGEST]
    if "&" in said:
        said = html.unescape(said)
    if "<" in said:
        said = _TAG.sub(" ", said)
    return _CONTROL.sub(" ", said).strip(), cut


def make_reader(table: Table, *, retail: bool = True) -> Reader:
    """Return a reader of the packs that come with Tradewind and the terms of a modelling table."""
    own: list[packs.Term] = []
    if "kind" in table:
        rows = zip(*(table.column(name).tolist() for name in ("kind", "text", "valence", "aspect")), strict=True)
        for kind, text, valence, aspect in rows:
            if kind == "term" and text:
                own.append(packs.Term(str(text), float(valence) if np.isfinite(valence) else None, str(aspect or "")))
    lexicon = packs.lexicon((packs.CORE, packs.RETAIL) if retail else (packs.CORE,), own)
    words = {name: frozenset(known.split()) for name, known in packs.rows("languages")}
    return Reader(lexicon, Aspects(packs.aspect_terms(own)), Languages(words, lexicon.words))
