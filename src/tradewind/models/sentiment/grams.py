"""Texts as weighted counts of words, pairs of words and stretches of letters: fitted on texts, applied in numpy alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np

from tradewind.core.table import Array
from tradewind.models.sentiment.lexicon import is_negation

SHORTEST, LONGEST = 2, 5  # letters of a stretch; a word's edges count as one
MOST_WORDS, MOST_STRETCHES = 40_000, 80_000
WORDS_FROM, STRETCHES_FROM = 2, 3  # texts a word or a stretch must be in
LONGEST_WORD = 30
REACH = 3  # words after a negation that are marked by it
MEMO = 50_000
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[!?]+|[:;=][-']?[()DPp/|]|[\u2600-\u27bf\U0001f000-\U0001faff]")


def tokens(text: str) -> list[str]:
    """Return words, emoticons, emoji and runs of ! and ? in lower case."""
    return _TOKEN.findall(text.lower())


def words_of(found: Sequence[str]) -> list[str]:
    """Return words, pairs of neighbours, and words within reach of a negation marked as such."""
    made = [*found, *(f"{one} {two}" for one, two in pairwise(found))]
    reach = 0
    for one in found:
        if not one[0].isalnum():
            reach = 0
        elif is_negation(one) or one == "no":
            reach = REACH
        elif reach > 0:
            made.append(f"not~{one}")
            reach -= 1
    return made


def stretches_of(token: str) -> list[str]:
    """Return the stretches of 2 to 5 letters of a word with its edges."""
    edged = f" {token[:LONGEST_WORD]} "
    return [edged[at : at + size] for size in range(SHORTEST, LONGEST + 1) for at in range(len(edged) - size + 1)]


@dataclass(frozen=True, slots=True)
class Grams:
    """Which words and stretches are known, and how rare each is; words come first."""

    words: tuple[str, ...]
    stretches: tuple[str, ...]
    rarity: Array  # (words + stretches,) inverse document frequency
    _word: dict[str, int] = field(default_factory=dict)
    _stretch: dict[str, int] = field(default_factory=dict)
    _memo: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._word.update({word: at for at, word in enumerate(self.words)})
        self._stretch.update({stretch: at + len(self.words) for at, stretch in enumerate(self.stretches)})

    def __len__(self) -> int:
        return len(self.words) + len(self.stretches)

    def rows(self, texts: Sequence[str]) -> tuple[Array, Array, Array]:
        """Return the values of texts as row, place and value, sorted by row and place.

        A value is (1 + log count) x rarity; words and stretches of a text are each scaled to length one.
        """
        lists = [self._places(tokens(text)) for text in texts]
        sizes = [len(found) for found in lists]
        flat = np.fromiter(chain.from_iterable(lists), "i8", sum(sizes))
        keys, count = np.unique(np.repeat(np.arange(len(texts)), sizes) * len(self) + flat, return_counts=True)
        row, place = np.divmod(keys, max(len(self), 1))
        value = (1 + np.log(count)) * self.rarity[place]
        block = 2 * row + (place >= len(self.words))
        length = np.sqrt(np.bincount(block, value * value, 2 * len(texts)))
        return row, place, value / length[block]

    def _places(self, found: Sequence[str]) -> list[int]:
        made = [at for at in map(self._word.get, words_of(found)) if at is not None]
        for token in found:
            made += self._of(token)
        return made

    def _of(self, token: str) -> list[int]:
        kept = self._memo.get(token)
        if kept is None:
            if len(self._memo) >= MEMO:
                self._memo.clear()
            kept = [at for at in map(self._stretch.get, stretches_of(token)) if at is not None]
            self._memo[token] = kept
        return kept


def learn(texts: Iterable[str]) -> Grams:
    """Return the words and stretches of texts, the most frequent first where there are too many."""
    words: Counter[str] = Counter()
    stretches: Counter[str] = Counter()
    memo: dict[str, tuple[str, ...]] = {}
    count = 0
    for text in texts:
        count += 1
        found = tokens(text)
        words.update(set(words_of(found)))
        seen: set[str] = set()
        for token in set(found):
            if token not in memo:
                memo[token] = tuple(stretches_of(token))
            seen.update(memo[token])
        stretches.update(seen)
    chosen = _frequent(words, WORDS_FROM, MOST_WORDS), _frequent(stretches, STRETCHES_FROM, MOST_STRETCHES)
    often = np.array([words[word] for word in chosen[0]] + [stretches[one] for one in chosen[1]], "f8")
    return Grams(chosen[0], chosen[1], np.log((1 + count) / (1 + often)) + 1)


def _frequent(counts: Counter[str], least: int, most: int) -> tuple[str, ...]:
    able = [(name, count) for name, count in counts.items() if count >= least]
    able.sort(key=lambda one: (-one[1], one[0]))
    return tuple(sorted(name for name, _ in able[:most]))
