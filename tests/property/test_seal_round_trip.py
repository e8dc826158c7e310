"""Law: what was sealed comes back, byte for byte, under its own key and context only."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import Tampered
from tradewind.vault import seal, sheet
from tradewind.vault.keys import Keys

SMALL = st.binary(max_size=300)
KEY = st.binary(min_size=32, max_size=32)
NAMES = st.text("abcxyz019._-", min_size=1, max_size=12)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.open(tmp_path_factory.mktemp("keys") / "keys")


@settings(max_examples=300, deadline=None)
@given(data=SMALL, key=KEY, other=KEY, context=SMALL, elsewhere=SMALL)
def test_bytes(data: bytes, key: bytes, other: bytes, context: bytes, elsewhere: bytes) -> None:
    sealed = seal.encrypt(data, key, context)
    assert seal.decrypt(sealed, key, context) == data
    for wrong_key, wrong_context in ((other, context), (key, elsewhere)):
        if (wrong_key, wrong_context) != (key, context):
            with pytest.raises(Tampered):
                seal.decrypt(sealed, wrong_key, wrong_context)


@settings(max_examples=25, deadline=None)
@given(size=st.integers(0, 3 * seal.CHUNK), byte=st.integers(0, 255))
def test_chunks(size: int, byte: int) -> None:
    data = bytes([byte]) * size
    assert seal.decrypt(seal.encrypt(data, b"k" * 32, b""), b"k" * 32, b"") == data


@settings(max_examples=200, deadline=None)
@given(
    files=st.dictionaries(NAMES, SMALL, max_size=6),
    name=st.text(max_size=20),
    claims=st.dictionaries(NAMES, st.integers() | st.text(max_size=9)),
)
def test_signed_files(keys: Keys, files: dict, name: str, claims: dict) -> None:
    claims = {f"c{key}": value for key, value in claims.items() if seal_able(value)}
    name = name if seal_able(name) else "plain"
    bundle = seal.sign_files(files, keys, name=name, claims=claims)
    assert seal.verify_files(files, bundle, keys) == {**claims, "name": name, "key_id": keys.key_id}


@settings(max_examples=200, deadline=None)
@given(wrap=KEY, signing=KEY)
def test_recovery_sheets(wrap: bytes, signing: bytes) -> None:
    assert sheet.read(sheet.write(wrap, signing, "id")) == (wrap, signing)


@settings(max_examples=200, deadline=None)
@given(data_key=KEY, context=SMALL)
def test_wrapped_keys(keys: Keys, data_key: bytes, context: bytes) -> None:
    assert keys.unwrap(keys.wrap(data_key, context), context) == data_key


def seal_able(value: object) -> bool:
    return not isinstance(value, str) or not any(0xD800 <= ord(letter) < 0xE000 for letter in value)


def test_the_folder_of_keys_is_outside_the_law(tmp_path: Path, keys: Keys) -> None:
    """Two workspaces never read each other: the same bytes sealed in both differ and do not open."""
    other = Keys.open(tmp_path / "keys")
    with pytest.raises(Tampered):
        other.unwrap(keys.wrap(b"d" * 32, b"c"), b"c")
