"""Which language a text is in: by its script, and by the frequent words of a few languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

UNKNOWN = "unknown"
NONE = "none"  # no letters at all
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

    def of(self, text: str) -> tuple[str, ...]:
        """Return the language of a text, with a second one where it is mixed; ("none",) without letters, ("unknown",) without evidence."""
        found = _WORD.findall(text.lower())[:400]
        if not found:
            return (NONE,)
        script = _script(text)
        if script:
            return (script,)
        hits = {name: float(sum(word in known for word in found)) for name, known in self.words.items()}
        for name, marks in _MARKS.items():
            hits[name] = hits.get(name, 0.0) + 0.7 * sum(any(mark in word for mark in marks) for word in found)
        elsewhere = frozenset().union(*(known for name, known in self.words.items() if name != "en"))
        hits["en"] = hits.get("en", 0.0) + 0.6 * sum(word in self.feeling and word not in elsewhere for word in found)
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
