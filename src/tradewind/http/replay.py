"""Idempotency-Key: a write that is sent twice is done once and answered twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from tradewind.core.errors import Busy, InvalidInput

DAY = 24 * 3600.0
Place = tuple[str, str, str, str]  # actor, method, path, key


class Replays:
    """Answers to keyed writes of the last 24 hours, in this process; at most `keep` of them."""

    def __init__(self, *, keep: int = 5000) -> None:
        self._keep = keep
        self._done: dict[Place, tuple[float, str, Response]] = {}
        self._running: set[Place] = set()

    async def once(self, place: Place, fingerprint: str, work: Callable[[], Awaitable[Response]]) -> Response:
        """Do the work, or give its earlier answer again.

        Raises InvalidInput where the key was used for other content, Busy while the first one still runs. A failure is not
        kept: the same key may try again.
        """
        now = time.monotonic()
        held = self._done.get(place)
        if held is not None and now - held[0] < DAY:
            if held[1] != fingerprint:
                raise InvalidInput("this Idempotency-Key was used with other content", hint="take a new key for a new request")
            again = Response(held[2].body, held[2].status_code, dict(held[2].headers))
            again.headers["idempotent-replay"] = "true"
            return again
        if place in self._running:
            raise Busy("the first request with this Idempotency-Key is still running", hint="ask again in a moment")
        self._running.add(place)
        # shielded: a client that hangs up must not make the same write run twice when it comes back
        return await asyncio.shield(asyncio.ensure_future(self._first(place, fingerprint, work)))

    async def _first(self, place: Place, fingerprint: str, work: Callable[[], Awaitable[Response]]) -> Response:
        try:
            response = await work()
        finally:
            self._running.discard(place)
        now = time.monotonic()
        self._done[place] = (now, fingerprint, response)
        self._forget(now)
        return response

    def _forget(self, now: float) -> None:
        for place in [place for place, held in self._done.items() if now - held[0] >= DAY]:
            del self._done[place]
        while len(self._done) > self._keep:
            del self._done[next(iter(self._done))]
