"""Options that every command shares, errors, and how a call ends."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tradewind.cli.call import COMMANDS, LOG, MARK, pairs
from tradewind.core.errors import BadValue, Cancelled, GoalMissed, MissingColumn, NotAllowed, Tampered


def test_options_may_stand_before_or_after_the_command(desk, tradewind_, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / MARK).write_text("{}")
    assert json.loads(tradewind_("--json", "tables").out) == json.loads(tradewind_("tables", "--json").out)
    tradewind_("-w", str(other), "tables")
    tradewind_("tables", "--workspace", str(other))
    assert desk.folders[-2:] == [other, other]


def test_the_environment_names_the_workspace_and_an_option_beats_it(desk, tradewind_, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MARK).write_text("{}")
    monkeypatch.setenv("TRADEWIND_WORKSPACE", str(tmp_path / "one"))
    tradewind_("tables")
    tradewind_("tables", "-w", str(tmp_path / "two"))
    tradewind_("-w", str(tmp_path / "two"), "tables")
    assert [folder.name for folder in desk.folders] == ["one", "two", "two"]


def test_a_folder_that_is_no_workspace_is_not_made_one(desk, tradewind_, tmp_path):
    said = tradewind_("tables", "-w", str(tmp_path / "typo"))
    assert said.status == 5
    assert "tradewind init" in said.err
    assert not (tmp_path / "typo").exists()
    assert desk.folders == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MissingColumn('column "spend" is missing in daily.csv', hint="--map spend=cost"), 2),
        (NotAllowed("no"), 4),
        (GoalMissed("no"), 1),
        (Tampered("no"), 6),
        (Cancelled("no"), 130),
    ],
)
def test_errors_have_code_hint_and_exit_status(desk, tradewind_, error, status):
    desk.error = error
    said = tradewind_("tables")
    assert said.status == status
    assert said.out == ""
    assert said.err.splitlines()[0] == f"error[{error.code}]: {error.message}"
    assert "Traceback" not in said.err
    hint = "to go on from what is finished: tradewind" if isinstance(error, Cancelled) else error.hint
    assert said.err.splitlines()[1].startswith(f"hint: {hint}")
    assert desk.closed == 1


def test_an_error_with_json_is_one_document(desk, tradewind_):
    desk.error = MissingColumn("gone", fields=[{"pointer": "/rows/0/x", "message": "is missing"}])
    said = tradewind_("tables", "--json")
    assert said.err == ""
    assert json.loads(said.out)["error"]["fields"] == [{"pointer": "/rows/0/x", "message": "is missing"}]


def test_a_fault_of_ours_shows_no_traceback_without_trace(desk, tradewind_):
    desk.error = ZeroDivisionError("division by zero")
    plain, traced = tradewind_("tables"), tradewind_("tables", "--trace")
    assert plain.status == traced.status == 2
    assert plain.err.startswith("error[TW0500]: ZeroDivisionError")
    assert "Traceback" not in plain.err
    assert "Traceback" in traced.err


def test_ctrl_c_says_what_stays_and_how_to_go_on(desk, tradewind_):
    desk.error = KeyboardInterrupt()
    said = tradewind_("train", "demand", "--seed", "3")
    assert said.status == 130
    assert "nothing is half written" in said.err
    assert "tradewind train demand --seed 3" in said.err
    assert desk.closed == 1


def test_pairs_are_read_and_bad_ones_named():
    assert pairs(["qty=units", "a=b=c"], "--map") == {"qty": "units", "a": "b=c"}
    assert pairs(None, "--map") == {}
    for wrong in (["units"], ["=units"], ["a=b", "a=c"]):
        with pytest.raises(BadValue, match="--map"):
            pairs(wrong, "--map")


def test_every_action_of_the_contract_has_a_command():
    import tradewind.desk  # noqa: F401 - registers every action
    from tradewind.actions._door import ACTIONS

    assert set(COMMANDS) == set(ACTIONS)
    assert len(set(COMMANDS.values())) == len(COMMANDS)


def test_a_folder_that_is_not_there_is_an_error_not_a_traceback(desk, tradewind_, tmp_path):
    said = tradewind_("tables", "--out", str(tmp_path / "no" / "where.csv"))
    assert said.status == 2
    assert said.err.splitlines()[-2].startswith("error[TW0400]: cannot write")
    assert not Path(tmp_path / "no").exists()


def test_the_log_goes_to_the_workspace_and_to_the_terminal_only_with_trace(desk, tradewind_, tmp_path, monkeypatch):
    def noisy():
        logging.getLogger("tradewind").error("fault 1", exc_info=ValueError("inside"))
        return desk.answer

    desk.tables = noisy
    assert "inside" not in tradewind_("tables").err
    assert "ValueError: inside" in (tmp_path / LOG).read_text()
    assert "ValueError: inside" in tradewind_("tables", "--trace").err
    assert logging.getLogger("tradewind").handlers == []
