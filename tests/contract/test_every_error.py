"""Every error has its own code, a status, an exit status and survives the way through a process boundary."""

from __future__ import annotations

import pytest

from tradewind.core.errors import TradewindError, every_error, from_dict

ERRORS = sorted(every_error().values(), key=lambda kind: kind.__name__)


def test_codes_are_distinct() -> None:
    codes = [kind.code for kind in ERRORS if kind.__name__ not in ("TradewindError", "Unexpected")]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_is_whole(kind: type[TradewindError]) -> None:
    error = kind("what", hint="do this", fields=[{"pointer": "/a", "message": "is bad"}])
    again = from_dict(error.as_dict())
    assert type(again) is kind or kind.__name__ == "TradewindError"
    assert (again.message, again.hint, again.fields) == ("what", "do this", ({"pointer": "/a", "message": "is bad"},))
    assert kind.code.startswith("TW") and 400 <= kind.status < 600 and kind.exit in (1, 2, 4, 5, 6, 130)
    assert kind.__doc__
    assert kind("what").hint == kind.advice != "" and from_dict(kind("what").as_dict()).hint == kind.advice
