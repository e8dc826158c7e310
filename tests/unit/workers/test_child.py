import json

import pytest

from tradewind.core.errors import BadValue, MissingExtra, TooBig, Unexpected, from_dict
from tradewind.workers.child import open_echo, told


def rebuilt(error: BaseException):
    return from_dict(json.loads(told(error)))


def test_our_errors_stay_what_they_are() -> None:
    again = rebuilt(MissingExtra("no lstm", hint="pip install"))
    assert (type(again), again.message, again.hint) == (MissingExtra, "no lstm", "pip install")


def test_other_errors_are_a_fault_of_ours_with_their_place() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    again = rebuilt(caught.value)
    assert isinstance(again, Unexpected)
    assert again.message == "ZeroDivisionError: division by zero"
    assert "test_child.py, line" in again.hint
    assert isinstance(rebuilt(RuntimeError()), Unexpected)


def test_too_little_memory_is_too_big_a_question() -> None:
    assert isinstance(rebuilt(MemoryError()), TooBig)


def test_a_long_message_is_cut() -> None:
    assert len(rebuilt(RuntimeError("x" * 1_000_000)).message) == 2000


def test_echo() -> None:
    serve = open_echo({})
    assert serve(b"abc") == b"abc"


def test_bad_value_keeps_its_fields() -> None:
    assert rebuilt(BadValue("x", fields=[{"pointer": "/a", "message": "b"}])).fields == ({"pointer": "/a", "message": "b"},)
