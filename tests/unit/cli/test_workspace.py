"""Commands that make and show a workspace."""

from __future__ import annotations

from pathlib import Path


def test_init_makes_the_folder_that_is_named(desk, tradewind_, tmp_path):
    assert tradewind_("init", str(tmp_path / "new")).status == 0
    assert tradewind_("init", "-w", str(tmp_path / "other")).status == 0
    assert desk.folders == [tmp_path / "new", tmp_path / "other"]
    assert [name for name, _, _ in desk.calls] == ["status", "status"]


def test_init_keeps_a_country(desk, tradewind_, tmp_path):
    assert tradewind_("init", str(tmp_path), "--country", "de", "--subdivision", "BY").status == 0
    assert desk.calls[0] == ("begin", (tmp_path,), {"country": "de", "subdivision": "BY"})


def test_status(desk, tradewind_):
    assert tradewind_("status").status == 0
    assert desk.folders == [Path(".")]
