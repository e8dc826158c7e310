"""Every way Tradewind says no.

TradewindError
  InvalidInput            the request or the data cannot be used as it is
    MissingColumn         a column that is needed is not there
    BadValue              a value is outside what its column allows
    EmptyTable            there is nothing to work with
    Unreadable            the file is damaged or of a kind we do not know
    TooBig                over a stated limit
  NotSignedIn             no token, or one that is wrong or expired
  NotAllowed              the role does not permit the action
  NotFound                no table, model, version or job of that name
  Busy                    the same work is already running
  TooMany                 over the rate limit
  NotReady                no version serves yet
    GoalMissed            a version may not serve: a gate did not pass
  LearnFailed             training gave no usable model
  WorkerDied              a model process ended while it was asked
  TimedOut                past its deadline
  Cancelled               stopped on request
  DiskFull                the disk took no more bytes
  NotIsolated             the jail is incomplete and the workspace insists on it
  Tampered                bytes at rest do not match what was signed
  Incompatible            made by a version of Tradewind that this one cannot read
  MissingExtra            an optional part is not installed
  Unexpected              a fault of ours, with an id that is in the log
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class TradewindError(Exception):
    """Say no with a stable code, an HTTP status, an exit status and a hint.

    Whoever raises one says what to do about this very case; where nobody did, the kind's own `advice` is the hint.
    `fields` lists every bad field at once as `{"pointer": ..., "message": ...}`.
    """

    code: ClassVar[str] = "TW0500"
    status: ClassVar[int] = 500
    exit: ClassVar[int] = 2
    advice: ClassVar[str] = "run tradewind doctor; report it with the lines of the log around it"

    def __init__(self, message: str, *, hint: str = "", fields: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.advice
        self.fields = tuple(dict(field) for field in fields)

    def told(self) -> str:
        """Return the message in one line, with what to do about this very case where somebody said it."""
        return self.message if self.hint == self.advice else f"{self.message} ({self.hint})"

    def as_dict(self) -> dict[str, Any]:
        """Return the error as plain data: what crosses a process boundary."""
        return {
            "error": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "fields": list(self.fields),
        }


class InvalidInput(TradewindError):
    """The request or the data cannot be used as it is."""

    code, status = "TW0400", 422
    advice = "change what the message names and ask again"


class MissingColumn(InvalidInput):
    """A column that is needed is not there."""

    code = "TW0412"
    advice = "add the column to the file, or name the one that holds it"


class BadValue(InvalidInput):
    """A value is outside what its column allows."""

    code = "TW0413"


class EmptyTable(InvalidInput):
    """There is nothing to work with."""

    code = "TW0415"
    advice = "load rows that hold what is asked for; tradewind tables lists what is loaded"


class Unreadable(InvalidInput):
    """The file is damaged or of a kind we do not know."""

    code = "TW0418"
    advice = "save the file again, as CSV, Excel or Parquet"


class TooBig(InvalidInput):
    """A file, a body or a cell is over its stated limit."""

    code, status = "TW0417", 413
    advice = "send it in parts"


class NotSignedIn(TradewindError):
    """There is no token, or it is wrong, revoked or expired."""

    code, status, exit = "TW0401", 401, 4
    advice = "sign in with a token: tradewind token create makes one"


class NotAllowed(TradewindError):
    """The actor's role does not permit the action."""

    code, status, exit = "TW0403", 403, 4
    advice = "ask whoever runs this workspace for a role that may do it"


class NotFound(TradewindError):
    """There is no table, model, version or job of that name."""

    code, status, exit = "TW0404", 404, 5
    advice = "look at the name: it is not among those that are there"


class Busy(TradewindError):
    """The same work is already running."""

    code, status = "TW0409", 409
    advice = "wait until it is done, then ask again"


class TooMany(TradewindError):
    """Too many requests for this key; `retry_after` is in seconds."""

    code, status = "TW0429", 429
    advice = "wait as long as the answer says, then ask again"
    retry_after: float = 1.0


class NotReady(TradewindError):
    """No version of the model serves yet."""

    code, status, exit = "TW0425", 409, 1
    advice = "train and promote a version first"


class GoalMissed(NotReady):
    """A version may not serve because a gate did not pass."""

    code = "TW0426"
    advice = "look at the leaderboard; --force with a reason overrides a gate"


class LearnFailed(TradewindError):
    """Training gave no usable model."""

    code, status, exit = "TW0501", 422, 1
    advice = "load more history, or look at what the message names"


class WorkerDied(TradewindError):
    """A model process ended while it was asked."""

    code, status = "TW0502", 503
    advice = "ask again; a new process answers"


class TimedOut(TradewindError):
    """The work was past its deadline and was stopped."""

    code, status = "TW0504", 504
    advice = "ask for less at once, or ask again when the machine is less busy"


class Cancelled(TradewindError):
    """The work was stopped on request; what was committed stays."""

    code, status, exit = "TW0499", 409, 130
    advice = "start it again when it suits; nothing was half written"


class DiskFull(TradewindError):
    """The disk took no more bytes; nothing was half written."""

    code, status = "TW0507", 507
    advice = "free some space and run it again"


class NotIsolated(TradewindError):
    """The jail is incomplete here and the workspace insists on it."""

    code, status = "TW0508", 503
    advice = "tradewind doctor says what the jail lacks"


class Tampered(TradewindError):
    """Bytes at rest do not match what was signed."""

    code, status, exit = "TW0600", 500, 6
    advice = "restore it from a backup, or train the version again"


class Incompatible(TradewindError):
    """The bytes were made by a version of Tradewind that this one cannot read."""

    code, status, exit = "TW0601", 409, 6
    advice = "train it again with this version of Tradewind"


class MissingExtra(TradewindError):
    """An optional part is not installed; the hint is the command that installs it."""

    code, status = "TW0701", 501
    advice = "install the part the message names"


class Unexpected(TradewindError):
    """A fault of ours; its id is in the log."""

    advice = "look for the id in the log and report it"


def every_error() -> dict[str, type[TradewindError]]:
    """Return all error classes by name: documentation, contract tests, and errors that crossed a process."""
    found: dict[str, type[TradewindError]] = {}
    todo: list[type[TradewindError]] = [TradewindError]
    while todo:
        kind = todo.pop()
        found[kind.__name__] = kind
        todo.extend(kind.__subclasses__())
    return found


def from_dict(said: Mapping[str, Any]) -> TradewindError:
    """Rebuild an error that crossed a process boundary; an unknown class becomes `Unexpected`."""
    kind = every_error().get(str(said.get("error")), Unexpected)
    return kind(str(said.get("message", "")), hint=str(said.get("hint", "")), fields=said.get("fields", ()))
