"""Put the server together: gate, hot path, routes, sockets, probes; and listen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, WebSocketRoute

import tradewind
from tradewind import models
from tradewind.core.errors import Busy, InvalidInput, NotFound, NotSignedIn
from tradewind.http import files, predict
from tradewind.http.bodies import LoginBody
from tradewind.http.describe import describe
from tradewind.http.endpoints import House, endpoint, own, reply
from tradewind.http.gate import App, Gate
from tradewind.http.health import Health
from tradewind.http.jobs import Jobs
from tradewind.http.limits import Limits
from tradewind.http.measures import KIND, Measures
from tradewind.http.patience import patient
from tradewind.http.problems import of_decoding
from tradewind.http.replay import Replays
from tradewind.http.routes import API, Route, table
from tradewind.http.sign_in import LOOPBACK, SignIn, cookie
from tradewind.http.sockets import Hub

if TYPE_CHECKING:
    from tradewind.desk import Desk

LOG = logging.getLogger("tradewind.http")


def build(
    desk: Desk,
    *,
    pages: Sequence[BaseRoute] = (),
    limits: Limits | None = None,
    hosts: Sequence[str] | None = tuple(LOOPBACK),
    open_metrics: bool = True,
    actions: Mapping[str, Any] | None = None,
) -> App:
    """Return the server as an ASGI app.

    `pages` are the routes of the page (`tradewind.web.pages.routes`), composed by whoever serves: the two faces do not
    know each other. `hosts` are the names that the server goes by; None takes any (behind a proxy that checks them).
    """
    served = _actions() if actions is None else actions
    limits = limits or Limits.of(getattr(desk, "options", {}))
    measures, jobs, health = Measures(), Jobs(), Health(desk)
    sign_in = SignIn(desk, session_s=limits.session_s)
    hub = Hub(desk, sign_in, jobs, measures, limits)
    house = House(limits, jobs, Replays(), ThreadPoolExecutor(limits.threads, thread_name_prefix="http"))
    hot = predict.Predict(limits, measures)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        tasks = [hub.start(), asyncio.get_running_loop().create_task(health.warm())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(jobs.close)
        hot.close()
        house.threads.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(title="Tradewind", version=tradewind.__version__, docs_url=None, redoc_url=None, lifespan=life, redirect_slashes=False)
    routes = table(served)
    for route in routes:
        _add(app, route, house)
    _add_probes(app, health, measures, hub, desk, open_metrics=open_metrics)
    _add_sessions(app, sign_in, limits)
    app.router.routes.append(WebSocketRoute("/ws", hub.serve))
    app.router.routes.extend(pages)
    describe(app, routes, served, {name: models.get(name).asks.json_schema() for name in models.names()})
    names = None if hosts is None else frozenset(name.lower() for name in hosts)
    return Gate(app, sign_in=sign_in, predict=hot, measures=measures, limits=limits, hosts=names)


def _actions() -> Mapping[str, Any]:
    from tradewind.actions._door import ACTIONS

    return ACTIONS


def _add(app: FastAPI, route: Route, house: House) -> None:
    make: Callable[..., Any] = {"own": own, "upload": files.upload, "import": files.take_in, "download": files.download}.get(
        route.kind, endpoint
    )
    serve = _by_the_gate if route.action == "predict" else make(route, house)
    app.router.add_route(API + route.path, serve, methods=[route.method], name=f"{route.method} {route.path}")


async def _by_the_gate(_: Request) -> Response:
    """Stand for the address that the gate answers itself, so that another method there is told as one."""
    raise NotFound("the gate answers this address")


def _add_probes(app: FastAPI, health: Health, measures: Measures, hub: Hub, desk: Desk, *, open_metrics: bool) -> None:
    async def healthz(_: Request) -> Response:
        status, said = health.alive()
        return reply(said, status)

    async def readyz(_: Request) -> Response:
        status, said = health.ready()
        return reply(said, status)

    async def metrics(request: Request) -> Response:
        if not open_metrics and request.scope["guest"] is None:
            raise NotSignedIn("the metrics need a token here")
        return Response(measures.text(head=desk.ledger.head(), workers=desk.pool.held(), sockets=len(hub)), media_type=KIND.decode())

    for path, probe in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.router.add_route(path, probe, methods=["GET"])


def _add_sessions(app: FastAPI, sign_in: SignIn, limits: Limits) -> None:
    async def login(request: Request) -> Response:
        secure = request.url.scheme == "https"
        as_json = request.headers.get("content-type", "").startswith("application/json")
        token = token_of(await request.body()) if as_json else parse_qs((await request.body()).decode("latin-1")).get("token", [""])[0]
        try:
            value = sign_in.open(token.strip()[:512])
        except NotSignedIn:
            if as_json:
                raise
            return RedirectResponse("/login?wrong=1", 303)
        said: Response = Response(status_code=204) if as_json else RedirectResponse("/", 303)
        said.headers["set-cookie"] = cookie(value, seconds=limits.session_s, secure=secure)
        return said

    async def logout(request: Request) -> Response:
        sign_in.close(request.headers.get("cookie", "").encode("latin-1"))
        said = RedirectResponse("/login", 303)
        said.headers["set-cookie"] = cookie("", seconds=0, secure=request.url.scheme == "https")
        return said

    app.router.add_route("/login", login, methods=["POST"])
    app.router.add_route("/logout", logout, methods=["POST"])


def token_of(body: bytes) -> str:
    """Return the token of a JSON sign-in; raises InvalidInput."""
    try:
        return msgspec.json.decode(body, type=LoginBody).token
    except (msgspec.DecodeError, RecursionError) as error:
        raise of_decoding(error) from error


def serve(
    desk: Desk,
    *,
    host: str = "127.0.0.1",
    port: int = 8321,
    pages: Sequence[BaseRoute] = (),
    names: Sequence[str] = (),
    certificate: str | None = None,
    key: str | None = None,
) -> None:
    """Listen until interrupted. `names` are further host names that a proxy passes on; raises Busy where the port is taken."""
    import uvicorn

    limits = Limits.of(desk.options)
    loopback = host in LOOPBACK
    hosts = [*LOOPBACK, host, *names] if loopback or names else None
    listener = _listen(host, port)
    config = uvicorn.Config(
        build(desk, pages=pages, limits=limits, hosts=hosts),
        http=patient(limits.patience_s),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(names),  # only a proxy that we were told of may say who and how it was asked
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        ws_max_size=65536,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    with listener:
        uvicorn.Server(config).run([listener])


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; raises Busy, InvalidInput."""
    if not 0 <= port <= 65535:  # the system would take it modulo 65536 and say nothing
        raise InvalidInput(f"{port} is not a port", hint="a port lies between 1 and 65535; 0 takes any free one")
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(family, kind, number)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind(address)
        except OSError:
            made.close()
            raise
    except socket.gaierror as error:
        raise InvalidInput(f"{host!r} is not an address of this machine", hint="use 127.0.0.1, or 0.0.0.0 behind a TLS proxy") from error
    except OSError as error:
        raise Busy(
            f"cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}",
            hint="another server may run there; choose another with --port",
        ) from error
    return made
