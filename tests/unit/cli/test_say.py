"""Data on stdout, words for people on stderr, one JSON document with --json."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from tradewind.cli import say
from tradewind.core import show
from tradewind.core.answer import Answer, Fact
from tradewind.core.table import Table


def test_json_is_exactly_one_document_and_silences_the_rest(desk, tradewind_):
    said = tradewind_("tables", "--json")
    assert said.err == ""
    assert json.loads(said.out) == show.data(desk.answer)


def test_a_pipe_gets_every_row_as_csv_and_people_get_the_words(desk, tradewind_):
    said = tradewind_("tables")
    assert said.out.splitlines() == ["product,units", "P1,3.25", "'=2+2,12345.0"]
    assert "two rows" in said.err
    assert "rows: 2 rows  (kept)" in said.err


def test_quiet_leaves_the_result_alone(desk, tradewind_):
    said = tradewind_("tables", "-q")
    assert said.err == ""
    assert said.out.startswith("product,units")


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet", "json"])
def test_out_writes_the_table(desk, tradewind_, tmp_path, suffix):
    file = tmp_path / f"rows.{suffix}"
    said = tradewind_("tables", "--out", str(file))
    assert said.status == 0
    assert said.out == ""
    read = {
        "csv": pl.read_csv,
        "xlsx": pl.read_excel,
        "parquet": pl.read_parquet,
        "json": lambda path: pl.DataFrame(json.loads(path.read_text())["answer"]["rows"]),
    }[suffix]
    assert read(file)["units"].to_list() == [3.25, 12345.0]


def test_out_refuses_a_kind_it_cannot_write(desk, tradewind_):
    said = tradewind_("tables", "--out", "rows.doc")
    assert said.status == 2
    assert ".xlsx" in said.err


def test_an_answer_without_a_table_gives_its_facts_then_its_words(desk, tradewind_):
    desk.answer = Answer((Fact("wape", 0.1874),), words="good")
    assert tradewind_("status").out == "wape: 0.187\n"
    desk.answer = Answer(words="# A card")
    assert tradewind_("card", "demand").out == "# A card\n"


def test_a_cell_cannot_steer_the_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table = Table.from_columns({"name": np.array(["a\x1b[2Jb", "[red]c[/red]"], object), "units": np.array([1, 2])})
    say.answer(Answer(table=table), as_json=False, out=None, quiet=False)
    drawn = capsys.readouterr().out
    assert "\x1b[2J" not in drawn
    assert "[red]c[/red]" in drawn


def test_a_terminal_sees_the_first_rows_and_how_many_are_left(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say.answer(Answer(table=Table.from_columns({"units": np.arange(50)})), as_json=False, out=None, quiet=False)
    captured = capsys.readouterr()
    assert " 19" in captured.out
    assert " 20" not in captured.out
    assert "30 more rows" in captured.err
