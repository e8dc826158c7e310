"""One call of the command line: what every command shares, and how a function becomes a command."""

from __future__ import annotations

import functools
import inspect
import logging
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradewind.cli import say
from tradewind.core.errors import BadValue, Cancelled, NotFound, TradewindError, Unexpected

if TYPE_CHECKING:
    from tradewind.core.answer import Answer
    from tradewind.desk import Desk

HELP = {"help_option_names": ["-h", "--help"]}
APP = typer.Typer(
    name="tradewind",
    help="Local-first commercial intelligence: what will sell, what pays, who leaves. Nothing ever leaves the machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing the help with rich would double the time it takes
    context_settings=HELP,
)
GROUPS = {
    "token": typer.Typer(help="Make, list and revoke the tokens of people and programs.", no_args_is_help=True, rich_markup_mode=None)
}
APP.add_typer(GROUPS["token"], name="token", rich_help_panel="Safety")

LOG = "tradewind.log"
MARK = "format.json"
"""The file that makes a folder a workspace."""

COMMANDS: dict[str, str] = {}
"""Action -> the command that calls it."""


@dataclass(slots=True)
class Call:
    """The options every command has, the exit status, and the desk, opened when first asked for."""

    named: Path | None = None
    as_json: bool = False
    out: Path | None = None
    quiet: bool = False
    trace: bool = False
    status: int = 0
    prose: bool = False  # the words are the result
    stack: ExitStack = field(default_factory=ExitStack)
    _desk: Desk | None = None

    @property
    def silent(self) -> bool:
        """Tell whether text for people is unwanted."""
        return self.as_json or self.quiet

    @property
    def workspace(self) -> Path:
        """Return the folder that is meant."""
        from tradewind.desk import home

        return home(self.named)

    @property
    def desk(self) -> Desk:
        """Open the workspace; raises NotFound in a folder that is none, so that a typing error makes no workspace."""
        return self._desk or self.opened()

    def opened(self, **settings: Any) -> Desk:
        """Open the workspace with settings of this call; raises NotFound as `desk` does."""
        folder = self.workspace
        if not (folder / MARK).is_file():
            raise NotFound(
                f"{folder.resolve()} is not a Tradewind workspace",
                hint=f"make one with `tradewind init {shlex.quote(str(folder))}`, or name yours with --workspace",
            )
        return self.make(folder, **settings)

    def make(self, folder: Path, **settings: Any) -> Desk:
        """Open a workspace, making it where there is none; it is closed when the call ends."""
        from tradewind import desk

        return self.hold(desk.open(folder, **settings))

    def hold(self, desk: Desk) -> Desk:
        """Work with a desk that somebody else opened; it is closed when the call ends."""
        self.named, self._desk = desk.folder, desk
        self.stack.callback(desk.close)
        self.stack.enter_context(_log(desk.folder, aloud=self.trace))
        return desk

    def note(self, text: str) -> None:
        """Say something to a person."""
        if not self.silent:
            say.person(text)


@contextmanager
def _log(folder: Path, *, aloud: bool) -> Iterator[None]:
    """Write what goes wrong inside into the workspace's log; on the terminal only where it is asked for."""
    home = logging.getLogger("tradewind")
    written = RotatingFileHandler(folder / LOG, maxBytes=1 << 20, backupCount=2, encoding="utf-8", delay=True)
    handlers: list[logging.Handler] = [written, logging.StreamHandler()] if aloud else [written]
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        home.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            home.removeHandler(handler)
            handler.close()


_COMMON: dict[str, tuple[Any, Any]] = {
    "context": (typer.Context, inspect.Parameter.empty),
    "workspace": (
        Annotated[
            Path | None,
            typer.Option("--workspace", "-w", metavar="DIR", help="The workspace folder; the current one by default."),
        ],
        None,
    ),
    "as_json": (Annotated[bool, typer.Option("--json", help="Print exactly one JSON document and nothing else.")], False),
    "out": (
        Annotated[
            Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the table to a .csv, .xlsx, .parquet or .json file.")
        ],
        None,
    ),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")], False),
    "trace": (Annotated[bool, typer.Option("--trace", help="Show the traceback of an error.")], False),
}


def command(words: str, panel: str = "", *, action: str = "") -> Callable[[Callable[..., Answer | None]], Callable[..., None]]:
    """Make a command of a function whose first argument is the Call; what it returns is shown.

    `words` is what is typed after `tradewind`; `action` names the action of the desk that the command calls, if it has one.
    """
    group, _, last = words.rpartition(" ")
    if action:
        COMMANDS[action] = words

    def register(function: Callable[..., Answer | None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(context: typer.Context, *args: Any, **given: Any) -> None:
            shared = dict(context.obj or {})
            for name in ("workspace", "as_json", "out", "quiet", "trace"):
                shared[name] = given.pop(name) or shared.get(name)
            raise typer.Exit(_carry_out(function, _call(shared), args, given))

        _, *own = inspect.signature(function).parameters.values()
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, (kind, default) in _COMMON.items()
        ]
        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {part.name: part.annotation for part in (*own, *shared)}
        (GROUPS[group] if group else APP).command(last, rich_help_panel=panel or None, context_settings=HELP)(run)
        return run

    return register


def _call(shared: dict[str, Any]) -> Call:
    return Call(shared["workspace"], bool(shared["as_json"]), shared["out"], bool(shared["quiet"]), bool(shared["trace"]))


def _carry_out(function: Callable[..., Answer | None], call: Call, args: tuple[Any, ...], given: dict[str, Any]) -> int:
    """Run a command and show what it says; return the exit status."""
    try:
        with call.stack:
            answer = function(call, *args, **given)
            if answer is not None:
                say.answer(answer, as_json=call.as_json, out=call.out, quiet=call.quiet, prose=call.prose)
        return call.status
    except (KeyboardInterrupt, Cancelled) as stopped:
        words = str(stopped) or "stopped; what was finished before is kept, nothing is half written"
        return failed(Cancelled(words, hint=f"to go on from what is finished: {_typed()}"), as_json=call.as_json, trace=False)
    except BrokenPipeError:
        say.hang_up()
        return 0
    except Exception as error:  # noqa: BLE001 - the rim of the program: nothing may escape as a traceback
        return failed(error, as_json=call.as_json, trace=call.trace)


def failed(error: BaseException, *, as_json: bool, trace: bool) -> int:
    """Say what went wrong and return the exit status; a fault of ours is worded as one."""
    if trace:
        sys.stderr.write("".join(traceback.format_exception(error)))
    if not isinstance(error, TradewindError):
        error = Unexpected(
            f"{type(error).__name__}: {error}", hint="this is a fault in Tradewind; run it again with --trace and send us the text"
        )
    say.error(error, as_json=as_json)
    return error.exit


def _typed() -> str:
    return shlex.join(["tradewind", *sys.argv[1:]])


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Read `name=value` options; raises BadValue for one without the sign or given twice."""
    read: dict[str, str] = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise BadValue(f"{option} {text!r} is not of the form name=value", hint=f"write it as {option} name=value")
        if name in read:
            raise BadValue(f"{option} names {name!r} twice", hint="give every name once")
        read[name] = value
    return read
