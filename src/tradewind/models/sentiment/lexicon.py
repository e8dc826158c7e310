"""Feeling by rules: the VADER algorithm over packs of words, with phrases, emoji, hashtags and a trace of what counted.

Hutto and Gilbert (2014), "VADER: a parsimonious rule-based model for sentiment analysis of social media text"; numbers are theirs.
Added: phrases of up to four words ("out of stock"), hashtags read as words, and a "but" that works by place.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

STEP = 0.293  # what a booster adds
CAPITALS = 0.733
NEGATION = -0.74
FADE = (1.0, 0.95, 0.9)  # a booster's strength one, two, three words away
EXCLAMATION, MOST_EXCLAMATIONS = 0.292, 4
QUESTION, MANY_QUESTIONS = 0.18, 0.96
NORM = 15.0
LONGEST_PHRASE = 4
MEMO = 50_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEGATIONS = _words(
    "aint arent cannot cant couldnt darent didnt doesnt ain't aren't can't couldn't daren't didn't doesn't dont hadnt hasnt "
    "havent isnt mightnt mustnt neither don't hadn't hasn't haven't isn't mightn't mustn't neednt needn't never none nope nor "
    "not nothing nowhere oughtnt shant shouldnt uhuh wasnt werent oughtn't shan't shouldn't uh-uh wasn't weren't without wont "
    "wouldnt won't wouldn't rarely seldom despite"
)
_UP = _words(
    "absolutely amazingly awfully completely considerable considerably decidedly deeply effing enormous enormously entirely "
    "especially exceptional exceptionally extreme extremely fabulously flipping flippin frackin fracking fricking frickin "
    "frigging friggin fully fuckin fucking fuggin fugging greatly hella highly hugely incredible incredibly intensely major "
    "majorly more most particularly purely quite really remarkably so substantially thoroughly total totally tremendous "
    "tremendously uber unbelievably unusually utter utterly very"
)
_DOWN = _words(
    "almost barely hardly kinda kindof kind-of less little marginal marginally occasional occasionally partly scarce scarcely "
    "slight slightly somewhat sorta sortof sort-of"
)
_BOOST = dict.fromkeys(_UP, STEP) | dict.fromkeys(_DOWN, -STEP)
_PAIRS_DOWN = frozenset(("just enough", "kind of", "sort of"))
_SPECIAL = {
    "the shit": 3.0,
    "the bomb": 3.0,
    "bad ass": 1.5,
    "badass": 1.5,
    "bus stop": 0.0,
    "yeah right": -2.0,
    "kiss of death": -1.5,
    "to die for": 3.0,
    "beating heart": 3.5,
}
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Feeling:
    """How a text feels: shares of its words 0-1, `compound` -1 to 1, and the words that counted, strongest first."""

    negative: float
    neutral: float
    positive: float
    compound: float
    words: tuple[tuple[str, float], ...] = ()


EMPTY = Feeling(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words and phrases with a valence from -4 to 4, and emoji with their description."""

    words: Mapping[str, float]
    phrases: Mapping[str, tuple[tuple[tuple[str, ...], float], ...]] = field(default_factory=dict)  # by first word, longest first
    emoji: Mapping[str, str] = field(default_factory=dict)
    _memo: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)  # token -> its words as shown and in lower case

    @classmethod
    def of(cls, terms: Mapping[str, float], emoji: Mapping[str, str]) -> Lexicon:
        """Part terms into words and phrases; a later term of the same name has replaced an earlier one already."""
        words: dict[str, float] = {}
        phrases: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for term, valence in terms.items():
            if term.isalpha():  # nearly all are: one word, and no more to look at
                words[term.lower()] = valence
                continue
            parts = tuple(term.lower().split())
            if 1 < len(parts) <= LONGEST_PHRASE and all(any(letter.isalpha() for letter in part) for part in parts):
                phrases.setdefault(parts[0], []).append((parts, valence))
            else:
                words[term] = valence
        return cls(words, {first: tuple(sorted(found, key=lambda one: -len(one[0]))) for first, found in phrases.items()}, emoji)

    def terms(self) -> dict[str, float]:
        """Return every word and phrase with its valence, ready to be written."""
        return dict(self.words) | {" ".join(parts): valence for found in self.phrases.values() for parts, valence in found}

    def feel(self, text: str) -> Feeling:
        """Return how a text feels; an empty one feels nothing."""
        tokens, lower, known = self._tokens(_described(text, self.emoji))
        if not tokens:
            return EMPTY
        shouting = 0 < sum(token.isupper() for token in tokens) < len(tokens)
        values = [0.0 if own is None else self._valence(at, own, tokens, lower, known, shouting=shouting) for at, own in enumerate(known)]
        if "but" in lower:
            turn = lower.index("but")
            values = [value * (0.5 if at < turn else 1.5 if at > turn else 1.0) for at, value in enumerate(values)]
        return _summed(values, _emphasis(text), lower)

    def _tokens(self, text: str) -> tuple[list[str], list[str], list[float | None]]:
        """Return words and emoticons, phrases as one, as shown and in lower case, with the valence a pack gives each, if any."""
        split: list[str] = []
        small: list[str] = []
        for token in text.split():
            kept = self._memo.get(token)
            if kept is None:
                if len(self._memo) >= MEMO:
                    self._memo.clear()
                shown = _shown(token)
                kept = self._memo[token] = shown, [word.lower() for word in shown]
            split += kept[0]
            small += kept[1]
        if self.phrases.keys().isdisjoint(small):
            return split, small, [self.words.get(word) for word in small]
        tokens: list[str] = []
        lower: list[str] = []
        known: list[float | None] = []
        at = 0
        while at < len(split):
            size, value = self._phrase(small, at) if small[at] in self.phrases else (1, self.words.get(small[at]))
            tokens.append(" ".join(split[at : at + size]))
            lower.append(" ".join(small[at : at + size]))
            known.append(value)
            at += size
        return tokens, lower, known

    def _phrase(self, small: Sequence[str], at: int) -> tuple[int, float | None]:
        """Return how many words from here make a phrase, and its valence; one word and its own where none does."""
        for parts, valence in self.phrases[small[at]]:
            if tuple(small[at : at + len(parts)]) == parts:
                return len(parts), valence
        return 1, self.words.get(small[at])

    def _valence(self, at: int, own: float, tokens: list[str], lower: list[str], known: list[float | None], *, shouting: bool) -> float:
        word = lower[at]
        if word in _BOOST or (word == "kind" and lower[at + 1 : at + 2] == ["of"]):
            return 0.0
        value = own
        if word == "no" and at + 1 < len(lower) and known[at + 1] is not None:
            value = 0.0
        if "no" in lower[max(at - 2, 0) : at] or (at > 2 and lower[at - 3] == "no" and lower[at - 1] in ("or", "nor")):
            value = own * NEGATION
        if tokens[at].isupper() and shouting:
            value += CAPITALS if value > 0 else -CAPITALS
        for back in range(1, 4):
            before = at - back
            if before < 0 or known[before] is not None:
                continue
            value += FADE[back - 1] * _boost(tokens[before], value, shouting=shouting)
            value = _negated(value, lower, at, back)
            if back == 3:
                value = _special(value, lower, at)
        if at > 0 and lower[at - 1] == "least" and known[at - 1] is None and lower[max(at - 2, 0)] not in ("at", "very"):
            value *= NEGATION
        return value


