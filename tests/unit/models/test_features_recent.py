"""What the last days say: levels, and the spells in which a series sells far more than usual."""

from __future__ import annotations

import numpy as np

from tradewind.models._kit.calendar import GRAINS
from tradewind.models._kit.forecast import features_recent as recent

DAY = GRAINS["day"]
WIDE = DAY.year + DAY.level + 1


def _said(shares: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(recent.names(DAY), recent.lately(shares, DAY), strict=True))


def _steady(count: int = 1) -> np.ndarray:
    return np.ones((count, WIDE))


def test_a_steady_series_has_no_spell() -> None:
    said = _said(_steady())
    assert [said[name][0] for name in ("last_1", "last_3", "two_cycles", "middle_month", "middle", "high", "usual")] == [1.0] * 7
    assert (said["since_spell"][0], said["in_spell"][0], said["spells"][0], said["spell_height"][0]) == (recent.FAR, 0, 0, 1)


def test_a_running_spell_says_how_long_it_runs_and_how_high() -> None:
    shares = _steady()
    shares[:, -200:-190] = 3.0
    shares[:, -6:] = 3.0
    said = _said(shares)
    assert said["since_spell"][0] == 0
    assert 5 <= said["in_spell"][0] <= 6  # three days are judged together
    assert 7 <= said["spell_length"][0] <= 9  # ten days and six
    assert 2.5 < said["spell_height"][0] <= 3


def test_a_spell_that_is_over_is_counted_from_its_end() -> None:
    shares = _steady()
    shares[:, -30:-20] = 4.0
    said = _said(shares)
    assert 18 <= said["since_spell"][0] <= 20
    assert said["in_spell"][0] == 0
    assert said["spells"][0] > 0


def test_an_unknown_series_says_nothing() -> None:
    shares = np.concatenate([_steady(), np.full((1, WIDE), np.nan)])
    said = _said(shares)
    assert all(np.isfinite(value[0]) for value in said.values())
    assert all(np.isnan(value[1]) for value in said.values())


def test_gaps_are_no_zeros() -> None:
    shares = _steady()
    shares[:, -60:-3:2] = np.nan
    said = _said(shares)
    assert said["two_cycles"][0] == 1
    assert said["middle_month"][0] == 1
    assert said["spells"][0] == 0


def test_of_an_even_number_the_quantile_is_the_lower_of_two() -> None:
    values = np.array([[4.0, 1.0, np.nan, 3.0, 2.0], [np.nan] * 5])
    assert recent.quantile(values, 0.5)[0] == 2
    assert np.isnan(recent.quantile(values, 0.5)[1])


def test_weeks_say_what_sold_without_a_promotion() -> None:
    near, promoted = np.array([[1.0, 9.0, 2.0, 3.0, 8.0]]), np.array([[0, 1, 0, 0, 1]])
    assert [value[0] for value in recent.apart(near, promoted)] == [2.0, 3.0, 9.0]
    assert [value[0] for value in recent.apart(near, None)] == [3.0, 8.0, 9.0]
    assert len(recent.names(GRAINS["week"])) == 3
