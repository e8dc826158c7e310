"""Law: a key always meets the same version, a share is kept to, and a changed share moves only the keys it must."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.event import Event
from tradewind.registry.deployment import Deployment

KEYS = [f"customer-{number}" for number in range(20_000)]


def split(share: float, *, challenger: int = 2, model: str = "demand") -> Deployment:
    events = [
        Event("promote", "ann", {"model": model, "version": 1}),
        Event("split", "ann", {"model": model, "version": 1, "challenger": challenger, "share": share}),
    ]
    return Deployment.of(events, model)


@settings(max_examples=300, deadline=None)
@given(key=st.text(min_size=1, max_size=50), share=st.floats(0, 1), more=st.floats(0, 1))
def test_a_growing_share_only_adds_keys(key: str, share: float, more: float) -> None:
    low, high = sorted((share, more))
    if split(low).route(key) == 2:
        assert split(high).route(key) == 2
    assert split(low).route(key) == split(low).route(key) in (1, 2)
    assert split(0.0).route(key) == 1 and split(1.0).route(key) == 2


def test_a_share_is_kept_to() -> None:
    for share in (0.01, 0.1, 0.5, 0.9):
        found = split(share)
        met = sum(found.route(key) == 2 for key in KEYS) / len(KEYS)
        assert abs(met - share) < 4 * (share * (1 - share) / len(KEYS)) ** 0.5


def test_a_share_of_a_fifth_more_moves_a_fifth() -> None:
    before, after = split(0.3), split(0.5)
    moved = [(before.route(key), after.route(key)) for key in KEYS if before.route(key) != after.route(key)]
    assert set(moved) == {(1, 2)}
    assert abs(len(moved) / len(KEYS) - 0.2) < 0.012


def test_another_challenger_meets_other_keys() -> None:
    one, two = split(0.5, challenger=2), split(0.5, challenger=3)
    both = sum(one.route(key) == 2 and two.route(key) == 3 for key in KEYS) / len(KEYS)
    assert abs(both - 0.25) < 0.015


def test_the_place_of_a_key_never_changes_between_releases() -> None:
    """These were written down once: were they to move, every customer in a running experiment would be dealt anew."""
    found = split(0.5)
    assert "".join(str(found.route(f"key-{number}")) for number in range(32)) == EXPECTED


EXPECTED = "11122211121111121211122211221222"
