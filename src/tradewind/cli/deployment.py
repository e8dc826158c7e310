"""Commands that decide which version serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.call import Call, command
from tradewind.cli.models import Name, Version

if TYPE_CHECKING:
    from tradewind.core.answer import Answer

PANEL = "Serving"
Reason = Annotated[str, typer.Option(help="Why; it is written into the ledger.")]


@command("versions", PANEL, action="versions")
def versions(
    call: Call, model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model; all by default.")] = None
) -> "Answer":
    """List the versions of a model, and which one serves."""
    return call.desk.versions(model)


@command("promote", PANEL, action="promote")
def promote(
    call: Call,
    model: Name,
    version: Annotated[int | None, typer.Option("--version", help="The version to promote; the newest by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate fails; needs --reason and is audited.")] = False,
    reason: Reason = "",
) -> "Answer":
    """Let a version serve. Refused unless it beats the goal and the serving version, and passes every gate."""
    return call.desk.promote(model, version, force=force, reason=reason)


@command("rollback", PANEL, action="rollback")
def rollback(call: Call, model: Name, reason: Reason = "") -> "Answer":
    """Let the version that served before serve again."""
    return call.desk.rollback(model, reason=reason)


@command("split", PANEL, action="split")
def split(
    call: Call,
    model: Name,
    challenger: Annotated[int, typer.Argument(help="The version to try.")],
    share: Annotated[float, typer.Argument(min=0, max=1, help="Its share of the keys, 0 to 1; 0 ends the split.")],
    reason: Reason = "",
) -> "Answer":
    """Give a challenger a share of the traffic. A key always meets the same side."""
    return call.desk.split(model, challenger, share, reason=reason)


@command("export", PANEL, action="export")
def export(
    call: Call,
    model: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
    version: Version = None,
) -> "Answer":
    """Write a version as a signed folder. The OpenSSF model-signing verifier accepts it."""
    return call.desk.export(model, folder, version=version)


@command("import", PANEL, action="import")
def bring_in(
    call: Call,
    model: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `tradewind export` wrote.")],
    trust: Annotated[Path | None, typer.Option(metavar="KEY.pem", help="A public key to trust from now on.")] = None,
) -> "Answer":
    """Take in an exported version as a new one. A key that this workspace trusts must have signed it."""
    return call.desk.import_(model, folder, trust=trust)
