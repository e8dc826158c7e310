from __future__ import annotations

import gzip

import pytest

from tradewind.core.errors import EmptyTable, TooBig, Unreadable
from tradewind.data.decode import decode, inflate


def said(facts):
    return {fact.name: fact.value for fact in facts}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
def test_reads_every_encoding_of_the_same_letters(encoding):
    text = "datum;artikel;preis\n01.02.2024;Käse;1.234,50\n02.02.2024;Brühe;2,00\n"
    frame, facts = decode(text.encode(encoding), "a.csv")
    assert frame["artikel"].to_list() == ["Käse", "Brühe"]
    assert said(facts)["separator"] == ";"
    assert said(facts)["decimal_mark"] == ","
    assert said(facts)["encoding"] in (encoding, {"latin-1": "cp1252"}.get(encoding))


def test_latin_1_bytes_that_cp1252_does_not_know():
    _, facts = decode(b"a,b\n\x81,1\n", "a.csv")
    assert said(facts)["encoding"] == "latin-1"


@pytest.mark.parametrize(("mark", "name"), [(",", ","), (";", ";"), ("\t", "tab"), ("|", "|")])
def test_finds_the_separator(mark, name):
    frame, facts = decode(f"a{mark}b{mark}c\n1{mark}2{mark}3\n".encode(), "a.txt")
    assert frame.columns == ["a", "b", "c"]
    assert said(facts)["separator"] == name


def test_a_quoted_separator_and_a_quoted_line_break_stay_in_their_cell():
    frame, _ = decode(b'a,b\n"x, y","two\nlines"\n', "a.csv")
    assert frame.row(0) == ("x, y", "two\nlines")


def test_leading_zeros_stay_text_and_whole_numbers_do_not():
    frame, _ = decode(b"code,n\n007,1\n12,20\n", "a.csv")
    assert frame["code"].to_list() == ["007", "12"]
    assert frame["n"].to_list() == [1, 20]


def test_title_lines_above_the_header_are_left_out_and_said():
    frame, facts = decode(b"Sales report\n\ndate,product,units\n2024-01-01,a,1\n", "a.csv")
    assert frame.columns == ["date", "product", "units"]
    assert said(facts)["lines_above_header"] == 2


def test_a_file_without_header_gets_numbered_columns():
    frame, facts = decode(b"2024-01-01,a,1\n2024-01-02,b,2\n", "a.csv")
    assert frame.columns == ["column_1", "column_2", "column_3"]
    assert frame.height == 2
    assert said(facts)["header"] is False


def test_years_as_headers_are_headers():
    frame, _ = decode(b"product,2019,2020\na,1,2\n", "a.csv")
    assert frame.columns == ["product", "2019", "2020"]


@pytest.mark.parametrize("data", [b"", b" \n\n", b"a,b,c\n"])
def test_nothing_to_read_is_an_empty_table(data):
    with pytest.raises(EmptyTable) as caught:
        decode(data, "a.csv")
    assert caught.value.hint


def test_a_row_that_is_too_wide_is_named():
    with pytest.raises(Unreadable, match=r"line 3 has 4 cells, the header has 2"):
        decode(b"a,b\n1,2\n1,2,3,4\n", "a.csv")


def test_a_quote_that_is_never_closed_is_refused():
    with pytest.raises(Unreadable):
        decode(b'a,b\n"1,2\n3,4\n', "a.csv")


def test_a_huge_cell_is_refused_with_its_place():
    with pytest.raises(TooBig, match=r'row 2, column "b"'):
        decode(b"a,b\n1,x\n2," + b"x" * 10_000_000 + b"\n", "a.csv")


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(Unreadable):
        decode(b"\x01\x02a\x00b,c\nd,e\n" * 50, "a.csv")


def test_a_cut_utf_16_file_is_refused():
    with pytest.raises(Unreadable):
        decode("a,b\n1,2\n".encode("utf-16")[:-1], "a.csv")


def test_inflate_reads_members_and_refuses_what_is_cut_or_too_large():
    two = gzip.compress(b"a,b\n") + gzip.compress(b"1,2\n")
    assert inflate(two, 100, "a") == b"a,b\n1,2\n"
    with pytest.raises(Unreadable, match="cut short"):
        inflate(gzip.compress(bytes(range(256)) * 4000)[:-20], 1 << 30, "a")
    with pytest.raises(Unreadable, match="damaged"):
        inflate(b"\x1f\x8bnonsense", 100, "a")
    with pytest.raises(TooBig):
        inflate(gzip.compress(b"0" * 5_000_000), 1_000_000, "a")


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("d;units\na;1.000\nb;1.250\n", ","),  # thousands: semicolons stand where the comma is for decimals
        ("d;units;price\na;1.000;3,50\nb;1.250;4,00\nc;2.000;\n", ","),  # 3,50 tells, however many 1.000 there are
        ("d;units\na;1.234.567\nb;1.250\n", ","),
        ("d;units\na;1.000\nb;1.25\n", "."),
        ("d;units\na;0.125\nb;1.250\n", "."),
        ('d,units\na,"1,000"\nb,"1,250"\n', "."),
        ('d,units,price\na,"1,000",3.5\nb,"1,250",4.0\n', "."),
        ('d,units\na,"1,50"\nb,"1,250"\n', ","),
        ("d\tunits\na\t1.250\nb\t1.500\n", "."),
        ("d\tunits\na\t1,250\nb\t950\n", "."),  # with decimals, 950 would have them too
        ("d\tunits\na\t1.250\nb\t950\n", ","),
        ("d;units\na;1,250\nb;950\n", "."),
        ("m;units\n01.2024;1.250\n02.2024;1.500\n", ","),  # a month is no figure
        ("m;units\n01.2024;3,50\n02.2024;4,25\n", ","),
        ("clock;price\n12.30;3,50\n12.45;4,25\n", ","),
    ],
)
def test_thousands_are_told_from_decimals(text, mark):
    assert said(decode(text.encode(), "a.csv")[1])["decimal_mark"] == mark


def test_lines_that_end_as_on_old_macs_are_read():
    frame, _ = decode(b"date,product,units\r2024-01-01,a,1\r2024-01-02,b,2\r", "a.csv")
    assert frame.columns == ["date", "product", "units"] and frame.height == 2


@pytest.mark.parametrize(
    ("end", "cells"), [("\n2024-01-03,a", 2), ("\n2024-01-03", 1), ("\n2024-01-03,a,3", None), ("\n", None), ("", None)]
)
def test_a_file_that_ends_in_the_middle_of_a_line_is_told(end, cells):
    frame, facts = decode(f"date,product,units\n2024-01-01,a,1\n2024-01-02,b,2{end}".encode(), "a.csv")
    assert said(facts).get("last_line") == cells and frame.height == 2 + (len(end) > 1)
