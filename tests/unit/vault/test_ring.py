import json
import os
from pathlib import Path

import pytest

from tradewind.core.errors import Tampered
from tradewind.vault import ring

RING = ring.Ring(b"signing key", (ring.new_wrap(), ring.new_wrap()), {"abc": "PEM"})


def test_a_ring_closes_and_opens(tmp_path: Path) -> None:
    key = os.urandom(32)
    data = ring.seal(RING, ring.new_lock(None, key))
    assert ring.unseal(data, tmp_path, None, key) == (RING, ring.new_lock(None, key))
    assert key.hex().encode() not in data and RING.wraps[0][1].hex().encode() not in data and b"PEM" not in data


def test_the_open_part_is_bound_to_the_closed_part(tmp_path: Path) -> None:
    key = os.urandom(32)
    said = json.loads(ring.seal(RING, ring.new_lock(None, key)))
    said["wraps"] = said["wraps"][:1]
    with pytest.raises(Tampered):
        ring.unseal(json.dumps(said).encode(), tmp_path, None, key)


def test_either_key_file_opens_during_a_swap(tmp_path: Path) -> None:
    lock = ring.new_lock(None, None)
    data = ring.seal(RING, lock)
    (tmp_path / ring.KEK).write_text(os.urandom(32).hex())
    (tmp_path / ring.NEXT).write_text(lock.key.hex())
    assert ring.unseal(data, tmp_path, None, None) == (RING, lock)
    (tmp_path / ring.NEXT).unlink()
    with pytest.raises(Tampered):
        ring.unseal(data, tmp_path, None, None)


def test_two_rings_of_one_passphrase_have_different_keys() -> None:
    assert ring.new_lock("long enough", None).key != ring.new_lock("long enough", None).key
