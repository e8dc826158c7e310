"""What is known of customers and items on a day does not change when everything from that day on is cut off or made up."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.models.recommend import log as logs
from tradewind.models.recommend.log import Log


@st.composite
def histories(draw):
    size = draw(st.integers(5, 60))
    numbers = [draw(st.lists(st.integers(0, most), min_size=size, max_size=size)) for most in (5, 7, 20, 90)]
    who, what, order, day = (np.array(values, "i8") for values in numbers)
    blank = np.full(8, np.nan)
    none = np.full(8, None, object)
    names = np.array([str(at) for at in range(8)], object)
    return Log(names[:6], names, who, what, order * 100 + day, day, blank, blank, blank, none, none, None)


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(1, 91), st.integers(0, 2**31))
def test_the_future_changes_nothing(log, day, seed):
    before = log.before(day)
    if not before.any():
        return
    rng = np.random.default_rng(seed)
    cut = dataclasses.replace(log, **{name: getattr(log, name)[before] for name in ("who", "what", "order", "day")})
    made_up = dataclasses.replace(log, what=np.where(before, log.what, rng.integers(0, 8, len(log.what))))
    whole = logs.seen(log, day)
    for other in (logs.seen(cut, day), logs.seen(made_up, day)):
        for field in dataclasses.fields(whole):
            np.testing.assert_array_equal(getattr(whole, field.name), getattr(other, field.name))
