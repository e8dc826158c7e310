import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tradewind.core.errors import BadValue, Busy, Incompatible, NotFound, Tampered
from tradewind.vault.keys import Keys


def pem_of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_keys_are_made_once_and_private(folder: Path) -> None:
    first, again = Keys.open(folder), Keys.open(folder)
    assert first.key_id == again.key_id
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    again.check(first.key_id, b"what", first.sign(b"what"))
    assert again.unwrap(first.wrap(b"k" * 32, b"c"), b"c") == b"k" * 32


def test_the_key_id_is_the_hash_of_the_public_key(folder: Path) -> None:
    import hashlib

    keys = Keys.open(folder)
    public = serialization.load_pem_public_key(keys.public_pem())
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert keys.key_id == hashlib.sha256(der).hexdigest()


def test_a_loose_key_file_is_closed(folder: Path) -> None:
    Keys.open(folder)
    (folder / "kek").chmod(0o644)
    Keys.open(folder)
    assert stat.S_IMODE((folder / "kek").stat().st_mode) == 0o600


@pytest.mark.parametrize("ours", [{"passphrase": "ein gutes Geheimnis"}, {"kek": b"k" * 32}, {}], ids=["passphrase", "given", "file"])
@pytest.mark.parametrize("theirs", [{"passphrase": "ein anderes Geheimnis"}, {"kek": b"x" * 32}, {}], ids=["passphrase", "given", "file"])
def test_another_way_in_is_refused(folder: Path, ours: dict, theirs: dict) -> None:
    keys = Keys.open(folder, **ours)
    assert Keys.open(folder, **ours).key_id == keys.key_id
    if not theirs:
        (folder / "kek").write_text("00" * 32)
    with pytest.raises(Tampered) as told:
        Keys.open(folder, **theirs)
    assert told.value.hint


def test_nothing_secret_lies_open_under_a_passphrase(folder: Path) -> None:
    keys = Keys.open(folder, passphrase="ein gutes Geheimnis")
    assert not (folder / "kek").exists()
    scalar = keys._private.private_numbers().private_value.to_bytes(32, "big")
    for file in folder.iterdir():
        data = file.read_bytes()
        assert scalar not in data and scalar.hex().encode() not in data
        assert keys._ring.wraps[0][1].hex().encode() not in data
    assert "signing=" not in repr(keys._ring) and keys._lock.key.hex() not in repr(keys._lock)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"passphrase": ""}, "at least"), ({"kek": b"short"}, "32 bytes"), ({"passphrase": "long enough", "kek": b"k" * 32}, "not both")],
)
def test_bad_ways_in_are_said(folder: Path, given: dict, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        Keys.open(folder, **given)


@pytest.mark.parametrize("gone", ["kek", "keys.json"])
def test_a_lost_file_is_said_and_never_made_anew(folder: Path, gone: str) -> None:
    Keys.open(folder)
    (folder / gone).unlink()
    with pytest.raises(Tampered, match=r"missing|gone") as told:
        Keys.open(folder)
    assert "recover" in told.value.hint
    assert not (folder / gone).exists()


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"null", b"\xff\xfe", b'{"format": "x"}', b"[" * 100_000])
def test_a_damaged_ring_is_said(folder: Path, data: bytes) -> None:
    Keys.open(folder)
    (folder / "keys.json").write_bytes(data)
    with pytest.raises(Tampered):
        Keys.open(folder)


def test_a_newer_format_is_said(folder: Path) -> None:
    Keys.open(folder)
    text = (folder / "keys.json").read_text().replace('"format": 1', '"format": 2')
    (folder / "keys.json").write_text(text)
    with pytest.raises(Incompatible):
        Keys.open(folder)


def test_any_changed_letter_of_the_ring_is_refused(folder: Path) -> None:
    Keys.open(folder)
    whole = (folder / "keys.json").read_bytes()
    for at in range(0, len(whole), 7):
        if not chr(whole[at]).isalnum():
            continue
        letter = b"a" if whole[at : at + 1] != b"a" else b"b"
        (folder / "keys.json").write_bytes(whole[:at] + letter + whole[at + 1 :])
        with pytest.raises((Tampered, Incompatible)):
            Keys.open(folder)


