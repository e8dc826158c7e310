from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradewind.core import show
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue, DiskFull, EmptyTable, InvalidInput
from tradewind.core.fact import prose
from tradewind.core.table import Table


def answer() -> Answer:
    columns = {"name": np.array(["=cmd|' /C calc'!A0", "ok", "@x"], object), "value": np.array([1.5, np.nan, 12345.678])}
    return Answer((Fact("wape", 0.2134, "", "error"),), Table.from_columns(columns), words="<b>words</b>", source={"model": "demand"})


def test_text_shows_words_facts_and_rows() -> None:
    said = show.text(answer())
    assert "<b>words</b>" in said and "wape: 0.213" in said and "12,346" in said


def test_html_escapes_and_fetches_nothing() -> None:
    said = show.html(answer())
    assert "&lt;b&gt;" in said and "<script" not in said and "http" not in said


def test_json_is_one_document_without_nan() -> None:
    said = json.loads(show.json(answer()))
    assert said["answer"]["rows"][1] == {"name": "ok", "value": None}
    assert said["source"] == {"model": "demand"}


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet", ".json"])
def test_every_file_kind_is_written(tmp_path, suffix: str) -> None:
    path = answer().save(tmp_path / f"a{suffix}")
    assert path.stat().st_size > 0


def test_spreadsheet_formulas_are_made_harmless(tmp_path) -> None:
    path = answer().save(tmp_path / "a.csv")
    assert pl.read_csv(path)["name"].to_list() == ["'=cmd|' /C calc'!A0", "ok", "'@x"]


def test_an_unknown_suffix_and_a_missing_folder_are_typed(tmp_path) -> None:
    with pytest.raises(BadValue):
        answer().save(tmp_path / "a.doc")
    (tmp_path / "folder.csv").mkdir()
    for name in ("none/a.csv", "none/a.xlsx", "none/a.parquet", "none/a.json", "folder.csv"):
        with pytest.raises(InvalidInput, match="cannot write") as told:
            answer().save(tmp_path / name)
        assert "name a folder that is there" in told.value.hint


@pytest.mark.parametrize("suffix", ["json", "xlsx"])
def test_a_full_disk_is_said_as_one(tmp_path, monkeypatch, suffix) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="No space left"):
        answer().save(tmp_path / f"a.{suffix}")


def test_an_answer_without_anything_has_no_frame() -> None:
    with pytest.raises(EmptyTable):
        Answer().to_pandas()


def test_long_tables_say_how_much_is_left_out() -> None:
    long = Answer(table=Table.from_columns({"a": np.arange(50)}))
    assert "30 more rows" in repr(long) and "30 more rows" in long._repr_html_()


def test_notes_become_sentences():
    said = prose("demand answered 1 row.", "a price was never seen", "Prices are net!", " ")
    assert said == "demand answered 1 row. A price was never seen. Prices are net!"
