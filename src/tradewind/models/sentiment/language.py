"""Which language a text is in: by its script, and by the frequent words of a few languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

UNKNOWN = "unknown"
NONE = "none"  # no letters at all
FEELING = 0.6  # what a word with a feeling says for English, beside a frequent word's 1
MIXED_FROM = 0.3  # share of the evidence from which a second language counts
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_MARKS = {"de": "äöüß", "fr": "àâçèêëîïôœùû", "es": "ñ¿¡", "pl": "ąćęłńśźż", "sv": "å", "pt": "ãõ", "tr": "ğışİ"}
_SCRIPTS = {
    "CYRILLIC": "ru",
    "GREEK": "el",
    "ARABIC": "ar",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "THAI": "th",
    "DEVANAGARI": "hi",
}


@dataclass(frozen=True, slots=True)
class Languages:
    """Frequent words by language; `feeling` are the words of the English packs, which speak for English where nothing else does."""

    words: Mapping[str, frozenset[str]]
    feeling: Mapping[str, float] = field(default_factory=dict)
    _speak: dict[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)  # word -> what it says for which languages

    def __post_init__(self) -> None:
        said: dict[str, list[tuple[str, float]]] = {}
        for name, known in self.words.items():
            for word in known:
                said.setdefault(word, []).append((name, 1.0))
        alone = (("en", FEELING),)  # one for the thousands of words that only feel
        self._speak.update(dict.fromkeys(self.feeling, alone))
        for word, votes in said.items():
            feels = word in self.feeling and all(name == "en" for name, _ in votes)
            self._speak[word] = (*votes, *(alone if feels else ()))

    def of(self, text: str) -> tuple[str, ...]:
        """Return the language of a text, with a second one where it is mixed; ("none",) without letters, ("unknown",) without evidence."""
        found = _WORD.findall(text.lower())[:400]
        if not found:
            return (NONE,)
        script = _script(text)
        if script:
            return (script,)
        hits = dict.fromkeys(self.words, 0.0)
        for word in found:
            for name, vote in self._speak.get(word, ()):
                hits[name] = hits.get(name, 0.0) + vote
        if not text.isascii():
            for name, marks in _MARKS.items():
                hits[name] = hits.get(name, 0.0) + 0.7 * sum(not word.isascii() and any(mark in word for mark in marks) for word in found)
        ranked = sorted(hits, key=lambda name: (-hits[name], name != "en", name))
        first, second = ranked[0], ranked[1]
        if hits[first] <= 0:
            return (UNKNOWN,)
        several = len(found) >= 8 and hits[second] >= max(3.0, MIXED_FROM * (hits[first] + hits[second]))
        return (first, second) if several else (first,)


def _script(text: str) -> str:
    """Return the language a script other than Latin stands for, where most letters are of it, or ""."""
    if text.isascii():
        return ""
    letters = [letter for letter in text[:400] if letter.isalpha()]
    names = [unicodedata.name(letter, "LATIN").split()[0].split("-")[0] for letter in letters]
    counts: dict[str, int] = {}
    for name in names:
        if name in _SCRIPTS:
            counts[_SCRIPTS[name]] = counts.get(_SCRIPTS[name], 0) + 1
    best = max(counts, key=lambda name: counts[name], default="")
    # Japanese is written with Chinese signs too: kana decide
    best = "ja" if best == "zh" and counts.get("ja") else best
    return best if best and 2 * sum(counts.values()) > len(letters) else ""