def test_a_passphrase_file_cannot_ask_for_all_the_memory(folder: Path) -> None:
    Keys.open(folder, passphrase="ein gutes Geheimnis")
    text = (folder / "keys.json").read_text().replace('"n": 32768', '"n": 1073741824')
    (folder / "keys.json").write_text(text)
    with pytest.raises(Tampered):
        Keys.open(folder, passphrase="ein gutes Geheimnis")


def test_signatures_of_others_count_once_trusted(folder: Path, tmp_path: Path) -> None:
    ours, theirs = Keys.open(folder), Keys.open(tmp_path / "theirs")
    signature = theirs.sign(b"payload")
    with pytest.raises(Tampered, match="not trusted"):
        ours.check(theirs.key_id, b"payload", signature)
    assert ours.trust(theirs.public_pem()) == theirs.key_id
    ours.check(theirs.key_id, b"payload", signature)
    again = Keys.open(folder)
    again.check(theirs.key_id, b"payload", signature)
    assert again.trusted == (ours.key_id, theirs.key_id)
    with pytest.raises(Tampered):
        ours.check(ours.key_id, b"payload", signature)
    again.distrust(theirs.key_id)
    with pytest.raises(Tampered, match="not trusted"):
        ours.check(theirs.key_id, b"payload", signature)
    with pytest.raises(NotFound):
        again.distrust(again.key_id)


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", b"x" * 64, bytes(72)])
def test_what_is_no_signature_is_refused(folder: Path, signature: bytes) -> None:
    keys = Keys.open(folder)
    with pytest.raises(Tampered):
        keys.check(keys.key_id, b"payload", signature)


def test_only_p256_public_keys_are_trusted(folder: Path) -> None:
    keys = Keys.open(folder)
    wrong = [pem_of(ec.generate_private_key(ec.SECP384R1())), pem_of(ec.generate_private_key(ec.SECP256K1()))]
    wrong += [pem_of(ed25519.Ed25519PrivateKey.generate()), b"", b"hello", keys.public_pem()[:80]]
    for pem in wrong:
        with pytest.raises(BadValue):
            keys.trust(pem)
    assert keys.trusted == (keys.key_id,)


def test_a_wrapped_key_fits_its_context_only(folder: Path) -> None:
    keys = Keys.open(folder)
    wrapped = keys.wrap(b"d" * 32, b"here")
    for changed in (wrapped[:-1], wrapped[:20], b"", bytes([wrapped[0] ^ 1]) + wrapped[1:], wrapped[:30] + b"\0" + wrapped[31:]):
        with pytest.raises(Tampered):
            keys.unwrap(changed, b"here")
    with pytest.raises(Tampered):
        keys.unwrap(wrapped, b"there")


def test_rotation_changes_the_wrapping_and_refuses_the_old_key(folder: Path, tmp_path: Path) -> None:
    keys = Keys.open(folder)
    shutil.copytree(folder, tmp_path / "old")
    store = {"a": keys.wrap(b"a" * 32, b"a"), "b": keys.wrap(b"b" * 32, b"b")}
    before = dict(store)

    def rewrap(change) -> None:
        for name, wrapped in store.items():
            store[name] = change(wrapped, name.encode())

    keys.rotate(rewrap)
    assert all(store[name] != before[name] for name in store)
    assert Keys.open(folder).unwrap(store["a"], b"a") == b"a" * 32
    assert keys.key_id == Keys.open(folder).key_id
    with pytest.raises(Tampered, match="does not have"):
        keys.unwrap(before["a"], b"a")
    with pytest.raises(Tampered, match="does not have"):
        Keys.open(tmp_path / "old").unwrap(store["a"], b"a")
    shutil.copy(tmp_path / "old" / "kek", folder / "kek")
    with pytest.raises(Tampered):
        Keys.open(folder)


