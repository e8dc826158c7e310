"""The main of a serving worker: import, lock, open the model, then one request in and one reply out until the parent goes."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import sys
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from tradewind.core.errors import TooBig, TradewindError, Unexpected
from tradewind.workers import jail
from tradewind.workers.frames import ERROR, MAX_REPLY, NUMBER, Channel

ECHO = "tradewind.workers.child:open_echo"
"""An entry that answers what it is asked: to look at the jail of a machine and to measure the way there and back."""

Server = Callable[[bytes], bytes]


def open_echo(parts: Mapping[str, bytes]) -> Server:
    """Return a server that gives every request back."""
    return bytes


def main(config: Mapping[str, Any]) -> None:
    """Run a worker. `config`: entry, roots, reads and writes (inherited pipes), memory_mb, cpu_s, drop."""
    gc.disable()  # what is imported stays: collections on the way walk it a dozen times and find next to nothing
    channel = Channel(config["reads"], config["writes"], deadlines=False)
    library = [path for path in sys.path if path not in config["roots"]]
    report = jail.enter([*library, *config["roots"], *jail.LIBRARIES, *jail.MACHINE_FACTS])
    tag = 0
    try:
        serve = _open(channel, config, report)
        while True:
            tag, request = channel.receive()
            _answer(channel, tag, serve, request)
    except EOFError:
        os._exit(0)
    except BaseException as error:
        channel.send(ERROR | tag & NUMBER, told(error))
        raise


def load_entry(entry: str) -> tuple[ModuleType, Callable[..., Any]]:
    """Import the entry's module and return it with its function."""
    name, _, function = entry.partition(":")
    module = importlib.import_module(name)
    return module, getattr(module, function)


def told(error: BaseException) -> bytes:
    """Write an error for the parent: ours as they are, others as a fault of ours with the place it came from."""
    if isinstance(error, TradewindError):
        return json.dumps(error.as_dict()).encode()
    if isinstance(error, MemoryError):
        said: TradewindError = TooBig("the work needs more memory than its process may use", hint="ask for fewer rows, or raise memory_mb")
    else:
        hint = f"raised in {_place(error)}"
        if isinstance(error, ImportError):
            hint += "; a jailed worker opens nothing after its lock, so import it in the entry module or in its prepare()"
        said = Unexpected(f"{type(error).__name__}: {error}"[:2000], hint=hint)
    return json.dumps(said.as_dict()).encode()


def watch_parent(reads: int) -> None:
    """End this process at once when the other end of the pipe closes, even while it works on a request."""
    poll = select.poll()
    poll.register(reads, 0)  # hang-up is always reported

    def wait() -> None:
        poll.poll()
        os._exit(0)

    threading.Thread(target=wait, name="watch-parent", daemon=True).start()


def _open(channel: Channel, config: Mapping[str, Any], report: jail.Report) -> Server:
    from tradewind.core import bundle

    module, function = load_entry(config["entry"])
    _, words = channel.receive()
    prepare = getattr(module, "prepare", None)
    if prepare is not None:
        prepare(*json.loads(words))
    gc.freeze()
    watch_parent(channel.reads)
    report = jail.lock(report, memory_mb=config["memory_mb"], cpu_s=config["cpu_s"], drop=config["drop"])
    channel.send(0, json.dumps(report).encode())
    tag, parts = channel.receive()
    serve: Server = function(bundle.split(parts))
    del parts
    gc.collect()
    gc.freeze()  # what the model holds is never garbage: no collection walks it again
    gc.enable()
    channel.send(tag, b"")
    return serve


def _answer(channel: Channel, tag: int, serve: Server, request: bytes) -> None:
    try:
        reply = serve(request)
        if not isinstance(reply, bytes):
            raise TypeError(f"the entry answered {type(reply).__name__} instead of bytes")
        if len(reply) > MAX_REPLY:
            raise TooBig(f"the answer has more than {MAX_REPLY >> 20} MB", hint="ask for fewer rows at once")
    except Exception as error:  # noqa: BLE001 - whatever the model code raises is the reply to this one request
        tag, reply = tag | ERROR, told(error)
    channel.send(tag, reply)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}, line {trace.tb_lineno}"
