"""Progress: a bar on a terminal, a line per stage elsewhere, nothing with --json."""

from __future__ import annotations

import pytest

from tradewind.cli.bar import left, progress, screen
from tradewind.cli.call import Call


def test_one_line_per_stage_without_a_terminal(desk, tradewind_):
    said = tradewind_("train", "demand")
    assert said.err.count("train demand: search - boosted (40%") == 1
    assert said.err.count("train demand: fit") == 1


def test_nothing_with_json_or_quiet(desk, tradewind_):
    assert tradewind_("train", "demand", "--json").err == ""
    assert tradewind_("train", "demand", "--quiet").err == ""


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress(Call(), "train [demand]") as listen:
        listen("search", 0.5, "boosted")
    assert "train [demand]: search - boosted" in capsys.readouterr().err


def test_two_trainings_share_a_picture(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with screen(Call()) as show, show("train demand") as one, show("train roi") as two:
        one("search", 0.5)
        two("fit", 0.1)
    said = capsys.readouterr().err
    assert "train demand: search" in said and "train roi: fit" in said


@pytest.mark.parametrize(("seconds", "words"), [(None, ""), (0.4, ""), (12.4, "12 s left"), (600, "10 min left"), (7200, "2.0 h left")])
def test_time_left_in_words(seconds, words):
    assert left(seconds) == words
