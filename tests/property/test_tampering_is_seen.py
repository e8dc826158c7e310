"""Law: no byte and no file of what is sealed can be changed, added, removed, renamed or swapped unseen. 10,000 cases, counted."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tradewind.core.bundle import join, split
from tradewind.core.errors import Tampered
from tradewind.core.model import Goal, Model, Trained
from tradewind.core.schema import Schema
from tradewind.core.table import Table
from tradewind.registry import artifact
from tradewind.vault.blobs import Blobs
from tradewind.vault.keys import Keys

PACKED, FOLDER, STORE = 5000, 2500, 2500
MODEL = Model("demand", "?", "forecast", "demand_forecasting", (), Schema(()), Schema(()), Schema(()), Goal("wape"), ("naive",))
BOARD = Table.from_columns({"recipe": np.array(["naive"], object), "wape": np.array([0.2])})
PARTS = {
    "trees.json": b'{"leaf":[1,2,3]}',
    "bands.json": b'{"leaf":[1,2,4]}',
    "columns": Table.from_columns({"x": np.arange(3)}).to_bytes(),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.open(tmp_path_factory.mktemp("keys") / "keys")


def packed(keys: Keys, version: int) -> bytes:
    trained = Trained("naive", {}, PARTS, BOARD, {"wape": 0.2})
    made = artifact.make(MODEL, trained, version=version, data={}, made={"by": "ann"})
    return artifact.pack(made, keys, file=MODEL.file, card=f"# Demand {version}\n")


def changed(data: bytes, dice: random.Random) -> bytes:
    """Return other bytes: a bit, a byte, a cut, an addition, a doubled or a moved piece."""
    made = data
    while made == data:
        made = once_changed(data, *sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1))), dice)
    return made


def once_changed(data: bytes, at: int, to: int, dice: random.Random) -> bytes:
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :] if at < len(data) else data,
        lambda: data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :],
        lambda: data[:at],
        lambda: data[:at] + data[to:],
        lambda: data[:at] + dice.randbytes(dice.randint(1, 9)) + data[at:],
        lambda: data[:to] + data[at:],
        lambda: data[at:] + data[:at],
        lambda: data[:at] + b" " + data[at:],
    )
    return dice.choice(ways)()


def disturbed(files: dict[str, bytes], others: dict[str, bytes], dice: random.Random) -> tuple[str, dict[str, bytes]]:
    """Return what was done, and other files than those given: `others` are those of a version signed by the same key."""
    while True:
        made = dict(files)
        one, two = dice.sample(sorted(files), 2)
        what = dice.choice(("changed", "added", "removed", "renamed", "swapped", "from another", "ours as theirs"))
        if what == "changed":
            made[one] = changed(files[one], dice)
        elif what == "added":
            made[dice.choice(("more.json", "zz", f"x{dice.randrange(1000)}.onnx", "card.md.bak"))] = dice.choice((b"", b"{}", files[one]))
        elif what == "removed":
            del made[one]
        elif what == "renamed":
            made[dice.choice(("more.json", "a", one + "x", one[1:], "x" + one))] = made.pop(one)
        elif what == "swapped":
            made[one], made[two] = made[two], made[one]
        elif what == "from another":
            made[one] = others[one]
        else:
            made = {name: others[name] if name != one else data for name, data in files.items()}
        if made not in (files, others):
            return what, made


def refuse(use: Callable[[], object], what: object) -> None:
    try:
        use()
    except Tampered:
        return
    pytest.fail(f"went unseen: {what}")


def test_packed_versions(keys: Keys) -> None:
    dice, done = random.Random(1), Counter[str]()
    whole, other = packed(keys, 7), split(packed(keys, 8))
    assert artifact.unpack(whole, keys).version == 7
    for number in range(PACKED):
        if number % 2:
            what, files = disturbed(split(whole), other, dice)
            data = join(files)
        else:
            what, data = "bytes", changed(whole, dice)
        refuse(lambda data=data: artifact.unpack(data, keys), (what, number))
        done[what] += 1
    assert done.total() == PACKED and min(done.values()) > 100 and len(done) == 8


def test_every_single_byte_of_a_signature(keys: Keys) -> None:
    files = split(packed(keys, 7))
    bundle = files["model.sig"]
    for at in range(len(bundle)):
        for flip in (1, 4, 32):
            files["model.sig"] = bundle[:at] + bytes([bundle[at] ^ flip]) + bundle[at + 1 :]
            refuse(lambda: artifact.unpack(join(files), keys), (at, flip))


def test_exported_folders(keys: Keys, tmp_path: Path) -> None:
    dice, done = random.Random(2), Counter[str]()
    folder = tmp_path / "v7"
    artifact.export(packed(keys, 7), folder)
    whole, other = split(artifact.collect(folder)), split(packed(keys, 8))
    for number in range(FOLDER):
        what, files = disturbed(whole, other, dice)
        place(folder, whole, files)
        refuse(lambda: artifact.unpack(artifact.collect(folder), keys), (what, number))
        place(folder, files, whole)
        done[what] += 1
    assert done.total() == FOLDER and min(done.values()) > 100 and len(done) == 7
    assert artifact.unpack(artifact.collect(folder), keys).version == 7


def place(folder: Path, now: dict[str, bytes], then: dict[str, bytes]) -> None:
    for name in now.keys() - then.keys():
        (folder / name).unlink()
    for name, data in then.items():
        if now.get(name) != data:
            (folder / name).write_bytes(data)


def test_sealed_blobs(keys: Keys, tmp_path: Path) -> None:
    dice, done = random.Random(3), Counter[str]()
    root = tmp_path / "blobs"
    blobs = Blobs(root, keys)
    names = [blobs.put(b"%d" % number * dice.randint(0, 50)) for number in range(4)]
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}
    assert len(files) == 2 * len(set(names)) and blobs.verify() == len(set(names))
    while (number := done.total()) < STORE:
        what = dice.choice(("changed", "added", "removed", "renamed", "swapped", "both swapped"))
        made = dict(files)
        one, two = dice.sample(sorted(files), 2)
        if what == "changed":
            made[one] = changed(files[one], dice)
        elif what == "added":
            made[dice.choice((one + "x", one[:3] + "notes.txt", f"{one[:3]}{'0' * 64}.blob", f"zz{one[2:]}"))] = files[two]
        elif what == "removed":
            del made[one]
        elif what == "renamed":
            made[one[:3] + "0" * 64 + one[-5:]] = made.pop(one)
        elif what == "swapped":
            made[one], made[two] = made[two], made[one]
        else:
            first, second = (name.partition(".")[0] for name in (one, two))
            for end in (".blob", ".key"):
                made[first + end], made[second + end] = files[second + end], files[first + end]
        if made == files:
            continue
        store(root, files, made)
        asked = {path.partition("/")[2].partition(".")[0] for path in files if made.get(path) != files[path]}
        refuse(lambda asked=asked: [blobs.get(name) for name in sorted(asked)] if asked else blobs.verify(), (what, number))
        store(root, made, files)
        done[what] += 1
    assert done.total() == STORE and min(done.values()) > 100 and len(done) == 6
    assert blobs.verify() == len(set(names))


def store(root: Path, now: dict[str, bytes], then: dict[str, bytes]) -> None:
    for name in now.keys() - then.keys():
        (root / name).unlink()
        if not any((root / name).parent.iterdir()):
            shutil.rmtree((root / name).parent)
    for name, data in then.items():
        if now.get(name) != data:
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(data)
