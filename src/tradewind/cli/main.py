"""The command line. Every command is thin over one action of the desk: it translates and never decides."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tradewind import __version__
from tradewind.cli import say
from tradewind.cli.call import APP, failed
from tradewind.core.errors import Cancelled, InvalidInput

CHAPTERS = ("workspace", "tables", "models", "experiments", "deployment", "safety", "serve")
"""Files of commands, in the order in which `tradewind --help` lists them."""

for _chapter in CHAPTERS:
    importlib.import_module(f"tradewind.cli.{_chapter}")


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"tradewind {__version__}\n")
        raise typer.Exit


@APP.callback()
def root(
    context: typer.Context,
    *,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", metavar="DIR", help="The workspace folder; by default $TRADEWIND_WORKSPACE or the current one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON document and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Keep the options given before the command for it."""
    context.obj = {"workspace": workspace, "as_json": as_json, "quiet": quiet, "trace": trace}


def run(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        status: Any = typer.main.get_command(APP).main(args=given, prog_name="tradewind", standalone_mode=False)
    except typer.Abort:
        status = failed(Cancelled("stopped"), as_json="--json" in given, trace=False)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        status = _misused(error, as_json="--json" in given)
    sys.exit(status if isinstance(status, int) else 0)


def _misused(error: Any, *, as_json: bool) -> int:
    """Say that a command was typed wrongly; bare groups print their help."""
    words = error.format_message()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write((words or (context.get_help() if context is not None else "")) + "\n")
        return 0
    path = context.command_path if context is not None else "tradewind"
    said = InvalidInput(words[:1].lower() + words[1:].rstrip("."), hint=f"`{path} --help` lists what can be given")
    say.error(said, as_json=as_json)
    return said.exit
