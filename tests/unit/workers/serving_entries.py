"""Entries that the tests run inside children."""

import gc
import json
import os
import sys
import threading
import time
import warnings

from tradewind.core.errors import BadValue, LearnFailed

SAID = []


def prepare(*words):
    SAID.extend(words)


def open_any(parts):
    """Serve one small command per request."""
    held = dict(parts)

    def serve(request):
        word, _, rest = request.partition(b" ")
        return getattr(Commands, word.decode())(held, rest)

    return serve


class Commands:
    def echo(parts, rest):
        return rest

    def part(parts, rest):
        return parts[rest.decode()]

    def words(parts, rest):
        return json.dumps(SAID).encode()

    def environment(parts, rest):
        return json.dumps([dict(os.environ), sys.path, sys.argv]).encode()

    def modules(parts, rest):
        return json.dumps(sorted(sys.modules)).encode()

    def sleep(parts, rest):
        time.sleep(float(rest))
        return b"slept"

    def spin(parts, rest):
        while True:
            pass

    def die(parts, rest):
        os._exit(7)

    def die_talking(parts, rest):
        os.write(2, b"the last words of a worker\n")
        os._exit(7)

    def talk(parts, rest):
        for _ in range(300):
            _loud()
        return b"still here"

    def bad_value(parts, rest):
        raise BadValue("price must be positive", hint="look at it", fields=[{"pointer": "/rows/0/price", "message": "-1"}])

    def fault(parts, rest):
        raise ZeroDivisionError("a fault")

    def much_memory(parts, rest):
        return bytes(3 << 30)

    def late_import(parts, rest):
        import colorsys

        return colorsys.__name__.encode()

    def not_bytes(parts, rest):
        return "text"

    def big(parts, rest):
        return bytes(int(rest))

    def threads(parts, rest):
        ran = []
        several = [threading.Thread(target=lambda: ran.append(1)) for _ in range(4)]
        for one in several:
            one.start()
        for one in several:
            one.join()
        return str(len(ran)).encode()

    def garbage(parts, rest):
        return json.dumps([gc.isenabled(), gc.get_freeze_count(), len(gc.get_objects())]).encode()

    def warn(parts, rest):
        warnings.warn("a warning inside a worker", stacklevel=1)
        return b"warned"

    def lie(parts, rest):
        """Answer a request nobody asked, as a hostile model might."""
        from tradewind.workers.frames import HEAD

        for end in range(3, 4096):  # the pipe has the number that was free where the tests run
            try:
                os.write(end, HEAD.pack(1, 999_999) + b"x")
            except OSError:
                continue
        return b"lied"


def _loud():
    try:
        os.write(2, b"x" * 4096)
    except BlockingIOError:
        return


def open_dead(parts):
    os._exit(3)


def open_bad(parts):
    raise BadValue("not a model", hint="train again")


def open_slow(parts):
    while True:
        time.sleep(1)


def job(parts, progress):
    """Do what part "do" says."""
    return getattr(Jobs, parts["do"].decode())(parts, progress)


class Jobs:
    def double(parts, progress):
        progress("half", 0.5, "half way")
        progress.keep("piece", b"kept")
        progress("whole", 1.0)
        return {"made": parts["data"] * 2}

    def look(parts, progress):
        import tempfile

        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x")
        os.makedirs(os.path.join(os.getcwd(), "deep", "er"))
        said = {"nice": os.nice(0), "folder": os.getcwd(), "environment": dict(os.environ)}
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        said["no_new_privs"] = lines.get("NoNewPrivs", "").strip()
        said["policy"] = os.sched_getscheduler(0)
        if os.path.exists("/proc/self/autogroup"):
            with open("/proc/self/autogroup") as group:
                said["session_nice"] = group.read().split()[-1]
        return {"said": json.dumps(said).encode()}

    def reach_out(parts, progress):
        import socket

        said = {}
        for path in json.loads(parts["reads"]):
            said["read " + path] = _try(lambda path=path: open(path).close())
        for path in json.loads(parts["writes"]):
            said["write " + path] = _try(lambda path=path: open(path, "w").close())
        said["tcp"] = _try(lambda: socket.create_connection(("127.0.0.1", 9), timeout=1))
        return {"said": json.dumps(said).encode()}

    def fail(parts, progress):
        raise LearnFailed("nothing was learned", hint="more rows")

    def fault(parts, progress):
        raise ZeroDivisionError("a fault")

    def die(parts, progress):
        os.write(2, b"the last words of a job\n")
        os.abort()

    def endless(parts, progress):
        while True:
            progress("turning", 0.1)
            time.sleep(0.01)

    def flood(parts, progress):
        eaten = []
        while True:
            for _ in range(200):
                progress("turning", 0.1)
            if "eat" in parts:
                eaten.append(b"x" * (8 << 20))

    def silent(parts, progress):
        while True:
            time.sleep(1)

    def eat(parts, progress):
        eaten = []
        while True:
            eaten.append(b"x" * (8 << 20))
            time.sleep(0.005)

    def family(parts, progress):
        import subprocess

        child = subprocess.Popen(["/bin/sleep", "100"])
        progress("child", 0.5, str(child.pid))
        time.sleep(100)
        return {}

    def not_bytes(parts, progress):
        return {"made": "text"}

    def learn(parts, progress):
        """Train with the real library, two threads."""
        import lightgbm
        import numpy as np

        rng = np.random.default_rng(0)
        rows = rng.normal(size=(20_000, 8))
        target = rows[:, 0] * 3 + rng.normal(size=20_000)
        data = lightgbm.Dataset(rows, target)
        booster = lightgbm.train({"verbosity": -1, "num_threads": 2}, data, 20)
        return {"gain": json.dumps(booster.feature_importance("gain").tolist()).encode()}


def _try(attempt):
    try:
        attempt()
    except ConnectionRefusedError:
        return "allowed"
    except OSError as error:
        return type(error).__name__
    return "allowed"
