"""Law: nothing a hostile model tries leaves its worker, as root and as an unprivileged user, while honest work goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.workers import jail
from tradewind.workers.pool import Pool

HERE = Path(__file__).parent
SOURCE = Path(jail.__file__).parents[2]
NOBODY = jail.NOBODY
sys.path.insert(0, str(HERE))
import jail_probes  # noqa: E402

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the jail is made of parts of Linux")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
FIRST_22 = jail_probes.FIRST_22
EVERY = tuple(jail_probes.probes(""))


@pytest.fixture(scope="module")
def model() -> bytes:
    """Return an ONNX model y = x + 0 with enough rows to use threads."""
    from onnx import TensorProto, helper

    zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 64]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "zero"], ["y"])], "g", ends[:1], ends[1:], [zero])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """Return a file only its owner may read."""
    path = tmp_path / "dotfile"
    path.write_text("secret")
    path.chmod(0o600)
    return str(path)


def script(mode: str, uid: int, secret: str, names: tuple[str, ...], model: bytes) -> dict:
    """Run the probes in a process of its own under a chosen lock, as a chosen user from before the lock on."""
    paths = [str(SOURCE), *(path for path in sys.path if path.endswith("site-packages"))]
    done = subprocess.run(
        [sys.executable, "-B", str(HERE / "jail_probes.py"), mode, str(uid), secret, *names],
        input=model,
        capture_output=True,
        env={"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def allowed(answer: dict) -> set[str]:
    return {name for name, outcome in answer["said"].items() if outcome == "allowed"}


def test_there_are_22() -> None:
    assert len(set(FIRST_22)) == 22


def test_the_probes_can_succeed(secret: str, model: bytes) -> None:
    """Without a lock most of them go through: a test of the jail that could not fail would say nothing."""
    answer = script("open", os.getuid(), secret, FIRST_22, model)
    assert len(allowed(answer)) >= 15, answer["said"]


@pytest.mark.parametrize("uid", [pytest.param(0, marks=root_only, id="root"), pytest.param(NOBODY, id="unprivileged")])
def test_the_full_jail_blocks_everything(uid: int, secret: str, model: bytes) -> None:
    answer = script("full", uid, secret, EVERY, model)
    assert allowed(answer) == set()
    assert len(answer["said"]) == len(EVERY)
    assert answer["difference"] == 0
    assert answer["uid"] == (uid if os.getuid() == 0 else os.getuid())
    assert answer["report"]["level"] == "full", answer["report"]["why"]
    assert answer["report"]["landlock_abi"] >= 1


@pytest.mark.parametrize("uid", [pytest.param(0, marks=root_only, id="root"), pytest.param(NOBODY, id="unprivileged")])
def test_the_filter_alone_blocks_everything(uid: int, secret: str, model: bytes) -> None:
    """So that a kernel without Landlock is still safe once the model is there."""
    answer = script("seccomp", uid, secret, EVERY, model)
    assert allowed(answer) == set()
    assert answer["difference"] == 0


def test_landlock_alone_blocks_files_and_tcp(secret: str, model: bytes) -> None:
    answer = script("landlock", os.getuid(), secret, FIRST_22, model)
    blocked = set(FIRST_22) - allowed(answer)
    assert {"read /etc/passwd", "read a private file", "read a program", "write a file", "list /", "run a program"} <= blocked
    assert "udp send" in allowed(answer)  # what the filter is for
    if answer["report"]["landlock_abi"] >= 4:
        assert {"tcp connect", "tcp listen"} <= blocked


def test_a_worker_blocks_everything(secret: str, model: bytes) -> None:
    """The same inside a worker as it serves; a worker of root has become nobody."""
    with Pool(spare=False) as pool:
        pool.hold("hostile", "jail_probes:open_server", lambda: {"model": model})
        answer = json.loads(pool.call("hostile", json.dumps({"names": EVERY, "secret": secret}).encode()))
        report = pool.held()["hostile"].isolation
    assert allowed(answer) == set()
    assert answer["difference"] == 0
    assert report["level"] == "full", report["why"]
    assert report["uid"] != 0
    assert all(report["probes"].values())


AS_NOBODY = """
set -e
hidden=$1 base=$2 keep=$3; shift 3
if [ -n "$hidden" ]; then
  mount --make-rprivate /
  mount --bind "$base" "$keep"
  mount -t tmpfs -o mode=755 none "$hidden"
  mkdir -p "$base"
  mount --bind "$keep" "$base"
fi
exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"
"""

ORDINARY = """
import json, os, sys
from tradewind.workers.pool import Pool
with Pool(require_isolation=True) as pool:
    pool.hold("hostile", "jail_probes:open_server", lambda: {"model": sys.stdin.buffer.read()})
    asked = json.dumps({"names": sys.argv[2:], "secret": sys.argv[1]}).encode()
    said = json.loads(pool.call("hostile", asked))
    print(json.dumps(said | {"uid": os.getuid(), "report": pool.held()["hostile"].isolation}))
"""


@root_only
def test_a_pool_of_an_ordinary_user_blocks_everything(secret: str, model: bytes, tmp_path: Path) -> None:
    """The parent itself has no rights here. An interpreter under a private home is shown to it in a mount namespace of its own."""
    base = Path(sys.base_prefix)
    hidden = next((str(place) for place in reversed([base, *base.parents]) if not place.stat().st_mode & 0o001), "")
    paths = [str(SOURCE), str(HERE), *(path for path in sys.path if path.endswith("site-packages"))]
    if hidden and any(path.startswith(hidden + "/") for path in paths):
        pytest.skip("the source lies where no other user may look")
    keep = tmp_path / "keep"
    keep.mkdir()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", AS_NOBODY, "sh", hidden, str(base), str(keep), sys.executable, "-B", "-c", ORDINARY, secret, *EVERY],
        input=model,
        capture_output=True,
        env={"PYTHONPATH": os.pathsep.join(paths), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
        timeout=120,
        check=False,
    )
    if b"unshare failed" in done.stderr:
        pytest.skip("no mount namespace may be made here")
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answer = json.loads(done.stdout)
    assert answer["uid"] == NOBODY
    assert answer["report"]["uid"] == NOBODY
    assert allowed(answer) == set()
    assert answer["difference"] == 0
