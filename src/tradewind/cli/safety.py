"""Commands for proof, people, keys and copies."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.call import Call, command
from tradewind.cli.models import Version

if TYPE_CHECKING:
    from tradewind.core.answer import Answer

PANEL = "Safety"


@command("verify", PANEL, action="verify")
def verify(
    call: Call,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model; everything by default.")] = None,
    version: Version = None,
) -> "Answer":
    """Check signatures and digests of what is kept. Exit status 6 where a byte differs."""
    return call.desk.verify(model, version=version)


@command("audit", PANEL, action="audit")
def audit(
    call: Call,
    check: Annotated[bool, typer.Option("--verify", help="Check the whole chain; names the first bad record.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many events.")] = 100,
    anchor: Annotated[str | None, typer.Option(metavar="LINE", help="A checkpoint line kept elsewhere, to check against.")] = None,
) -> "Answer":
    """Show who did what and when."""
    return call.desk.audit(verify=check, after=after, limit=limit, anchor=anchor)


@command("token create", action="create_token")
def create_token(
    call: Call,
    role: Annotated[str, typer.Option(help="viewer, analyst, approver, engineer or admin.")] = "admin",
    name: Annotated[str, typer.Option(help="Whose it is.")] = "",
    days: Annotated[float, typer.Option(help="Days until it expires.")] = 90,
) -> "Answer":
    """Make a token. It is shown once and kept as a digest only."""
    return call.desk.create_token(role, name=name, days=days)


@command("token list", action="tokens")
def tokens(call: Call) -> "Answer":
    """List tokens: name, role, until when; never the token itself."""
    return call.desk.tokens()


@command("token revoke", action="revoke_token")
def revoke_token(call: Call, token: Annotated[str, typer.Argument(help="The token, or its name or id as listed.")]) -> "Answer":
    """Make a token worthless from now on."""
    return call.desk.revoke_token(token)


@command("rotate", PANEL, action="rotate")
def rotate(call: Call) -> "Answer":
    """Change the key-encryption key. Every data key is wrapped again; what is sealed stays byte for byte."""
    return call.desk.rotate()


@command("recovery", PANEL, action="recovery")
def recovery(call: Call) -> "Answer":
    """Show the recovery code of the keys. Whoever holds it can read and sign everything: print it and lock it away."""
    return call.desk.recovery()


@command("recover", PANEL)
def recover(
    call: Call,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The printed code, or - to read it from stdin.")] = "-",
) -> "Answer":
    """Bring lost keys back from the printed code. Keys that the workspace trusted must be trusted anew."""
    from tradewind import desk

    recovered = call.hold(desk.recover(call.workspace, sys.stdin.read() if code == "-" else code))
    call.note(f"{call.workspace.resolve()} has its keys again")
    return recovered.status()


@command("backup", PANEL, action="backup")
def backup(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    keys: Annotated[bool, typer.Option("--keys/--no-keys", help="Put the keys in: then keep the file as safely as them.")] = True,
) -> "Answer":
    """Write the whole workspace into one file, still sealed. Without keys it takes the recovery code to restore it."""
    return call.desk.backup(file, keys=keys)


@command("restore", PANEL)
def restore(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `tradewind backup` wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make; it must not hold anything.")],
    recovery: Annotated[str | None, typer.Option(metavar="CODE", help="The printed recovery code, for a backup without keys.")] = None,
) -> "Answer":
    """Bring a backup back into a new folder and verify it."""
    from tradewind import desk

    restored = call.hold(desk.restore(file, folder, recovery=recovery))
    call.note(f"{folder.resolve()} is restored and its ledger verified")
    return restored.status()
