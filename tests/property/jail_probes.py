"""What a hostile model would try: 22 probes and a few more. Run inside a worker as an entry, or as a script under a chosen lock.

Each probe is harmless where it succeeds. `python jail_probes.py MODE UID SECRET PROBE...` with MODE open, landlock, seccomp or full;
the ONNX model comes on stdin, the outcome goes to stdout as JSON.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import struct
import subprocess
import sys
import threading

NR = {
    "x86_64": {
        "io_uring": 425,
        "ptrace": 101,
        "unshare": 272,
        "memfd": 319,
        "bpf": 321,
        "vm_readv": 310,
        "setaffinity": 203,
        "userfaultfd": 323,
    },
    "aarch64": {
        "io_uring": 425,
        "ptrace": 117,
        "unshare": 97,
        "memfd": 279,
        "bpf": 280,
        "vm_readv": 270,
        "setaffinity": 122,
        "userfaultfd": 282,
    },
}[os.uname().machine]
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
PARENT = os.getppid()


def _call(name, *arguments):
    result = LIBC.syscall(NR[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def _read(path):
    with open(path, "rb") as file:
        return file.read(5)


def _write():
    path = f"/tmp/jail-probe-{os.getpid()}"
    with open(path, "w") as file:
        file.write("x")
    os.unlink(path)


def _tcp_connect():
    with socket.socket() as one:
        one.settimeout(1)
        try:
            one.connect(("127.0.0.1", 9))
        except ConnectionRefusedError:
            return


def _tcp_listen():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()


def _udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("127.0.0.1", 9))


def _abstract():
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"\0jail-probe-{os.getpid()}")


def _fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _reserve(flags):
    with mmap.mmap(-1, 3 << 30, flags=flags) as much:
        for at in range(0, 64 << 20, 4096):  # touch a little: the reservation is what is limited
            much[at] = 1


def _more_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))


def _sigio_to_parent():
    import fcntl

    reads, writes = os.pipe()
    try:
        fcntl.fcntl(reads, fcntl.F_SETOWN, PARENT)
    finally:
        os.close(reads)
        os.close(writes)


def _affinity_of_parent():
    mask = ctypes.create_string_buffer(struct.pack("Q", (1 << (os.cpu_count() or 1)) - 1))
    _call("setaffinity", PARENT, 8, mask)


def probes(secret):
    """Return name -> attempt. The first 22 are the matrix of the research, the rest were added when the filter was written."""
    return {
        "read /etc/passwd": lambda: _read("/etc/passwd"),
        "read a private file": lambda: _read(secret),
        "read /proc/1/environ": lambda: _read("/proc/1/environ"),
        "read a program": lambda: _read("/usr/bin/env"),
        "write a file": _write,
        "list /": lambda: os.listdir("/"),
        "tcp connect": _tcp_connect,
        "udp send": _udp,
        "abstract unix socket": _abstract,
        "tcp listen": _tcp_listen,
        "run a program": lambda: subprocess.run(["/usr/bin/env"], capture_output=True, check=True),
        "fork": _fork,
        "signal the parent": lambda: os.kill(PARENT, 0),
        "io_uring": lambda: os.close(_call("io_uring", 8, ctypes.create_string_buffer(120))),
        "unshare": lambda: _call("unshare", 0x10000000),
        "memfd": lambda: os.close(_call("memfd", b"x", 0)),
        "bpf": lambda: _call("bpf", 0, ctypes.create_string_buffer(128), 128),
        "read the parent's memory": lambda: _call("vm_readv", PARENT, 0, 0, 0, 0, 0),
        "executable memory": lambda: mmap.mmap(-1, 4096, prot=7).close(),
        "3 GB of memory": lambda: _reserve(mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
        "raise a limit": _more_files,
        "ptrace": lambda: _call("ptrace", 0, 0, 0, 0),  # last: in the open it makes the parent a tracer
        "3 GB of shared memory": lambda: _reserve(mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
        "SIGIO to the parent": _sigio_to_parent,
        "pin the parent": _affinity_of_parent,
        "userfaultfd": lambda: os.close(_call("userfaultfd", 1)),
        "import from disk": lambda: __import__("colorsys"),
    }


FIRST_22 = tuple(probes(""))[:22]


def attempt(names, secret):
    """Try each probe; return name -> "allowed" or how it was refused."""
    said = {}
    for name in names:
        try:
            probes(secret)[name]()
        except MemoryError:
            said[name] = "MemoryError"
        except (OSError, ImportError, ValueError) as error:
            said[name] = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        else:
            said[name] = "allowed"
    return said


def still_works(model):
    """Load and run an ONNX model with two threads, and start a thread of our own; return the model's answer."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    ran = []
    thread = threading.Thread(target=lambda: ran.append(1))
    thread.start()
    thread.join()
    assert ran == [1]
    asked = np.arange(256 * 64, dtype="f4").reshape(256, 64)
    return float(session.run(None, {"x": asked})[0].sum() - asked.sum())


def prepare(*words):
    """Import what the server needs before the lock."""
    import numpy
    import onnxruntime

    assert numpy and onnxruntime


def open_server(parts):
    """Serve probes: the request is {"names": [...], "secret": path}."""
    model = parts["model"]

    def serve(request):
        asked = json.loads(request)
        return json.dumps({"difference": still_works(model), "said": attempt(asked["names"], asked["secret"])}).encode()

    return serve


def _script(mode, uid, secret, *names):
    from tradewind.workers import jail

    model = sys.stdin.buffer.read()
    prepare()
    with open("/proc/self/task/self/status" if os.path.exists("/proc/self/task/self") else "/proc/self/status") as status:
        threads = int(next(line for line in status if line.startswith("Threads:")).split()[1])
    assert threads == 1, "Landlock would cover one thread only"
    if int(uid) and os.getuid() == 0:
        os.setgroups([])
        os.setresgid(int(uid), int(uid), int(uid))
        os.setresuid(int(uid), int(uid), int(uid))
    report = {"landlock_abi": 0, "no_new_privs": False, "rlimits": False, "seccomp": False, "why": []}
    if mode in ("landlock", "full"):
        report = jail.enter([*sys.path, *jail.LIBRARIES, *jail.MACHINE_FACTS])
    elif mode == "seccomp":
        jail._prctl(38, 1)
    if mode == "full":
        report = jail.lock(report, memory_mb=2048, cpu_s=60, drop=False)
    elif mode == "seccomp":
        jail.limit(memory_mb=2048, cpu_s=60, files=32, file_bytes=0)
        jail._filter()
    answer = {"uid": os.getuid(), "report": report, "difference": still_works(model), "said": attempt(names, secret)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _script(*sys.argv[1:])
