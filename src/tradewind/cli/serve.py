"""The command that answers over HTTP."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradewind.cli.call import Call, command

if TYPE_CHECKING:
    from tradewind.desk import Desk


@command("serve", "Serving")
def serve(
    call: Call,
    *,
    host: Annotated[str | None, typer.Option(help="The address; 127.0.0.1 by default. Put a TLS proxy in front of any other.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port; 8321 by default.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Jailed processes per serving version; 1 by default.")] = None,
    name: Annotated[list[str] | None, typer.Option(help="A further host name that a proxy passes on; may be repeated.")] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="A TLS certificate, to serve HTTPS without a proxy.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of the certificate.")] = None,
) -> None:
    """Serve the page, REST and WebSocket until Ctrl-C. `tradewind token create` makes the first token."""
    desk = call.opened(**({"workers": workers} if workers is not None else {}))
    at = host or str(desk.options["host"])
    on = int(desk.options["port"]) if port is None else port
    call.note(f"{'https' if certificate else 'http'}://{at}:{on}  (Ctrl-C stops)")
    tls = {"certificate": str(certificate) if certificate else None, "key": str(key) if key else None}
    listen(desk, host=at, port=on, names=tuple(name or ()), **tls)


def listen(desk: "Desk", *, host: str, port: int, **more: Any) -> None:
    """Serve the routes and the pages, which do not know each other, until interrupted."""
    from tradewind.http.app import serve as run
    from tradewind.web.pages import routes

    with suppress(KeyboardInterrupt):
        run(desk, host=host, port=port, pages=routes(desk), **more)