def _shown(token: str) -> list[str]:
    """Return a token without the punctuation around it; what is left of two signs or fewer is likely an emoticon and stays whole."""
    stripped = token.strip(string.punctuation)
    if token.startswith("#") and len(stripped) > 2:
        return _CAMEL.sub(" ", stripped).replace("_", " ").split()
    return [token if len(stripped) <= 2 else stripped]


def _described(text: str, emoji: Mapping[str, str]) -> str:
    """Return the text with each emoji that feels something as its description, and any other symbol apart from the words."""
    if text.isascii():
        return text
    return "".join(f" {emoji[sign]} " if sign in emoji else sign for sign in text)


def _boost(token: str, value: float, *, shouting: bool) -> float:
    step = _BOOST.get(token.lower(), 0.0)
    if step == 0.0:
        return 0.0
    step = -step if value < 0 else step
    return step + (CAPITALS if value > 0 else -CAPITALS) if token.isupper() and shouting else step


def is_negation(word: str) -> bool:
    """Tell whether a word in lower case turns what follows it round."""
    return word in _NEGATIONS or "n't" in word


def _negated(value: float, lower: list[str], at: int, back: int) -> float:
    word = lower[at - back]
    near = lower[at - 1]
    if back == 2 and word == "never" and near in ("so", "this"):
        return value * 1.25
    if back == 3 and ((word == "never" and lower[at - 2] in ("so", "this")) or near in ("so", "this")):
        return value * 1.25
    if word == "without" and "doubt" in lower[at - back + 1 : at]:
        return value
    return value * NEGATION if is_negation(word) else value


def _special(value: float, lower: list[str], at: int) -> float:
    """Apply idioms around the word, then dampeners of two words before it; three words lie before."""
    three, two, one, word = lower[at - 3], lower[at - 2], lower[at - 1], lower[at]
    around = (f"{one} {word}", f"{two} {one} {word}", f"{two} {one}", f"{three} {two} {one}", f"{three} {two}")
    value = next((_SPECIAL[words] for words in around if words in _SPECIAL), value)
    for size in (2, 3):
        ahead = " ".join(lower[at : at + size])
        value = _SPECIAL.get(ahead, value) if at + size <= len(lower) else value
    return value - STEP * sum(pair in _PAIRS_DOWN for pair in (f"{three} {two}", f"{two} {one}"))


def _emphasis(text: str) -> float:
    asked = text.count("?")
    curious = 0.0 if asked <= 1 else QUESTION * asked if asked <= 3 else MANY_QUESTIONS
    return min(text.count("!"), MOST_EXCLAMATIONS) * EXCLAMATION + curious


def _summed(values: Sequence[float], emphasis: float, lower: Sequence[str]) -> Feeling:
    total = sum(values)
    total += emphasis if total > 0 else -emphasis if total < 0 else 0.0
    good = sum(value + 1 for value in values if value > 0)
    bad = sum(1 - value for value in values if value < 0)
    good, bad = (good + emphasis, bad) if good > bad else (good, bad + emphasis) if bad > good else (good, bad)
    plain = sum(value == 0 for value in values)
    whole = good + bad + plain
    counted = sorted(((word, value) for word, value in zip(lower, values, strict=True) if value), key=lambda one: -abs(one[1]))
    return Feeling(bad / whole, plain / whole, good / whole, total / sqrt(total * total + NORM), tuple(counted[:8]))
