import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tradewind.core.errors import BadValue, Tampered
from tradewind.vault import seal
from tradewind.vault.keys import Keys

KEY = b"k" * 32
FILES = {"demand_forecasting.json": b'{"version":1}', "trees.onnx": bytes(range(256)), "card.md": "für Händler\n".encode()}
CLAIMS = {"model": "demand", "version": 7}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.open(tmp_path_factory.mktemp("keys") / "keys")


def openssf(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "model_signing", *map(str, words)], capture_output=True, text=True)


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def test_canonical_json_has_one_spelling() -> None:
    assert seal.canonical({"b": [1, 2.5, None, True], "a": "é\n"}) == '{"a":"é\\n","b":[1,2.5,null,true]}'.encode()
    for bad in (float("nan"), float("inf"), {1, 2}, b"bytes", {"a": object()}, "\ud800", {1: 1, "a": 2}):
        with pytest.raises(BadValue):
            seal.canonical(bad)


@pytest.mark.parametrize("size", [0, 1, 100, seal.CHUNK - 1, seal.CHUNK, seal.CHUNK + 1, 3 * seal.CHUNK])
def test_encryption_gives_the_bytes_back_and_hides_them(size: int) -> None:
    data = (b"tradewind" * (size // 9 + 1))[:size]
    sealed = seal.encrypt(data, KEY, b"context")
    assert seal.decrypt(sealed, KEY, b"context") == data
    assert len(sealed) == size + 11 + 16 * max(1, -(-size // seal.CHUNK))
    assert b"tradewindtradewind" not in sealed
    assert seal.encrypt(data, KEY, b"context") != sealed


def test_chunks_cannot_be_moved_cut_doubled_or_taken_elsewhere() -> None:
    data = bytes(2 * seal.CHUNK) + b"end"
    sealed = seal.encrypt(data, KEY, b"context")
    head, size = 11, seal.CHUNK + 16
    one, two, three = sealed[head : head + size], sealed[head + size : head + 2 * size], sealed[head + 2 * size :]
    other = seal.encrypt(data, KEY, b"context")
    for wrong in (
        sealed[:head] + two + one + three,
        sealed[:head] + one + two,
        sealed[:head] + one + three,
        sealed[:head] + one + one + two + three,
        sealed + three,
        sealed[:head] + other[head : head + size] + two + three,
        sealed[: head + 15],
        sealed[:head],
        b"",
        b"TWE2" + sealed[4:],
        sealed[:-1],
        sealed + b"\0",
    ):
        with pytest.raises(Tampered):
            seal.decrypt(wrong, KEY, b"context")
    with pytest.raises(Tampered):
        seal.decrypt(sealed, KEY, b"other")
    with pytest.raises(Tampered):
        seal.decrypt(sealed, b"x" * 32, b"context")


def test_signed_files_give_their_claims(keys: Keys) -> None:
    bundle = seal.sign_files(FILES, keys, name="demand_forecasting", claims=CLAIMS)
    assert seal.verify_files(FILES, bundle, keys) == {**CLAIMS, "name": "demand_forecasting", "key_id": keys.key_id}


@pytest.mark.parametrize(
    "wrong",
    [
        {**FILES, "more.json": b"{}"},
        {name: data for name, data in FILES.items() if name != "card.md"},
        {**FILES, "card.md": b"for traders\n"},
        {**FILES, "card.md": FILES["trees.onnx"], "trees.onnx": FILES["card.md"]},
        {("Card.md" if name == "card.md" else name): data for name, data in FILES.items()},
        {**FILES, "model.sig": b""},
        {},
    ],
    ids=["added", "removed", "changed", "swapped", "renamed", "a second signature file", "nothing"],
)
def test_other_files_are_refused(keys: Keys, wrong: dict[str, bytes]) -> None:
    bundle = seal.sign_files(FILES, keys, name="demand", claims=CLAIMS)
    with pytest.raises(Tampered):
        seal.verify_files(wrong, bundle, keys)


def envelope(change: Any, keys: Keys) -> bytes:
    said = json.loads(seal.sign_files(FILES, keys, name="demand", claims=CLAIMS))
    change(said)
    return seal.canonical(said)


def resigned(keys: Keys, change: Any, *, payload_type: str = seal.PAYLOAD, version: bytes = b"DSSEv1") -> bytes:
    """Return a bundle whose statement was changed and signed again by the right key, over the PAE asked for."""
    said = json.loads(seal.sign_files(FILES, keys, name="demand", claims=CLAIMS))
    statement = json.loads(base64.b64decode(said["dsseEnvelope"]["payload"]))
    change(statement)
    payload = seal.canonical(statement)
    pae = b"%s %d %s %d %s" % (version, len(payload_type), payload_type.encode(), len(payload), payload)
    said["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    said["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(keys.sign(pae)).decode()
    return seal.canonical(said)


def envelopes() -> dict[str, Any]:
    def put(*path: Any, value: Any) -> Any:
        def change(said: Any) -> None:
            for step in path[:-1]:
                said = said[step]
            said[path[-1]] = value

        return change

    def double(said: Any) -> None:
        said["dsseEnvelope"]["signatures"] *= 2

    return {
        "payload type": put("dsseEnvelope", "payloadType", value="application/vnd.in-toto+jso"),
        "media type": put("mediaType", value="application/vnd.dev.sigstore.bundle.v0.2+json"),
        "two signatures": double,
        "no signature": put("dsseEnvelope", "signatures", value=[]),
        "empty signature": put("dsseEnvelope", "signatures", 0, "sig", value=""),
        "signature of nothing": put("dsseEnvelope", "signatures", 0, "sig", value="MAA="),
        "unknown key": put("verificationMaterial", "publicKey", "hint", value="0" * 64),
        "no key": put("verificationMaterial", value={}),
        "an algorithm of its own": put("dsseEnvelope", "signatures", 0, "alg", value="none"),
        "another field": put("more", value=1),
        "a certificate instead": put("verificationMaterial", value={"certificate": {"rawBytes": "AAAA"}}),
        "payload no base64": put("dsseEnvelope", "payload", value="*"),
        "payload a list": put("dsseEnvelope", "payload", value=[]),
        "payload missing": lambda said: said["dsseEnvelope"].pop("payload"),
    }


@pytest.mark.parametrize("name", list(envelopes()))
def test_a_changed_envelope_is_refused(keys: Keys, name: str) -> None:
    with pytest.raises(Tampered):
        seal.verify_files(FILES, envelope(envelopes()[name], keys), keys)


def test_the_resigning_of_these_tests_is_right(keys: Keys) -> None:
    assert seal.verify_files(FILES, resigned(keys, lambda said: None), keys)["version"] == 7


@pytest.mark.parametrize("how", [{"payload_type": "text/plain"}, {"version": b"DSSEV1"}, {"version": b"DSSEv2"}, {"payload_type": ""}])
def test_another_pre_authentication_encoding_is_refused(keys: Keys, how: dict[str, Any]) -> None:
    with pytest.raises(Tampered):
        seal.verify_files(FILES, resigned(keys, lambda said: None, **how), keys)


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said.update(predicateType="https://model_signing/Digests/v0.1"),
        lambda said: said.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda said: said["predicate"]["serialization"].update(method="shards"),
        lambda said: said["predicate"]["serialization"].update(hash_type="blake2b"),
        lambda said: said["predicate"]["resources"][0].update(algorithm="md5"),
        lambda said: said["predicate"]["resources"].append(said["predicate"]["resources"][0]),
        lambda said: said["subject"].append(said["subject"][0]),
        lambda said: said["subject"][0]["digest"].update(sha256="0" * 64),
        lambda said: said["predicate"].pop("resources"),
        lambda said: said["predicate"].update(tradewind=3),
    ],
)
def test_a_statement_of_another_kind_is_refused_though_signed(keys: Keys, change: Any) -> None:
    with pytest.raises(Tampered):
        seal.verify_files(FILES, resigned(keys, change), keys)


@pytest.mark.parametrize("bundle", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}', bytes(1 << 25)])
def test_what_is_no_bundle_is_refused(keys: Keys, bundle: bytes) -> None:
    with pytest.raises(Tampered):
        seal.verify_files(FILES, bundle, keys)


def test_a_key_of_another_curve_is_refused_whatever_the_envelope_says(keys: Keys) -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    said = json.loads(seal.sign_files(FILES, keys, name="demand", claims=CLAIMS))
    payload = base64.b64decode(said["dsseEnvelope"]["payload"])
    signature = other.sign(b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload), ec.ECDSA(hashes.SHA384()))
    said["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    with pytest.raises(Tampered):
        seal.verify_files(FILES, seal.canonical(said), keys)


def test_the_openssf_verifier_accepts_ours_and_refuses_a_change(keys: Keys, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "export", FILES | {"model.sig": seal.sign_files(FILES, keys, name="export", claims=CLAIMS)})
    (tmp_path / "pub.pem").write_bytes(keys.public_pem())
    words = ("verify", "key", folder, "--signature", folder / "model.sig", "--public_key", tmp_path / "pub.pem")
    done = openssf(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "card.md").write_bytes(b"for others\n")
    assert openssf(*words).returncode != 0
    (folder / "card.md").write_bytes(FILES["card.md"])
    (folder / "more.json").write_bytes(b"{}")
    assert openssf(*words).returncode != 0


def test_we_accept_what_the_openssf_signer_signed_and_refuse_a_change(tmp_path: Path) -> None:
    keys = Keys.open(tmp_path / "keys")
    private = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(private.private_bytes(*pkcs8))
    public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    folder = folder_of(tmp_path / "theirs", FILES)
    done = openssf("sign", "key", folder, "--signature", folder / "model.sig", "--private_key", tmp_path / "key.pem")
    assert done.returncode == 0, done.stdout + done.stderr
    bundle = (folder / "model.sig").read_bytes()
    with pytest.raises(Tampered, match="not trusted"):
        seal.verify_files(FILES, bundle, keys)
    key_id = keys.trust(public)
    assert seal.verify_files(FILES, bundle, keys) == {"name": "theirs", "key_id": key_id}
    for wrong in ({**FILES, "card.md": b"x"}, {**FILES, ".gitignore": b"*"}, {"card.md": FILES["card.md"]}):
        with pytest.raises(Tampered):
            seal.verify_files(wrong, bundle, keys)
