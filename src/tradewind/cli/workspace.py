"""Commands that make, look after and show a workspace."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.call import Call, command

if TYPE_CHECKING:
    from tradewind.core.answer import Answer

PANEL = "Workspace"


@command("init", PANEL)
def init(
    call: Call,
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="The folder to make; --workspace by default.")] = None,
    country: Annotated[str, typer.Option(metavar="CODE", help="Country whose public holidays count: DE, US, BR, ...")] = "",
    subdivision: Annotated[str, typer.Option(metavar="CODE", help="State or region of the country: BY, CA, ...")] = "",
) -> "Answer":
    """Make a workspace: its keys and its ledger. A workspace that is there already stays as it is."""
    if country or subdivision:
        from tradewind.desk import begin

        begin(folder or call.workspace, country=country, subdivision=subdivision)
    desk = call.make(folder or call.workspace)
    call.note(f"{call.workspace.resolve()} is a Tradewind workspace; next: tradewind load FILE --table sales")
    return desk.status()


@command("status", PANEL, action="status")
def status(call: Call) -> "Answer":
    """Show what is loaded, what serves, and in which isolation."""
    return call.desk.status()


@command("doctor", PANEL)
def doctor(
    call: Call,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port that must be free.")] = 8321,
) -> "Answer":
    """Check this machine and this workspace. Every failure comes with its cure."""
    from tradewind.cli.doctor import examine

    answer = examine(call, port)
    call.status = 1 if answer.fact("failed") else 0
    return answer


@command("demo", PANEL)
def demo(
    call: Call,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the sample company lives.")] = Path("shop"),
    *,
    serve: Annotated[bool, typer.Option(help="Serve it in the foreground when it is built.")] = True,
    host: Annotated[str, typer.Option(help="The address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to serve on.")] = 8321,
    small: Annotated[bool, typer.Option("--small", help="A company of a few products, for a quick look.")] = False,
) -> "Answer | None":
    """Build the sample company, train every model, and serve it."""
    from tradewind.cli import demo as sample

    answer, token = sample.build(call, folder, small=small)
    if not serve:
        return answer
    sample.serve(call, token, host=host, port=port)
    return None
