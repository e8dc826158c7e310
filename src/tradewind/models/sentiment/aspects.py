"""What a text speaks of, piece by piece: price, quality, delivery, service, availability, packaging, promotion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NAMES = ("price", "quality", "delivery", "service", "availability", "packaging", "promotion")
_TURN = re.compile(r"\b(?:but|however|although|though|yet|while|whereas|except|unfortunately)\b", re.IGNORECASE)
_PIECES = re.compile(r"[.;!?\n]+\s*|,\s+|\s+(?:and|also|plus)\s+|\s+(?=(?:but|although|though|while|whereas)\s)", re.IGNORECASE)
_WORD = re.compile(r"[\w%]+(?:['’-]\w+)*")
_ENDS = (".", ";", "!", "?")
_LONGEST = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a text, and the aspects it speaks of."""

    text: str
    aspects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aspects:
    """Words and phrases that tell an aspect."""

    terms: Mapping[str, str]
    _longest: dict[str, int] = field(default_factory=dict)  # first word -> words of the longest term that begins with it

    _joined: list[str] = field(default_factory=list)  # terms that a comma or an "and" is part of

    def __post_init__(self) -> None:
        for term in self.terms:
            words = term.split()
            self._longest[words[0]] = max(self._longest.get(words[0], 0), min(len(words), _LONGEST))
            if _PIECES.search(term):
                self._joined.append(term)

    def pieces(self, text: str) -> list[Piece]:
        """Return the clauses of a text that speak of an aspect.

        A comma or an "and" parts clauses only where what follows has an aspect of its own; else it goes on with the clause before.
        """
        made: list[Piece] = []
        ends = [cut.end() for cut in _PIECES.finditer(text)]
        if self._joined:
            ends = self._whole(text.lower(), ends)
        begin = 0
        for end in (*ends, len(text)):
            stretch, begin = text[begin:end], end
            if not stretch:
                continue
            found = self._of(stretch)
            hard = not made or made[-1].text.rstrip()[-1:] in _ENDS or bool(_TURN.match(stretch))
            if made and not hard and (not found or found == made[-1].aspects):
                made[-1] = Piece(made[-1].text + stretch, made[-1].aspects)
            else:
                made.append(Piece(stretch, found))
        return [Piece(piece.text.strip(" ,\n"), piece.aspects) for piece in made if piece.aspects]

    def _whole(self, text: str, ends: list[int]) -> list[int]:
        """Return the cuts that part no term, such as a "click and collect"."""
        spans = [(at, at + len(term)) for term in self._joined for at in _places(text, term)]
        return [end for end in ends if not any(low < end <= high for low, high in spans)]

    def _of(self, stretch: str) -> tuple[str, ...]:
        """Return the aspects of a stretch: a longer phrase speaks for its words."""
        words = _WORD.findall(stretch.lower())
        found: list[str] = []
        at = 0
        while at < len(words):
            for size in range(self._longest.get(words[at], 0), 0, -1):
                aspect = self.terms.get(" ".join(words[at : at + size]))
                if aspect:
                    found.append(aspect)
                    at += size
                    break
            else:
                at += 1
        return tuple(sorted(set(found), key=found.index))[:2]


def _places(text: str, term: str) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(term), text)]
