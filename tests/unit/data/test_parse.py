from __future__ import annotations

import polars as pl
import pytest

from tradewind.data.parse import flags, looks_numeric, numbers, text


@pytest.mark.parametrize(
    ("written", "decimal", "meant"),
    [
        ("1234.5", ".", 1234.5),
        ("1,234.5", ".", 1234.5),
        ("1,234,567", ".", 1234567.0),
        ("$5", ".", 5.0),
        ("5.50 EUR", ".", 5.5),
        ("(7)", ".", -7.0),
        ("7-", ".", -7.0),
        ("-7", ".", -7.0),
        (" 3 ", ".", 3.0),
        ("1e3", ".", 1000.0),
        ("12%", ".", 0.12),
        ("1.234,5", ",", 1234.5),
        ("1.234", ",", 1234.0),
        ("0,5", ",", 0.5),
        ("1 234,5", ",", 1234.5),
        ("12", ",", 12.0),
    ],
)
def test_numbers_as_people_write_them(written, decimal, meant):
    read = numbers(pl.Series("n", [written, "1"]), decimal)
    assert read.values[0] == pytest.approx(meant)
    assert read.bad == 0


def test_what_is_no_number_is_counted_and_the_first_is_named():
    read = numbers(pl.Series("n", ["1", "", "n/a", None, "abc", "1.2.3", "-"]))
    assert read.values.to_list() == [1.0, None, None, None, None, None, None]
    assert (read.bad, read.row, read.example) == (2, 5, "abc")


def test_many_repeated_words_are_read_like_few():
    words = ["1,5", "2", "x", "3%"] * 1000
    read = numbers(pl.Series("n", words), ",")
    assert read.values[:4].to_list() == [1.5, 2.0, None, 0.03]
    assert (read.bad, read.row, read.percent) == (1000, 3, 1000)


def test_flags():
    read = flags(pl.Series("f", ["yes", "NEIN", "1", "0.0", "true", "maybe", None]))
    assert read.values.to_list() == [True, False, True, False, True, None, None]
    assert (read.bad, read.row) == (1, 6)
    assert flags(pl.Series("f", [1, 0, 2])).bad == 1


def test_text_is_trimmed_and_in_one_unicode_form():
    assert text(pl.Series(["  a ", "e\u0301", "NaN", "", None, "\u00a0b"])).to_list() == ["a", "é", None, None, None, "b"]
    assert text(pl.Series([12345.0, None, float("nan")])).to_list() == ["12345", None, None]
    assert text(pl.Series(["x ", "x"] * 1000)).unique().to_list() == ["x"]


def test_looks_numeric():
    assert looks_numeric(pl.Series(["1", "2", "n/a"]))
    assert not looks_numeric(pl.Series(["1", "a"]))
    assert not looks_numeric(pl.Series(["n/a", ""]))
    assert looks_numeric(pl.Series(["1,5"]), ",")
