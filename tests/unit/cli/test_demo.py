"""The demo builds once, goes on where it stopped, and keeps its token to itself."""

from __future__ import annotations

import stat
import sys
from types import SimpleNamespace

import pytest

from tradewind import models
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import GoalMissed


@pytest.fixture
def shop(desk, tmp_path, monkeypatch):
    made = []

    def demo(folder, **sizes):
        made.append(sizes)
        folder.mkdir(exist_ok=True)
        desk.folder = folder
        return desk

    monkeypatch.setattr(sys.modules["tradewind.desk"], "demo", demo, raising=False)
    monkeypatch.setattr(models, "names", lambda: ("churn", "demand"))
    desk.answer = Answer((Fact("token", "tw_secret"),), words="done")
    desk.serving = {"churn": 0, "demand": 0}
    desk.deployment = lambda model: SimpleNamespace(stable=desk.serving[model])
    desk.made = made
    return desk


def test_every_model_is_trained_and_promoted(shop, tradewind_, tmp_path):
    said = tradewind_("demo", str(tmp_path / "shop"), "--no-serve")
    assert said.status == 0
    calls = [(name, args) for name, args, _ in shop.calls]
    assert calls[0] == ("train", ("demand",)) and calls[-1] == ("create_token", ("admin",)), "what takes longest comes first"
    for model in ("demand", "churn"):  # two at a time, each in its order
        assert [name for name, args in calls if args == (model,)] == ["train", "promote"]
    assert "trained: 2 models" in said.out


def test_a_second_run_trains_only_what_does_not_serve_yet(shop, tradewind_, tmp_path):
    shop.serving = {"churn": 3, "demand": 0}
    tradewind_("demo", str(tmp_path / "shop"), "--no-serve", "--small")
    assert [args[0] for name, args, _ in shop.calls if name == "train"] == ["demand"]
    assert shop.made[0]["products"] == 8


def test_the_token_is_in_a_file_that_only_the_owner_reads_and_not_in_the_answer(shop, tradewind_, tmp_path):
    for _ in range(2):
        said = tradewind_("demo", str(tmp_path / "shop"), "--no-serve")
    file = tmp_path / "shop" / "demo.token"
    assert file.read_text() == "tw_secret\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "tw_secret" not in said.out + said.err


def test_a_model_that_misses_its_goal_is_named_and_the_others_go_on(shop, tradewind_, tmp_path, monkeypatch):
    promote = shop.promote

    def only_demand(model, *rest, **given):
        promote(model, *rest, **given)
        if model == "churn":
            raise GoalMissed("churn version 1 does not serve")
        return shop.answer

    monkeypatch.setattr(shop, "promote", only_demand, raising=False)
    said = tradewind_("demo", str(tmp_path / "shop"), "--no-serve")
    assert said.status == 0
    assert "trained: 1 models" in said.out and "refused: churn" in said.out
    assert "churn version 1 does not serve" in said.err
    assert (tmp_path / "shop" / "demo.token").exists()


def test_serving_says_where_and_how(shop, tradewind_, tmp_path, monkeypatch):
    served = []
    monkeypatch.setitem(sys.modules, "tradewind.web.pages", SimpleNamespace(routes=lambda desk: ["page"]))
    monkeypatch.setitem(sys.modules, "tradewind.http.app", SimpleNamespace(serve=lambda desk, **given: served.append(given)))
    said = tradewind_("demo", str(tmp_path / "shop"), "--port", "9000")
    assert served == [{"host": "127.0.0.1", "port": 9000, "pages": ["page"]}]
    assert "http://127.0.0.1:9000" in said.err
    assert "Authorization: Bearer $(cat" in said.err
