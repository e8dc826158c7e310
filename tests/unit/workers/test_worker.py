import json

import pytest

from tradewind.core.errors import MissingColumn, Unexpected
from tradewind.workers.worker import rebuilt


def test_an_error_comes_back_as_it_was() -> None:
    sent = MissingColumn("no price", hint="add it", fields=[{"pointer": "/rows/0/price", "message": "missing"}])
    again = rebuilt(json.dumps(sent.as_dict()).encode())
    assert (type(again), again.as_dict()) == (MissingColumn, sent.as_dict())


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"null", b'"text"', b'{"fields": 3}', b'{"fields": ["x"]}', b'{"fields": {"a": 1}}'])
def test_what_cannot_be_read_is_a_fault(body: bytes) -> None:
    assert isinstance(rebuilt(body), Unexpected)


def test_a_hostile_error_is_cut_to_size() -> None:
    again = rebuilt(json.dumps({"error": "BadValue", "message": "m" * 10**6, "hint": 3, "fields": [{"a": "b" * 10**5}] * 10**3}).encode())
    assert len(again.message) == 4000
    assert again.hint == "3"
    assert len(again.fields) == 100
    assert len(again.fields[0]["a"]) == 1000


def test_an_unknown_class_is_a_fault() -> None:
    assert type(rebuilt(b'{"error": "SystemExit", "message": "x"}')) is Unexpected