def test_rotation_may_change_the_way_in(folder: Path) -> None:
    keys = Keys.open(folder)
    keys.rotate(lambda change: None, passphrase="ein gutes Geheimnis")
    assert not (folder / "kek").exists()
    with pytest.raises(Tampered):
        Keys.open(folder)
    same = Keys.open(folder, passphrase="ein gutes Geheimnis")
    same.rotate(lambda change: None)
    assert Keys.open(folder, passphrase="ein gutes Geheimnis").key_id == keys.key_id
    same.rotate(lambda change: None, kek=b"k" * 32)
    with pytest.raises(Tampered):
        Keys.open(folder, passphrase="ein gutes Geheimnis")
    assert Keys.open(folder, kek=b"k" * 32).key_id == keys.key_id


def test_a_rotation_elsewhere_is_seen(folder: Path) -> None:
    ours, theirs = Keys.open(folder), Keys.open(folder)
    theirs.rotate(lambda change: None)
    wrapped = theirs.wrap(b"d" * 32, b"c")
    assert ours.unwrap(wrapped, b"c") == b"d" * 32
    assert ours.wrap(b"d" * 32, b"c")[:8] == wrapped[:8]


def test_a_rotation_with_a_new_secret_elsewhere_is_said(folder: Path) -> None:
    ours, theirs = Keys.open(folder, kek=b"a" * 32), Keys.open(folder, kek=b"a" * 32)
    theirs.rotate(lambda change: None, kek=b"b" * 32)
    with pytest.raises(Tampered, match="meanwhile"):
        ours.wrap(b"d" * 32, b"c")


def test_a_cut_rotation_is_carried_on(folder: Path) -> None:
    keys = Keys.open(folder)
    store = {str(number): keys.wrap(bytes([number]) * 32, str(number).encode()) for number in range(4)}

    def cut(change) -> None:
        for name in list(store)[:2]:
            store[name] = change(store[name], name.encode())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keys.rotate(cut)
    again = Keys.open(folder)
    assert [again.unwrap(store[str(number)], str(number).encode()) for number in range(4)] == [bytes([n]) * 32 for n in range(4)]
    with pytest.raises(Busy):
        again.recovery()

    def rest(change) -> None:
        for name in store:
            store[name] = change(store[name], name.encode())

    again.rotate(rest)
    assert [Keys.open(folder).unwrap(store[str(number)], str(number).encode()) for number in range(4)] == [
        bytes([n]) * 32 for n in range(4)
    ]
    again.recovery()


def test_lost_keys_come_back_from_the_sheet(folder: Path) -> None:
    keys = Keys.open(folder)
    wrapped, sheet = keys.wrap(b"d" * 32, b"c"), keys.recovery()
    shutil.rmtree(folder)
    back = Keys.recover(folder, sheet, passphrase="ein gutes Geheimnis")
    assert back.key_id == keys.key_id and back.public_pem() == keys.public_pem()
    assert back.unwrap(wrapped, b"c") == b"d" * 32
    assert Keys.open(folder, passphrase="ein gutes Geheimnis").key_id == keys.key_id


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_lost_way_in_comes_back_from_the_sheet(folder: Path, damage: bytes | None) -> None:
    keys = Keys.open(folder)
    wrapped, sheet = keys.wrap(b"d" * 32, b"c"), keys.recovery()
    if damage is None:
        (folder / "kek").unlink()
    else:
        (folder / "kek").write_bytes(damage)
    with pytest.raises(Tampered):
        Keys.open(folder)
    assert Keys.recover(folder, sheet).unwrap(wrapped, b"c") == b"d" * 32
    assert Keys.open(folder).key_id == keys.key_id
    assert (folder / "keys.json.lost").exists()


def test_an_old_sheet_is_refused(folder: Path) -> None:
    keys = Keys.open(folder)
    old = keys.recovery()
    keys.rotate(lambda change: None)
    with pytest.raises(BadValue, match="older"):
        Keys.recover(folder, old)
    assert Keys.open(folder).key_id == keys.key_id
    assert Keys.recover(folder, keys.recovery()).key_id == keys.key_id


def test_two_processes_that_open_a_new_folder_share_one_key(folder: Path) -> None:
    code = "import sys; from pathlib import Path; from tradewind.vault.keys import Keys; print(Keys.open(Path(sys.argv[1])).key_id)"
    both = [subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=60)[0] for process in both}
    assert len(said) == 1 and said.pop().strip() == Keys.open(folder).key_id
    assert sorted(os.listdir(folder)) == ["guard", "kek", "keys.json"]
