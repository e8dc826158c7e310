"""Every action has a permission, a command, a route, a place in the documentation, and writes exactly one event."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

import tradewind
from tradewind import desk as front
from tradewind.actions._door import ACTIONS
from tradewind.cli import main
from tradewind.cli.call import APP, COMMANDS
from tradewind.core.errors import NotAllowed, TradewindError
from tradewind.core.event import ROLES, Actor
from tradewind.http import routes

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(ACTIONS)
PERMISSIONS = frozenset().union(*ROLES.values())

# what each action is called with in an empty workspace; most then fail, which is an event too
CALLS: dict[str, tuple[object, ...]] = {
    "load": ("nowhere.csv",),
    "show": ("sales",),
    "forget": ("nobody",),
    "train": ("demand",),
    "evaluate": ("demand",),
    "predict": ("demand",),
    "effects": ("demand",),
    "update": ("demand",),
    "plan": ("demand",),
    "measure": ((), "2026-03-02"),
    "card": ("demand",),
    "promote": ("demand",),
    "rollback": ("demand",),
    "split": ("demand", 2, 0.5),
    "export": ("demand", "out"),
    "import": ("demand", "nowhere"),
    "create_token": ("viewer",),
    "revoke_token": ("nothing",),
    "backup": ("copy.backup",),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_permitted_to_somebody(name: str) -> None:
    assert ACTIONS[name].permits in PERMISSIONS
    assert any(ACTIONS[name].permits in held for held in ROLES.values())


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_does(name: str) -> None:
    assert ACTIONS[name].doc.splitlines()[0].endswith(".")
    reference = (ROOT / "docs" / "reference" / "actions.md").read_text("utf-8")
    assert f"`{name}(" in reference or f"`{name}_(" in reference


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_command(name: str) -> None:
    assert main.CHAPTERS
    words = COMMANDS[name].split()
    command = typer.main.get_command(APP)
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert command.help


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_route_or_a_reason(name: str) -> None:
    served = {route.action for route in routes.table(ACTIONS)}
    assert (name in served) != (name in routes.UNSERVED)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_method_of_the_desk(name: str) -> None:
    assert callable(getattr(front.Desk, name, None) or getattr(front.Desk, f"{name}_"))


@pytest.mark.parametrize("name", NAMES)
def test_it_writes_one_event_and_one_when_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tradewind.open(tmp_path / "shop") as desk:
        use = getattr(desk, name, None) or getattr(desk, f"{name}_")
        desk.ledger.flush()
        before = desk.ledger.head()
        try:
            use(*CALLS.get(name, ()))
            expected = name
        except TradewindError:
            expected = "failed"
        desk.ledger.flush()
        assert [event.kind for event in desk.ledger.read(after=before)] == [expected]
        nobody = desk.as_(Actor("eve", "visitor"))
        with pytest.raises(NotAllowed):
            (getattr(nobody, name, None) or getattr(nobody, f"{name}_"))(*CALLS.get(name, ()))
        assert desk.ledger.read(after=before)[-1].kind == "refused"
