"""Build the sample company and serve it: what a stranger sees first."""

from __future__ import annotations

import os
import shlex
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.cli import say
from tradewind.cli.bar import screen
from tradewind.cli.serve import listen

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tradewind.cli.call import Call
    from tradewind.core.answer import Answer
    from tradewind.core.model import Progress, Step
    from tradewind.desk import Desk

SMALL: dict[str, Any] = {"years": 1.5, "products": 8, "stores": 2, "customers": 200}
KEPT = "demo.token"
DAYS = 30
FIRST = ("demand", "roi")  # they take longest: nothing waits for them at the end
AT_ONCE = 2  # trainings: each takes about one processor and up to 2 GB


def build(call: Call, folder: Path, *, small: bool = False) -> tuple[Answer, str]:
    """Make the sample company in a folder, train and promote every model; return what was done and a token.

    What is there already stays: a second run goes on where the first one stopped.
    """
    from tradewind import desk as front
    from tradewind import models
    from tradewind.core.answer import Answer, Fact

    start = time.monotonic()
    call.note(f"the sample company in {folder}: products, stores, prices, promotions, customers, media, events, reviews")
    desk = call.hold(front.demo(folder, **(SMALL if small else {})))
    wanted = [model for model in sorted(models.names(), key=lambda name: name not in FIRST) if not desk.deployment(model).stable]
    refused = _learn(call, desk, wanted)
    token = str(desk.create_token("admin", name="demo", days=DAYS).fact("token"))
    _keep(folder / KEPT, token)
    facts: tuple[Fact, ...] = (
        Fact("seconds", round(time.monotonic() - start, 1), "s"),
        Fact("trained", len(wanted) - len(refused), "models"),
    )
    words = f"The sample company is ready; a token that works for {DAYS} days is in {folder / KEPT}."
    if refused:
        facts += (Fact("refused", ", ".join(refused), "", "models of which no version passed its gates"),)
        words += f" Not served, as no version passed its gates: {', '.join(refused)}."
    return Answer(facts, words=words, source={"folder": str(folder), "models": list(models.names())}), token


def _learn(call: Call, desk: Desk, wanted: list[str]) -> list[str]:
    """Train and promote models, on two processors two at a time; return those that their gates refused. Ctrl-C stops at the next step."""
    stop = threading.Event()
    with screen(call) as show, ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        asked = {model: pool.submit(_one, call, desk, model, show=show, stop=stop) for model in wanted}
        try:
            return [model for model, done in asked.items() if not done.result()]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one(call: Call, desk: Desk, model: str, *, show: Callable[[str], AbstractContextManager[Progress]], stop: threading.Event) -> bool:
    """Train and promote a model; return False where its gates refuse it, and say why: the others are still worth showing."""
    from tradewind.core.errors import Cancelled, GoalMissed
    from tradewind.core.model import Progress

    with show(f"train {model}") as shown:

        def listen(step: Step) -> None:
            if stop.is_set():
                raise Cancelled(f"the training of {model} was stopped", hint="the same command goes on from here")
            shown(step.stage, step.fraction, step.message)

        learned = desk.train(model, progress=Progress(listen))
    call.note(learned.words)
    try:
        call.note(desk.promote(model).words)
    except GoalMissed as error:
        call.note(error.message)
        return False
    return True


def _keep(file: Path, token: str) -> None:
    """Write the token where only the owner of the folder can read it."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(token + "\n")


def serve(call: Call, token: str, *, host: str, port: int) -> None:
    """Say where to look and what to type, then serve until Ctrl-C."""
    if not call.silent:
        say.person(f"\nThe page:  http://{host}:{port}  (sign in with {token})")
        say.person(f"From another terminal:\n\n  {curl(call.desk, host, port)}\n\nCtrl-C stops.")
    listen(call.desk, host=host, port=port)


def curl(desk: Desk, host: str, port: int) -> str:
    """Return a command that asks for the next 30 days of one product."""
    known = desk.show("products", limit=1).table
    product = known.to_rows()[0]["product"] if known is not None else ""
    body = shlex.quote(f'{{"horizon": 30, "where": {{"product": "{product}"}}}}')
    bearer = f'"Authorization: Bearer $(cat {shlex.quote(str(desk.folder / KEPT))})"'
    return f"curl -s http://{host}:{port}/api/v1/models/demand/predict \\\n    -H {bearer} -H 'Content-Type: application/json' -d {body}"
