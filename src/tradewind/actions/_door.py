"""The door: every action is permitted, timed and written down here, and nowhere else."""

from __future__ import annotations

import functools
import inspect
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

from tradewind.actions._kinds import misfit
from tradewind.core.answer import Answer
from tradewind.core.errors import BadValue, Cancelled, NotAllowed, TradewindError, Unexpected
from tradewind.core.event import Event
from tradewind.workspace import Workspace

P = ParamSpec("P")
Use = Callable[Concatenate[Workspace, P], Answer]
log = logging.getLogger("tradewind")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the house can do: its name, the permission it needs, and the function."""

    name: str
    permits: str
    function: Callable[..., Answer]
    doc: str


ACTIONS: dict[str, Action] = {}


def action(*, permits: str, quiet: bool = False, alone: str = "", wait_s: float = 0.0) -> Callable[[Use[P]], Use[P]]:
    """Make a function an action.

    `quiet` events are group-committed (predictions, looks); all others are durable one by one before the answer is given.
    `alone` names a lock held until the event is written; `{model}` in it is the argument of that name.
    """

    def make(function: Use[P]) -> Use[P]:
        name = function.__name__.rstrip("_")
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(ws: Workspace, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
            write = ws.ledger.note if quiet else ws.ledger.append
            if not ws.actor.may(permits):
                ws.ledger.append(Event("refused", ws.actor.name, {"action": name, "role": ws.actor.role}))
                raise NotAllowed(f"role {ws.actor.role!r} may not {name}", hint=f"it needs the permission {permits!r}")
            start = time.perf_counter()
            try:
                bound = _bound(signature, name, (ws, *args), kwargs) if alone else {}
                with _lock(ws, alone, bound, wait_s):
                    answer = function(ws, *args, **kwargs)
                    spent = round(1000 * (time.perf_counter() - start), 3)
                    write(Event(name, ws.actor.name, {"ms": spent, **answer.source}))
                    after = answer.memo.pop("after", None)  # what may only happen once the event stands: shredding
                    if after is not None:
                        after()
                    if not quiet:
                        ws.view.fresh(now=True)
                    return answer
            except KeyboardInterrupt as stop:
                told = Cancelled(f"{name} was stopped", hint="run the same command again: finished pieces are kept and not done twice")
                raise _failed(ws, name, told) from stop
            except Exception as error:
                raise _failed(ws, name, _meant(error, function, name, (ws, *args), kwargs)) from error

        ACTIONS[name] = Action(name, permits, wrapper, (function.__doc__ or "").strip())
        return wrapper

    return make


def _bound(signature: inspect.Signature, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise BadValue(f"{name}: {error}", hint=f"{name}{signature}") from error


def _meant(error: Exception, function: Callable[..., Answer], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Exception:
    """Return BadValue where what went wrong is that the arguments do not fit the action: looked at only then, it costs every question."""
    if isinstance(error, TradewindError) and not isinstance(error, Unexpected):
        return error
    try:
        return misfit(function, _bound(inspect.signature(function), name, args, kwargs)) or error
    except BadValue as wrong:
        return wrong


def _lock(ws: Workspace, name: str, bound: Mapping[str, Any], wait_s: float) -> AbstractContextManager[None]:
    if not name:
        return nullcontext()
    return ws.lock(name.format(**{key: value for key, value in bound.items() if isinstance(value, str)}), wait_s=wait_s)


def _failed(ws: Workspace, name: str, error: Exception) -> TradewindError:
    """Write down a failure and return what the caller is told; a fault of ours gets an id that is in the log."""
    if isinstance(error, TradewindError):
        known: TradewindError = error
        body: dict[str, Any] = {"action": name, "code": error.code}
    else:
        number = uuid.uuid4().hex[:12]
        log.error("fault %s in %s", number, name, exc_info=error)
        known = Unexpected(
            f"something went wrong in {name} ({type(error).__name__}); its id is {number}", hint="the log has the details; please report it"
        )
        body = {"action": name, "code": known.code, "id": number}
    ws.ledger.append(Event("failed", ws.actor.name, body))
    return known
