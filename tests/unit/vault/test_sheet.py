import os

import pytest

from tradewind.core.errors import BadValue
from tradewind.vault import sheet

WRAP, SIGNING = os.urandom(32), os.urandom(32)


def test_a_sheet_gives_both_keys_back() -> None:
    assert sheet.read(sheet.write(WRAP, SIGNING, "f00")) == (WRAP, SIGNING)


def test_it_forgives_spaces_small_letters_and_look_alikes() -> None:
    lines = [line for line in sheet.write(WRAP, SIGNING, "f00").splitlines() if not line.startswith("#")]
    typed = "\n".join(lines).lower().replace("-", " ").replace("o", "0").replace("i", "1").replace("b", "8")
    assert sheet.read(typed) == (WRAP, SIGNING)


def test_every_single_typing_mistake_is_seen() -> None:
    code = "".join(line for line in sheet.write(WRAP, SIGNING, "f00").splitlines() if not line.startswith("#")).replace("-", "")
    for at, letter in enumerate(code):
        wrong = "A" if letter != "A" else "C"
        with pytest.raises(BadValue):
            sheet.read(code[:at] + wrong + code[at + 1 :])


@pytest.mark.parametrize("typed", ["", "# only a comment", "hello", "AAAA-AAAA", "ÄÖÜ", "A" * 112, "A" * 10_000])
def test_what_is_no_code_is_said(typed: str) -> None:
    with pytest.raises(BadValue) as told:
        sheet.read(typed)
    assert told.value.hint
