"""A plan is made of what the serving version responds; its planner sees arrays, and a refusal says which models plan."""

from __future__ import annotations

import numpy as np
import pytest

import tradewind
from tradewind import models
from tradewind.actions import plans
from tradewind.core.errors import BadValue, NotFound
from tradewind.models import run


class Line:
    """Respond with a line through the request's numbers."""

    name = "line"

    def respond(self, state, request):
        if request["about"] != "line":
            raise BadValue("it only knows lines")
        return {"y": request["x"] * state, "names": np.array(["a", None], object)}


def test_a_model_without_a_planner_says_which_have_one(tmp_path):
    with tradewind.open(tmp_path / "shop") as desk, pytest.raises(BadValue, match="demand plans nothing"):
        desk.plan("demand")
    with tradewind.open(tmp_path / "shop") as desk, pytest.raises(NotFound):
        desk.plan("nothing")


def test_arrays_and_plain_data_cross_both_ways():
    from tradewind.core.bundle import pack_arrays, unpack_arrays

    parts = {"arrays": pack_arrays({"x": np.arange(3.0)})}
    said = run._response(Line(), 2.0, parts, {"do": "respond", "request": {"about": "line"}})
    back = unpack_arrays(pack_arrays(said))
    assert back["y"].tolist() == [0.0, 2.0, 4.0] and back["names"].tolist() == ["a", None]
    with pytest.raises(BadValue, match="only knows lines"):
        run._response(Line(), 2.0, parts, {"do": "respond", "request": {"about": "circle"}})
    with pytest.raises(BadValue, match="plain data"):
        run._response(Line(), 2.0, parts, {"do": "respond", "request": 3})
    with pytest.raises(BadValue, match="cannot say what levers"):
        run._response(object.__new__(type("Dumb", (), {"name": "dumb"})), 0, {}, {"do": "respond", "request": {}})


@pytest.mark.parametrize("given", [{"lock": ["tv"]}, {"limits": 3}, {"limits": "risk"}])
def test_locks_and_limits_are_given_by_name(tmp_path, monkeypatch, given):
    monkeypatch.setattr("tradewind.registry.deployment.Deployment.route", lambda *_: 1)
    with tradewind.open(tmp_path / "shop") as desk, pytest.raises(BadValue, match="by name"):
        desk.plan("roi", **given)


@pytest.mark.parametrize(
    ("model", "recipe", "said"), [("price", "pooled", True), ("price", "bayes", False), ("roi", "ridge", True), ("roi", "exact", False)]
)
def test_a_plan_by_a_recipe_that_is_not_preferred_says_so(model, recipe, said):
    assert bool(plans._unsure(models.get(model), recipe)) is said
    assert plans._unsure(models.get("recommend"), "anything") == []
