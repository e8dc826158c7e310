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

    `fields` lists every bad field at once as `{"pointer": ..., "message": ...}`.
    """

    code: ClassVar[str] = "TW0500"
    status: ClassVar[int] = 500
    exit: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "", fields: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = tuple(dict(field) for field in fields)

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


class MissingColumn(InvalidInput):
    """A column that is needed is not there."""

    code = "TW0412"


class BadValue(InvalidInput):
    """A value is outside what its column allows."""

    code = "TW0413"


class EmptyTable(InvalidInput):
    """There is nothing to work with."""

    code = "TW0415"


class Unreadable(InvalidInput):
    """The file is damaged or of a kind we do not know."""

    code = "TW0418"


class TooBig(InvalidInput):
    """A file, a body or a cell is over its stated limit."""

    code, status = "TW0417", 413


class NotSignedIn(TradewindError):
    """There is no token, or it is wrong, revoked or expired."""

    code, status, exit = "TW0401", 401, 4


class NotAllowed(TradewindError):
    """The actor's role does not permit the action."""

    code, status, exit = "TW0403", 403, 4


class NotFound(TradewindError):
    """There is no table, model, version or job of that name."""

    code, status, exit = "TW0404", 404, 5


class Busy(TradewindError):
    """The same work is already running."""

    code, status = "TW0409", 409


class TooMany(TradewindError):
    """Too many requests for this key; `retry_after` is in seconds."""

    code, status = "TW0429", 429
    retry_after: float = 1.0


class NotReady(TradewindError):
    """No version of the model serves yet."""

    code, status, exit = "TW0425", 409, 1


class GoalMissed(NotReady):
    """A version may not serve because a gate did not pass."""

    code = "TW0426"


class LearnFailed(TradewindError):
    """Training gave no usable model."""

    code, status, exit = "TW0501", 422, 1


class WorkerDied(TradewindError):
    """A model process ended while it was asked."""

    code, status = "TW0502", 503


class TimedOut(TradewindError):
    """The work was past its deadline and was stopped."""

    code, status = "TW0504", 504


class Cancelled(TradewindError):
    """The work was stopped on request; what was committed stays."""

    code, status, exit = "TW0499", 409, 130


class DiskFull(TradewindError):
    """The disk took no more bytes; nothing was half written."""

    code, status = "TW0507", 507


class NotIsolated(TradewindError):
    """The jail is incomplete here and the workspace insists on it."""

    code, status = "TW0508", 503


class Tampered(TradewindError):
    """Bytes at rest do not match what was signed."""

    code, status, exit = "TW0600", 500, 6


class Incompatible(TradewindError):
    """The bytes were made by a version of Tradewind that this one cannot read."""

    code, status, exit = "TW0601", 409, 6


class MissingExtra(TradewindError):
    """An optional part is not installed; the hint is the command that installs it."""

    code, status = "TW0701", 501


class Unexpected(TradewindError):
    """A fault of ours; its id is in the log."""


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
