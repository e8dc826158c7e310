import pytest

from tradewind.core.errors import NotReady
from tradewind.core.event import Event
from tradewind.registry.deployment import Deployment


def folded(*said: tuple[str, int] | tuple[str, int, float]) -> Deployment:
    events = []
    for number, (kind, version, *share) in enumerate(said, 1):
        body = {"model": "demand", "challenger" if kind == "split" else "version": version, **({"share": share[0]} if share else {})}
        events.append(Event(kind, "ann", body, f"2026-11-21T09:{number:02}:00Z", number))
    return Deployment.of(events, "demand")


def test_nothing_serves_at_first() -> None:
    empty = Deployment.of([], "demand")
    assert (empty.stable, empty.challenger, empty.share, empty.history) == (0, 0, 0.0, ())
    with pytest.raises(NotReady):
        empty.route("k")
    with pytest.raises(NotReady):
        empty.previous()


def test_a_split_without_a_serving_version_serves_nothing() -> None:
    assert folded(("split", 2, 0.5)).stable == 0
    with pytest.raises(NotReady):
        folded(("split", 2, 0.5)).route("k")


def test_the_history_says_who_and_when() -> None:
    served = folded(("promote", 1), ("promote", 2), ("rollback", 1)).history
    assert [(one.version, one.how, one.by, one.event) for one in served] == [
        (1, "promote", "ann", 1),
        (2, "promote", "ann", 2),
        (1, "rollback", "ann", 3),
    ]


@pytest.mark.parametrize(
    ("said", "stable", "previous"),
    [
        ([("promote", 1)], 1, None),
        ([("promote", 1), ("promote", 2)], 2, 1),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2)], 2, 1),
        ([("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2), ("rollback", 1)], 1, None),
        ([("promote", 1), ("promote", 2), ("rollback", 1), ("promote", 3)], 3, 1),
        ([("promote", 1), ("promote", 2), ("promote", 2)], 2, 1),
        ([("promote", 1), ("promote", 2), ("promote", 1)], 1, 2),
        ([("promote", 1), ("promote", 2), ("promote", 1), ("rollback", 2)], 2, 1),
        ([("promote", 5), ("rollback", 4)], 4, 5),
    ],
)
def test_a_rollback_leads_to_what_served_before(said: list, stable: int, previous: int | None) -> None:
    found = folded(*said)
    assert found.stable == stable
    if previous is None:
        with pytest.raises(NotReady):
            found.previous()
    else:
        assert found.previous() == previous


def test_a_split_ends_with_share_zero_with_a_promotion_and_with_a_rollback() -> None:
    assert folded(("promote", 1), ("split", 2, 0.25)).challenger == 2
    for end in (("split", 2, 0.0), ("promote", 2), ("rollback", 1)):
        found = folded(("promote", 1), ("split", 2, 0.25), end)
        assert (found.challenger, found.share) == (0, 0.0)


def updated(version: int, was: int) -> Event:
    return Event("update", "ann", {"model": "demand", "version": version, "updated_from": was}, "2026-11-21T10:00:00Z", 99)


def promoted(version: int) -> Event:
    return Event("promote", "ann", {"model": "demand", "version": version})


def test_an_update_serves_and_a_rollback_leads_back() -> None:
    found = Deployment.of([promoted(1), updated(2, 1), updated(3, 2)], "demand")
    assert (found.stable, found.previous()) == (3, 2)
    assert [served.how for served in found.history] == ["promote", "update", "update"]
    back = Deployment.of([promoted(1), updated(2, 1), Event("rollback", "ann", {"model": "demand", "version": 1})], "demand")
    assert back.stable == 1
    with pytest.raises(NotReady):
        back.previous()


def test_an_update_of_a_version_that_serves_no_more_changes_nothing() -> None:
    found = Deployment.of([promoted(1), promoted(2), updated(3, 1)], "demand")
    assert (found.stable, found.previous(), len(found.history)) == (2, 1, 2)
    assert Deployment.of([updated(3, 1)], "demand").stable == 0


def test_a_split_goes_on_after_an_update() -> None:
    split = Event("split", "ann", {"model": "demand", "version": 1, "challenger": 9, "share": 0.25})
    found = Deployment.of([promoted(1), split, updated(2, 1)], "demand")
    assert (found.stable, found.challenger, found.share) == (2, 9, 0.25)


def test_other_models_and_kinds_do_not_count() -> None:
    events = [
        Event("promote", "ann", {"model": "churn", "version": 9}),
        Event("failed", "ann", {"action": "promote", "code": "TW0426"}),
        Event("train", "ann", {"model": "demand", "version": 3}),
        Event("promote", "ann", {"model": "demand", "version": 1}),
    ]
    assert Deployment.of(events, "demand").stable == 1


def test_without_a_key_the_stable_version_answers() -> None:
    found = folded(("promote", 1), ("split", 2, 1.0))
    assert found.route() == 1 and found.route("anybody") == 2
    assert isinstance(found.route("\ud800"), int)
