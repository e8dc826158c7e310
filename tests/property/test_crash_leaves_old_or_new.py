"""Law: a process that dies at any write step leaves the old state or the new one, and whoever opens next can go on."""

import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = '''
import os, shutil, sys
from pathlib import Path
from tradewind.vault.blobs import Blobs
from tradewind.vault import ring
from tradewind.vault.keys import Keys

ring.SCRYPT["n"] = 1 << 10  # this is about steps, not about cost
template, work, scenario = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
A, B = b"before" * 50, b"after" * 70

def opened(root):
    keys = Keys.open(root / "keys")
    return keys, Blobs(root / "blobs", keys)

def dying(step):
    """Let the process die at its step-th write; a write is torn in the middle."""
    left = [step]
    def guard(name, torn=False):
        true = getattr(os, name)
        def call(*words, **more):
            left[0] -= 1
            if left[0] == 0:
                if torn:
                    true(words[0], bytes(words[1])[: len(words[1]) // 2])
                os._exit(9)
            return true(*words, **more)
        setattr(os, name, call)
    for name in ("fsync", "replace", "link", "unlink", "mkdir", "rename", "open"):
        guard(name)
    guard("write", torn=True)

def act(root):
    if scenario == "first":
        Keys.open(root / "keys")
    else:
        keys, blobs = opened(root)
        {
            "put": lambda: blobs.put(B),
            "drop": lambda: blobs.drop(blobs.digests()[0]),
            "rotate": lambda: blobs.rotate(),
            "passphrase": lambda: blobs.rotate(passphrase="ein gutes Geheimnis"),
            "trust": lambda: keys.trust(PEM),
        }[scenario]()

def judge(root):
    """Check the state a dead process left; return whether it is the new one."""
    try:
        keys, blobs = opened(root)
    except Exception:
        if scenario != "passphrase":
            raise
        keys = Keys.open(root / "keys", passphrase="ein gutes Geheimnis")
        blobs = Blobs(root / "blobs", keys)
        assert not (root / "keys" / "kek").exists()
    left = [path for path in root.rglob(".tmp-*")]
    assert not left, left
    names = blobs.digests()
    for name in names:
        blobs.get(name)
    if scenario == "first":
        new = True
    elif scenario == "put":
        new = len(names) == 3
        assert new or len(names) == 2
        assert blobs.get(blobs.put(B)) == B
    elif scenario == "drop":
        new = len(names) == 1
        assert new or len(names) == 2
        blobs.drop(DOOMED)
        assert not blobs.has(DOOMED) and blobs.digests() == [name for name in KEPT if name != DOOMED]
    elif scenario == "trust":
        new = len(keys.trusted) == 2
        assert keys.trust(PEM) in keys.trusted
    else:
        assert len(names) == 2
        new = keys._ring.wraps[0][0] != WRAP and len(keys._ring.wraps) == 1
        blobs.rotate()
        assert len(keys._ring.wraps) == 1 and keys._ring.wraps[0][0] != WRAP
        keys.recovery()
        for name in names:
            blobs.get(name)
    blobs.verify()
    return new

PEM = Keys.open(work / "other").public_pem()
if scenario != "first":
    keys, blobs = opened(template)
    blobs.put(A), blobs.put(A * 2)
    WRAP, KEPT = keys._ring.wraps[0][0], blobs.digests()
    DOOMED = KEPT[0]
else:
    template.mkdir()

step, news = 0, []
while True:
    step += 1
    root = work / str(step)
    shutil.copytree(template, root)
    child = os.fork()
    if child == 0:
        try:
            dying(step)
            act(root)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), code
    news.append(judge(root))
    shutil.rmtree(root)
    if code == 0:
        break
print(step - 1, sum(news), news[0], news[-1])
'''


@pytest.mark.parametrize(
    ("scenario", "at_least"), [("first", 15), ("put", 15), ("drop", 5), ("rotate", 25), ("passphrase", 25), ("trust", 8)]
)
def test_every_write_step(tmp_path: Path, scenario: str, at_least: int) -> None:
    words = [sys.executable, "-c", RUNNER, str(tmp_path / "template"), str(tmp_path / "work"), scenario]
    (tmp_path / "work").mkdir()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps, news, first, last = done.stdout.split()
    assert int(steps) >= at_least, "fewer deaths than write steps: the faults were not injected"
    assert last == "True"
    if scenario != "first":
        assert first == "False" and 1 <= int(news) <= int(steps)
