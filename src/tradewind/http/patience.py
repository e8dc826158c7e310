"""Close connections that open and then say nothing, or say their headers letter by letter."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def patient(patience_s: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with a limit on the time that a request line and its headers may take.

    uvicorn times idle connections between requests only; a client that drips headers would hold one for ever.
    """

    class Patient(HttpToolsProtocol):
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.timer = self.loop.call_later(patience_s, transport.close)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self.timer is None:
                self.timer = self.loop.call_later(patience_s, self.transport.close)

        def on_headers_complete(self) -> None:
            self._no_timer()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._no_timer()
            super().connection_lost(exc)

        def _no_timer(self) -> None:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None

    return Patient
