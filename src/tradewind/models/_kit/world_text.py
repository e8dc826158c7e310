"""Reviews of the sample company: what people write about price, quality, delivery, service, availability, packaging and promotions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.world_chance import labels, only, stream

ASPECTS = ("price", "quality", "delivery", "service", "availability", "packaging", "promotion")
SENTIMENTS = ("negative", "neutral", "positive")

_SAID: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "price": (
        (
            "far too expensive for what you get",
            "overpriced compared with other shops",
            "the price went up again",
            "not worth the money",
            "costs more every month",
            "I feel ripped off at the till",
        ),
        ("the price is about average", "costs the same as elsewhere", "price unchanged since spring"),
        (
            "great value for money",
            "surprisingly cheap",
            "fair price",
            "you can't beat this price",
            "worth every cent",
            "cheaper than anywhere else",
        ),
    ),
    "quality": (
        (
            "the {item} tastes stale",
            "poor quality",
            "it broke after two days",
            "the quality has gone downhill",
            "not fresh at all",
            "I was disappointed by the {item}",
        ),
        ("the {item} is okay, nothing special", "quality is what you would expect", "it does the job"),
        ("excellent quality", "the {item} is delicious", "really well made", "best {item} I have had", "always fresh", "I love the {item}"),
    ),
    "delivery": (
        (
            "delivery took nine days",
            "the parcel arrived late again",
            "half of my order was missing",
            "the courier never rang the bell",
            "still waiting for my parcel",
        ),
        ("delivered within the stated three days", "the parcel came on Tuesday"),
        ("delivery was super fast", "arrived a day early", "the courier was friendly and on time", "next day delivery, impressive"),
    ),
    "service": (
        (
            "customer service ignored my emails",
            "the staff were rude",
            "nobody could help me",
            "I had to call four times",
            "they refused to refund me",
        ),
        ("I asked at the counter and got an answer", "I called the hotline once"),
        (
            "the staff were really helpful",
            "customer service solved it in minutes",
            "friendly people at the counter",
            "they refunded me without fuss",
        ),
    ),
    "availability": (
        (
            "always out of stock",
            "the shelf was empty again",
            "sold out every Saturday",
            "I drove there for nothing",
            "never available in my store",
        ),
        ("it is in the third aisle now", "available in most stores"),
        ("always in stock", "finally available in my store", "easy to find on the shelf", "never had to wait for a restock"),
    ),
    "packaging": (
        ("the box was crushed", "the packaging leaks", "far too much plastic", "impossible to open", "the lid does not close"),
        ("they changed the packaging", "comes in a cardboard box"),
        ("lovely packaging", "easy to open and close again", "well packed, nothing broken", "good that it is less plastic now"),
    ),
    "promotion": (
        (
            "the coupon did not work at the till",
            "the offer was a trick, the price was raised first",
            "promotion items were gone by noon",
            "the discount was not applied",
        ),
        ("it was in the leaflet this week", "there was an offer on it"),
        ("great offer this week", "the two for one deal is brilliant", "loved the discount", "the coupon saved me a lot"),
    ),
}
_OPEN = ("", "", "", "Honestly, ", "Bought the {item} last week: ", "Update: ", "As a regular customer, ", "My first order here. ", "Hmm, ")
_CLOSE: tuple[tuple[str, ...], ...] = (
    ("", "", " Never again.", " Very disappointed.", " Will shop elsewhere.", " Avoid!", " Not happy."),
    ("", "", " That's all.", " We'll see.", " No strong feelings."),
    ("", "", " Highly recommended!", " Will buy again.", " Thank you!", " Love it.", " Five stars."),
)
_SIGNS: tuple[tuple[str, ...], ...] = ((" 😡", " 👎", " 😞", " #fail"), (" 🤷", " 😐"), (" 😍", " 👍", " ❤️", " #happy"))
_GERMAN: tuple[tuple[str, ...], ...] = (
    (
        "Leider sehr enttäuscht, die Lieferung kam viel zu spät.",
        "Viel zu teuer und schlechte Qualität.",
        "Das Regal war wieder leer, sehr ärgerlich.",
    ),
    ("Ganz okay, nichts Besonderes.", "Die Verpackung wurde geändert."),
    ("Sehr gute Qualität, gerne wieder!", "Tolles Angebot und schnelle Lieferung.", "Freundliches Personal, alles bestens."),
)
_GERMAN_SAYS = (("delivery", "price", "availability"), ("quality", "packaging"), ("quality", "promotion", "service"))


@dataclass(frozen=True, slots=True)
class Reviews:
    """The reviews table, and per review and aspect what was meant."""

    table: dict[str, Array]
    truth: dict[str, Array]  # review, aspect, sentiment, language


def make_reviews(seed: int, *, count: int, days: Array, products: Array, items: Array, customers: Array) -> Reviews:
    """Write reviews of one to three aspects. About 12 % have typing errors, 15 % an emoji or hashtag, 3 % are German.

    The label is the overall feeling: the sign of the aspects' sum. The rating is the feeling in stars, one in five off by one.
    """
    rng = stream(seed, "reviews")
    liking = 0.55 * rng.normal(size=(len(products), len(ASPECTS))) + np.array([-0.1, 0.5, 0.1, 0.2, -0.2, 0.2, 0.1])
    product = rng.integers(0, len(products), count)
    names = labels("R", count, 5)
    texts, totals, truth = [], np.zeros(count, int), []
    for at in range(count):
        german = rng.random() < 0.03
        said = _german(rng) if german else _aspects(rng, liking[product[at]])
        totals[at] = np.sign(sum(feeling - 1 for _, feeling, _ in said))
        texts.append(said[0][2] if german else _write(rng, said, str(items[product[at]]), int(totals[at]) + 1))
        truth += [(names[at], aspect, SENTIMENTS[feeling], "de" if german else "en") for aspect, feeling, _ in said]
    stars = np.clip(3 + totals + np.where(totals == 0, 0, totals * (rng.random(count) < 0.55)), 1, 5)
    off = np.where(rng.random(count) < 0.2, rng.choice([-1, 1], count), 0)
    signed = rng.random(count) < 0.7
    owner = only(rng.choice(customers, count), signed) if len(customers) else np.full(count, None, dtype=object)
    written = days[rng.integers(0, len(days), count)]
    table = {
        "review": names,
        "text": np.array(texts, dtype=object),
        "date": written,
        "product": products[product],
        "customer": owner,
    }
    table |= {"rating": np.clip(stars + off, 1, 5).astype("f8"), "label": np.array(SENTIMENTS, dtype=object)[totals + 1]}
    rows = {
        name: np.array([row[at] for row in truth], dtype=object) for at, name in enumerate(("review", "aspect", "sentiment", "language"))
    }
    return Reviews(table, rows)


def _aspects(rng: np.random.Generator, liking: Array) -> list[tuple[str, int, str]]:
    found = []
    for at in rng.choice(len(ASPECTS), int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15])), replace=False):
        drawn = liking[at] + 0.9 * rng.normal()
        feeling = 1 + int(drawn > 0.25) - int(drawn < -0.25)
        phrases = _SAID[ASPECTS[at]][feeling]
        found.append((ASPECTS[at], feeling, phrases[int(rng.integers(len(phrases)))]))
    return found


def _german(rng: np.random.Generator) -> list[tuple[str, int, str]]:
    feeling = int(rng.integers(3))
    at = int(rng.integers(len(_GERMAN[feeling])))
    return [(_GERMAN_SAYS[feeling][at], feeling, _GERMAN[feeling][at])]


def _write(rng: np.random.Generator, said: list[tuple[str, int, str]], item: str, feeling: int) -> str:
    text = said[0][2]
    for (_, before, _), (_, after, phrase) in pairwise(said):
        joins = (", but ", "; however, ", " although ") if (before - 1) * (after - 1) < 0 else (" and ", ", ", ". Also ")
        text += joins[int(rng.integers(len(joins)))] + phrase
    opening, closing = _OPEN[int(rng.integers(len(_OPEN)))], _CLOSE[feeling][int(rng.integers(len(_CLOSE[feeling])))]
    text = (opening + text + "." + closing).format(item=item) if rng.random() < 0.9 else text.format(item=item)
    if rng.random() < 0.12:
        text = _mistype(rng, text)
    if rng.random() < 0.15:
        text += _SIGNS[feeling][int(rng.integers(len(_SIGNS[feeling])))]
    if rng.random() < 0.04:
        text = text.upper()
    return text[:1].upper() + text[1:]


def _mistype(rng: np.random.Generator, text: str) -> str:
    at = int(rng.integers(1, max(len(text) - 2, 2)))
    if rng.random() < 0.5:
        return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]  # two letters swapped
    return text[:at] + text[at + 1 :]  # one letter lost
