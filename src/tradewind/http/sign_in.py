"""Who is asking: a bearer token, or the session that a token opened for the page."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.core.errors import NotSignedIn
from tradewind.core.event import Actor

if TYPE_CHECKING:
    from tradewind.desk import Desk

COOKIE = "tradewind_session"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody signed in: the actor, the desk as they see it, the key that rates are counted by."""

    actor: Actor
    desk: Desk
    key: str
    token: str
    session: bool = False


class SignIn:
    """Turn headers into a Guest. Sessions live in memory: a restart signs pages out, and nothing is kept on disk."""

    def __init__(self, desk: Desk, *, session_s: float, keep: int = 1000) -> None:
        self._desk = desk
        self._session_s = session_s
        self._keep = keep
        self._sessions: dict[str, tuple[str, float]] = {}  # sha256 of the cookie -> (token, when it ends)
        self._desks: dict[Actor, Desk] = {}

    def guest(self, token: str, *, session: bool = False) -> Guest:
        """Return the guest a token stands for; asks the desk every time, so that a revoked token ends at once."""
        actor = self._desk.actor_of(token)
        desk = self._desks.get(actor)
        if desk is None:
            if len(self._desks) >= self._keep:
                self._desks.clear()
            desk = self._desks[actor] = self._desk.as_(actor)
        return Guest(actor, desk, digest(token)[:16], token, session)

    def by_header(self, header: bytes) -> Guest:
        """Return the guest of an Authorization header; raises NotSignedIn."""
        kind, _, token = header.decode("latin-1").partition(" ")
        if kind.lower() != "bearer" or not token.strip() or len(token) > 512:
            raise NotSignedIn(
                "the Authorization header is not a bearer token",
                hint="send: Authorization: Bearer <token>; `tradewind token create` makes one",
            )
        return self.guest(token.strip())

    def by_cookie(self, header: bytes) -> Guest | None:
        """Return the guest of a Cookie header, or None where there is no living session."""
        cookie = _cookie(header)
        if not cookie:
            return None
        name = digest(cookie)
        token, ends = self._sessions.get(name, ("", 0.0))
        if time.monotonic() >= ends:
            self._sessions.pop(name, None)
            return None
        try:
            return self.guest(token, session=True)
        except NotSignedIn:
            self._sessions.pop(name, None)
            return None

    def open(self, token: str) -> str:
        """Open a session for a token; return the cookie's value. Raises NotSignedIn."""
        self.guest(token)
        now = time.monotonic()
        if len(self._sessions) >= self._keep:
            self._sessions = {name: held for name, held in self._sessions.items() if held[1] > now}
        while len(self._sessions) >= self._keep:
            self._sessions.pop(next(iter(self._sessions)))
        cookie = secrets.token_urlsafe(32)
        self._sessions[digest(cookie)] = (token, now + self._session_s)
        return cookie

    def close(self, header: bytes) -> None:
        """End the session of a Cookie header."""
        self._sessions.pop(digest(_cookie(header)), None)


def digest(secret: str) -> str:
    """Return the SHA-256 of a 256-bit secret: what is kept instead of it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def cookie(value: str, *, seconds: float, secure: bool) -> str:
    """Return the Set-Cookie header; an empty value removes the cookie."""
    return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={int(seconds) if value else 0}" + ("; Secure" if secure else "")


def host_of(header: bytes) -> str:
    """Return the host name of a Host header, port and brackets left out."""
    name = header.decode("latin-1").strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def same_origin(origin: bytes, host: bytes) -> bool:
    """Tell whether an Origin header names the very host, port included, that the request was sent to."""
    scheme, _, rest = origin.decode("latin-1").partition("://")
    return scheme in ("http", "https") and rest.lower() == host.decode("latin-1").lower()


def _cookie(header: bytes) -> str:
    for part in header.decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
