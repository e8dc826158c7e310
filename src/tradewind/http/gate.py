"""The gate in front of everything: host, sign-in, rates, sizes, safe headers, errors, times. Plain ASGI, no framework."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from tradewind.core.errors import NotAllowed, NotSignedIn, TimedOut, TradewindError
from tradewind.http.limits import Buckets, Limits, Message, Receive, Scope, Send, counted, too_big
from tradewind.http.measures import Measures
from tradewind.http.predict import ROUTE, Gone, Predict, model_of
from tradewind.http.problems import Headers, of_http, ours, problem, slow_down
from tradewind.http.sign_in import Guest, SignIn, host_of, same_origin

App = Callable[[Scope, Receive, Send], Awaitable[None]]

CSP = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURE: Headers = [
    (b"content-security-policy", CSP),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
WANTED = frozenset({b"host", b"authorization", b"cookie", b"origin", b"content-length", b"content-type", b"accept", b"sec-fetch-site"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UPLOAD = re.compile(r"/api/v1/(tables/[^/]+|models/[^/]+/import)$")
LINGER_S, LINGER_BYTES = 2.0, 64 << 20


class Gate:
    """Let a request through to the hot path or to the routes; answer every refusal and fault as a problem."""

    def __init__(
        self, inner: FastAPI, *, sign_in: SignIn, predict: Predict, measures: Measures, limits: Limits, hosts: frozenset[str] | None
    ) -> None:
        self._app = inner
        self._routes = inner.router  # past the framework's own layers of error pages: every error comes out here
        self._templates = {getattr(route, "endpoint", None): str(getattr(route, "path", "")) for route in inner.routes}
        self._sign_in = sign_in
        self._predict = predict
        self._measures = measures
        self._limits = limits
        self._hosts = hosts
        self._rates = Buckets(limits.rate, 2 * limits.rate) if limits.rate else None
        self._logins = Buckets(limits.login_rate, limits.login_burst)
        self._ids = map("{}{:x}".format, itertools.repeat(secrets.token_hex(4) + "-"), itertools.count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI says."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._routes(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        request_id = next(self._ids)
        path: str = scope["path"]
        said: dict[bytes, bytes] = {name: value for name, value in scope["headers"] if name in WANTED}
        answered = _Answered(send, request_id)
        route = ""
        try:
            guest = self._admit(scope, said, path)
            length = self._length(said, path)
            model = model_of(path) if scope["method"] == "POST" else ""
            if model and guest is not None:
                route = ROUTE
                kind, body = await self._predict.answer(
                    guest,
                    model,
                    self._patient(receive),
                    kind=said.get(b"content-type", b""),
                    accept=said.get(b"accept", b""),
                    length=length,
                )
                await answered.whole(200, [(b"content-type", kind), (b"content-length", b"%d" % len(body))], body)
            else:
                limit = self._limits.upload if UPLOAD.match(path) else self._limits.body
                await self._routes(scope, counted(self._patient(receive), limit), answered.send)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - the outermost layer: a fault must become an answer, never a broken connection
            await self._refuse(error, answered, path, receive, request_id)
        self._measures.request(
            scope["method"], route or self._templates.get(scope.get("endpoint"), "other"), answered.status, time.perf_counter() - start
        )

    def _admit(self, scope: Scope, said: dict[bytes, bytes], path: str) -> Guest | None:
        """Return who asks, None for nobody; raises where they may not come in."""
        host = said.get(b"host", b"")
        if self._hosts is not None and host_of(host) not in self._hosts:
            raise NotAllowed(
                "this server does not go by that name",
                hint="open it as http://127.0.0.1 with its port; a proxy must pass a name given to serve",
            )
        api = path.startswith("/api/")
        guest: Guest | None = None
        if api and b"authorization" in said:
            guest = self._sign_in.by_header(said[b"authorization"])
        elif b"cookie" in said:
            guest = self._sign_in.by_cookie(said[b"cookie"])
        if scope["method"] not in SAFE and (guest is None or guest.session):
            _same_site(said, host)
        if api and guest is None:
            raise NotSignedIn("this address needs a token", hint="send: Authorization: Bearer <token>; `tradewind token create` makes one")
        if path == "/login" and scope["method"] == "POST":
            self._take(self._logins, (scope.get("client") or ("",))[0])
        elif self._rates is not None and guest is not None:
            self._take(self._rates, guest.key)
        scope["app"] = self._app
        scope["guest"] = guest
        scope["user"] = guest.actor if guest else None
        return guest

    @staticmethod
    def _take(buckets: Buckets, key: str) -> None:
        wait_s = buckets.take(key, time.monotonic())
        if wait_s > 0:
            raise slow_down(wait_s)

    def _length(self, said: dict[bytes, bytes], path: str) -> int:
        """Return the promised length of the body, 0 where none is; a promise over the limit is refused unread."""
        promised = said.get(b"content-length", b"0")
        length = int(promised) if promised.isdigit() else 0
        limit = self._limits.upload if UPLOAD.match(path) else self._limits.body
        if length > limit:
            raise too_big(limit)
        return length

    def _patient(self, receive: Receive) -> Receive:
        """Return a receive that gives up on a client which stops in the middle of its body."""
        patience_s = self._limits.patience_s
        whole = False

        async def patient() -> Message:
            nonlocal whole
            if whole:  # from here on receive() only waits for the client to hang up, and may take as long as it likes
                return await receive()
            try:
                async with asyncio.timeout(patience_s):
                    message = await receive()
            except TimeoutError as error:
                raise _Stalled from error
            whole = not message.get("more_body", False)
            return message

        return patient

    async def _refuse(self, error: Exception, answered: _Answered, path: str, receive: Receive, request_id: str) -> None:
        told: TradewindError
        code, extra = 0, Headers()
        if isinstance(error, _Stalled):
            told, code = TimedOut("the rest of the body did not come", hint="send it in one go"), 408
        elif isinstance(error, HTTPException):
            told, code = of_http(error.status_code, str(error.detail), path), error.status_code
            extra = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
        else:
            told = ours(error, request_id)
        if answered.started:
            return
        status, headers, body = problem(told, path, request_id, status=code)
        headers += extra
        if status not in (408, 413):
            await answered.whole(status, headers, body)
            return
        await answered.whole(status, [*headers, (b"connection", b"close")], body, more=True)
        await _linger(receive)
        await answered.end()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        said: dict[bytes, bytes] = {name: value for name, value in scope["headers"] if name in WANTED}
        try:
            host = said.get(b"host", b"")
            if self._hosts is not None and host_of(host) not in self._hosts:
                raise NotAllowed("this server does not go by that name")
            if b"origin" in said and not same_origin(said[b"origin"], host):
                raise NotAllowed("a socket opens only from this server's own page")
            guest = (
                self._sign_in.by_header(said[b"authorization"])
                if b"authorization" in said
                else self._sign_in.by_cookie(said.get(b"cookie", b""))
            )
            if guest is None:
                raise NotSignedIn("the socket needs a token or a session")
        except TradewindError:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        scope["app"] = self._app
        scope["guest"] = guest
        scope["user"] = guest.actor
        await self._routes(scope, receive, send)


class _Stalled(Exception):
    """The client stopped in the middle of its body."""


class _Answered:
    """Send an answer with the safe headers, and remember what was sent."""

    __slots__ = ("_id", "_send", "started", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id: tuple[bytes, bytes] = (b"x-request-id", request_id.encode())
        self.started = False
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message of the inner app on, the start of its answer with our headers."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, int(message["status"])
            message["headers"] = [*message.get("headers", ()), *SECURE, self._id]
        await self._send(message)

    async def whole(self, status: int, headers: Headers, body: bytes, *, more: bool = False) -> None:
        """Send a whole answer; `more` leaves it open."""
        self.started, self.status = True, status
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *SECURE, self._id]})
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def end(self) -> None:
        """Close an answer that was left open."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _same_site(said: dict[bytes, bytes], host: bytes) -> None:
    """Refuse a write that another site's page makes with this browser's session; raises NotAllowed."""
    site = said.get(b"sec-fetch-site")
    origin = said.get(b"origin")
    if site is not None:  # set by the browser itself; our no-referrer policy makes it send "Origin: null" with forms
        fine = site in (b"same-origin", b"none") and (origin in (None, b"null") or same_origin(origin, host))
    else:
        fine = origin is None or same_origin(origin, host)
    if not fine:
        raise NotAllowed("a page of another site may not write here", hint="programs send a bearer token instead of a cookie")


async def _linger(receive: Receive) -> None:
    """Take in a little of what the client still sends: closed at once, the system would drop our answer with it."""
    until, seen = time.monotonic() + LINGER_S, 0
    try:
        while (left := until - time.monotonic()) > 0 and seen < LINGER_BYTES:
            message = await asyncio.wait_for(receive(), left)
            seen += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
    except TimeoutError:
        return
