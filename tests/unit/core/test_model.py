from __future__ import annotations

import pytest

from tradewind.core.errors import BadValue, Cancelled
from tradewind.core.model import Knob, Progress, Step, quantile_name, settle

KNOBS = (Knob("trees", 200, 10, 2000), Knob("rate", 0.1, 0.001, 1.0), Knob("loss", "l1", choices=("l1", "l2")), Knob("fast", True))


def test_defaults_and_given_values() -> None:
    assert settle(KNOBS, {"rate": 0.5}) == {"trees": 200, "rate": 0.5, "loss": "l1", "fast": True}


@pytest.mark.parametrize(
    "params", [{"trees": 5}, {"rate": 2}, {"loss": "l3"}, {"fast": 1}, {"trees": "many"}, {"trees": True}, {"unknown": 1}]
)
def test_bad_values_are_refused(params: dict) -> None:
    with pytest.raises(BadValue):
        settle(KNOBS, params)


def test_a_part_of_the_work_reports_its_share_of_the_whole() -> None:
    heard: list[Step] = []
    part = Progress(heard.append).part(0.5, 0.9)
    part("fit", 0.5, "half")
    assert heard[0].fraction == pytest.approx(0.7)


def test_a_listener_can_stop_the_work() -> None:
    def stop(_: Step) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Progress(stop)("fit", 0.1)


def test_finished_pieces_are_handed_over_from_any_part() -> None:
    kept: dict[str, bytes] = {}
    Progress(keep=kept.__setitem__).part(0, 0.5).keep("a", b"1")
    assert kept == {"a": b"1"}


@pytest.mark.parametrize(("level", "name"), [(0.1, "q10"), (0.5, "q50"), (0.55, "q55"), (0.07, "q7"), (0.975, "q97.5"), (0.999, "q99.9")])
def test_a_quantile_has_one_name(level: float, name: str) -> None:
    assert quantile_name(level) == name
