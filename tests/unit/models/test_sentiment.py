"""Sentiment: VADER's published examples, aspects by clause, languages that cannot be read, abstention, and bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, MissingColumn, Tampered
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.sentiment import judge, packs, reading, trends
from tradewind.models.sentiment.aspects import Aspects
from tradewind.models.sentiment.assemble import assemble
from tradewind.models.sentiment.example import example
from tradewind.models.sentiment.lexicon import Lexicon

LINEAR, RULES = (models.recipe("sentiment", name) for name in ("linear", "rules"))
CORE = packs.lexicon((packs.CORE,))


def texts(*values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


def ask(*values, **columns):
    return Table.from_columns({"text": texts(*values)} | columns)


@pytest.fixture(scope="module")
def table():
    return assemble(dict(example(5).tables))


@pytest.fixture(scope="module")
def linear(table):
    return LINEAR.fit(table, settle(LINEAR.knobs, {}), 0)


@pytest.fixture(scope="module")
def rules(table):
    return RULES.fit(table, settle(RULES.knobs, {}), 0)


@pytest.mark.parametrize(
    ("text", "compound"),  # as printed by the examples of VADER 3.3.2
    [
        ("VADER is smart, handsome, and funny.", 0.8316),
        ("VADER is smart, handsome, and funny!", 0.8439),
        ("VADER is very smart, handsome, and funny.", 0.8545),
        ("VADER is VERY SMART, handsome, and FUNNY.", 0.9227),
        ("VADER is VERY SMART, handsome, and FUNNY!!!", 0.9342),
        ("VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!", 0.9469),
        ("VADER is not smart, handsome, nor funny.", -0.7424),
        ("The book was good.", 0.4404),
        ("At least it isn't a horrible book.", 0.431),
        ("The book was only kind of good.", 0.3832),
        ("The plot was good, but the characters are uncompelling and the dialog is not great.", -0.7042),
        ("Today SUX!", -0.5461),
        ("Today only kinda sux! But I'll get by, lol", 0.5249),
        ("Make sure you :) or :D today!", 0.8633),
        ("Not bad at all", 0.431),
        ("", 0.0),
    ],
)
def test_the_rules_are_those_of_vader(text, compound):
    assert CORE.feel(text).compound == pytest.approx(compound, abs=1e-4)


def test_phrases_emoji_and_hashtags_are_read():
    whole = packs.lexicon()
    assert CORE.feel("it is out of stock").compound == 0 > whole.feel("it is out of stock").compound
    assert whole.feel("nice 😡").compound < CORE.feel("nice 😡").compound == CORE.feel("nice").compound
    assert CORE.feel("😍").compound > 0.3
    assert whole.feel("#NeverAgain").compound < -0.3
    assert whole.feel("would not recommend").compound < 0 < whole.feel("would recommend").compound
    assert whole.feel("great, never late").words[0][0] == "great"


def test_a_tenants_term_overrides_and_brings_an_aspect(linear, rules):
    for recipe, state in ((LINEAR, linear), (RULES, rules)):
        answer = recipe.predict(state, ask("This shop is zonky", "click and collect was terrible"))
        assert answer.column("score")[0] > 0.2
        assert json.loads(answer.column("aspects")[1])["delivery"]["label"] == "negative"


def test_clauses_are_told_apart():
    found = Aspects(packs.aspect_terms()).pieces("Honestly, great price and quality, but the parcel arrived late. Staff were kind!")
    assert [piece.aspects for piece in found] == [("price",), ("quality",), ("delivery",), ("service",)]
    assert found[2].text == "but the parcel arrived late."


def test_an_aspect_has_a_feeling_of_its_own(linear):
    said = LINEAR.predict(linear, ask("Great price but the delivery was terribly late")).column("aspects")[0]
    told = json.loads(said)
    assert told["price"]["label"] == "positive" and told["delivery"]["label"] == "negative"
    assert "delivery" in told["delivery"]["quote"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Lieferung war leider viel zu spät", "de"),
        ("La livraison est arrivée trop tard, très déçu", "fr"),
        ("Muy buena calidad, gracias", "es"),
        ("Доставка была быстрой", "ru"),
        ("配送がとても早かったです", "ja"),
        ("qwrtz plmk vbnx", "unknown"),
    ],
)
def test_a_language_that_cannot_be_read_is_said_and_never_scored(linear, text, language):
    question = ask(text, force=np.ones(1))
    answer = LINEAR.predict(linear, question)
    assert answer.column("label")[0] == "unsupported" and answer.column("language")[0] == language
    assert answer.column("score")[0] == 0 and answer.column("p_negative")[0] == pytest.approx(1 / 3)
    assert "cannot be read here" in LINEAR.notes(linear, question)[0]


def test_of_a_mixed_text_only_what_can_be_read_is_scored(linear):
    question = ask("The quality is really very good and I love it. Aber die Lieferung war leider viel zu spät und ich bin sehr enttäuscht.")
    answer = LINEAR.predict(linear, question)
    assert answer.column("language")[0] in ("en+de", "de+en") and answer.column("label")[0] == "positive"
    assert any("mix languages" in note for note in LINEAR.notes(linear, question))


def test_a_labelled_language_is_read():
    good, bad = (
        ["Sehr gute Qualität, gerne wieder", "Tolles Produkt und schnelle Lieferung"],
        ["Leider sehr schlecht", "Viel zu teuer und schlecht"],
    )
    rows = [
        (f"{text}, das ist Nummer {at}", label)
        for at in range(40)
        for text, label in zip((*good, *bad), ["good"] * 2 + ["bad"] * 2, strict=True)
    ]
    made = assemble({"reviews": Table.from_columns({"text": texts(*(row[0] for row in rows)), "label": texts(*(row[1] for row in rows))})})
    state = LINEAR.fit(made, settle(LINEAR.knobs, {}), 0)
    answer = LINEAR.predict(state, ask("Die Qualität ist leider sehr schlecht", "Tolles Produkt, gerne wieder"))
    assert answer.column("label").tolist() == ["negative", "positive"]
    assert any("No neutral reviews were labelled" in note for note in LINEAR.notes(state, ask("gut")))


def test_it_may_be_unsure_unless_it_is_forced(linear):
    vague = ["It is in the third aisle", "They have it", "I asked about the soap", "Well, you know", "Some are, some are not"]
    answer = LINEAR.predict(linear, ask(*vague))
    rated = np.column_stack([answer.column(f"p_{name}") for name in ("negative", "neutral", "positive")]).max(1)
    assert ((answer.column("label") == "unsure") == (rated < linear.sure)).all()
    strict = LINEAR.fit(assemble(dict(example(5).tables)), settle(LINEAR.knobs, {"sure": 0.99}), 0)
    assert "unsure" in LINEAR.predict(strict, ask(*vague)).column("label")
    assert "unsure" not in LINEAR.predict(strict, ask(*vague, force=np.ones(5))).column("label")


def test_empty_long_and_marked_up_texts(linear):
    question = ask("", None, "great " * 20_000, "<br/>I love it &amp; you<br/>", "😍", "\x00\x00", "12345 !!!")
    answer = LINEAR.predict(linear, question)
    assert answer.column("label")[0] == answer.column("label")[1] == answer.column("label")[5] == "unsure"
    assert answer.column("label")[2] == answer.column("label")[3] == "positive"
    assert answer.column("language")[4] == "none" and answer.column("score")[4] > 0
    notes = " ".join(LINEAR.notes(linear, question))
    assert "3 texts are empty" in notes and "1 texts were longer than 20,000" in notes
    assert np.isfinite(answer.column("score")).all()


def test_bad_tables_are_named(linear):
    with pytest.raises(MissingColumn, match="text"):
        assemble({"reviews": Table.from_columns({"label": texts("good")})})
    with pytest.raises(EmptyTable):
        assemble({"reviews": Table.from_columns({"text": texts()})})
    with pytest.raises(BadValue, match="purple"):
        assemble({"reviews": Table.from_columns({"text": texts("a"), "label": texts("purple")})})
    with pytest.raises(BadValue, match="between -4 and 4"):
        assemble(
            {
                "reviews": Table.from_columns({"text": texts("a")}),
                "terms": Table.from_columns({"term": texts("b"), "valence": np.array([9.0])}),
            }
        )
    with pytest.raises(MissingColumn, match="text"):
        LINEAR.predict(linear, Table.from_columns({"words": texts("a")}))
    few = assemble({"reviews": Table.from_columns({"text": texts("good", "bad"), "label": texts("good", "bad")})})
    with pytest.raises(LearnFailed, match="too few"):
        LINEAR.fit(few, settle(LINEAR.knobs, {}), 0)
    with pytest.raises(LearnFailed, match="too few to judge"):
        judge.exams(few, folds=3, seed=0)


def test_ratings_stand_in_for_labels():
    made = assemble({"reviews": Table.from_columns({"text": texts(*"abcde"), "rating": np.array([1.0, 2, 3, 4, 5])})})
    assert made.column("label").tolist() == ["negative", "negative", "neutral", "positive", "positive"]


def test_without_labels_the_rules_serve_and_say_so():
    made = assemble({"reviews": Table.from_columns({"text": texts("good", "bad", "so so")})})
    exams = judge.exams(made, folds=3, seed=0)
    assert len(exams) == 1 and len(exams[0].asked) > 100
    state = RULES.fit(exams[0].seen, settle(RULES.knobs, {}), 0)
    marks = judge.marks(exams, [RULES.predict(state, exams[0].asked)])
    assert marks.metrics["error"] < 0.35
    assert "not by yours" in RULES.notes(state, ask("good"))[-1]


def test_the_same_text_is_never_on_both_sides():
    rows = texts(*(f"text {at % 20}" for at in range(60)))
    made = assemble({"reviews": Table.from_columns({"text": rows, "label": texts(*(("good", "bad")[at % 2] for at in range(60)))})})
    for exam in judge.exams(made, folds=3, seed=1):
        assert not set(exam.seen.column("text").tolist()) & set(exam.asked.column("text").tolist())


def test_probabilities_are_calibrated(table):
    exams = judge.exams(table, folds=3, seed=0)
    answers = [LINEAR.predict(LINEAR.fit(exam.seen, settle(LINEAR.knobs, {}), 0), exam.asked) for exam in exams]
    assert judge.marks(exams, answers).metrics["ece"] < 0.06


def test_trends_have_the_direction_that_was_written():
    rows, when, what = [], [], []
    for month in range(1, 7):
        for at in range(12):
            rows.append("The delivery was late and terrible" if month > 3 else "The delivery was fast and great")
            when.append(f"2025-{month:02d}-{at + 1:02d}")
            what.append("P1" if at % 2 else "P2")
    reviews = Table.from_columns({"text": texts(*rows), "date": np.array(when, "M8[D]"), "product": texts(*what)})
    state = RULES.fit(assemble({"reviews": reviews}), settle(RULES.knobs, {}), 0)
    found = {(row["product"], row["lever"], row["month"]): row for row in RULES.effects(state).to_rows()}
    first, last = found["P1", "delivery", "2025-01"], found["P1", "delivery", "2025-06"]
    assert first["lo80"] > 0 > last["hi80"] and first["lo95"] <= first["lo80"] <= first["effect"] <= first["hi80"] <= first["hi95"]
    assert found["P1", "delivery", trends.WHOLE]["reviews"] == 36


def test_damaged_parts_are_refused(linear):
    parts = dict(LINEAR.dump(linear))
    for name in ("words.json", "chances.json", "grams.json"):
        with pytest.raises(Tampered):
            LINEAR.load(parts | {name: b'{"strange": 1}'})
    with pytest.raises(Tampered):
        LINEAR.load(parts | {"grams.json": json.dumps({"sure": 0.5, "words": ["a"], "stretches": []}).encode()})


def test_text_is_made_plain():
    assert reading.cleaned("a<br>b &lt;3\x07") == ("a b <3", False)


def test_a_question_is_read_once_for_its_answer_and_its_notes(linear, monkeypatch):
    read: list[str] = []
    cleaned = reading.cleaned
    monkeypatch.setattr(reading, "cleaned", lambda text: (read.append(text), cleaned(text))[1])
    first, second = ask("lovely coffee", ""), ask("lovely coffee", "")
    LINEAR.predict(linear, first)
    assert LINEAR.notes(linear, first) == ["1 texts are empty: nothing can be said of them."]
    assert len(read) == 2
    assert LINEAR.notes(linear, second) == LINEAR.notes(linear, first)  # another question is read, though it says the same
    assert len(read) == 6


def test_every_word_of_the_packs_says_what_it_should(table):
    reader = reading.make_reader(table)
    assert reader.languages._speak["lovely"] == (("en", 0.6),)
    known = next(word for word, votes in reader.languages._speak.items() if [name for name, _ in votes][:2] == ["en", "en"])
    assert reader.languages._speak[known] == (("en", 1.0), ("en", 0.6))  # frequent in English, and it feels
    foreign = next(iter(reader.languages.words["de"] & reader.lexicon.words.keys()))
    assert ("en", 0.6) not in reader.languages._speak[foreign]  # a word of another language is no evidence for English
    terms = {"Out Of Stock": -2.0, "big\tdeal": 1.0, "GREAT": 3.0, "a-b": 1.5}
    made = Lexicon.of(terms, {})
    assert made.words == {"great": 3.0, "a-b": 1.5}
    assert made.phrases == {"out": ((("out", "of", "stock"), -2.0),), "big": ((("big", "deal"), 1.0),)}
