"""The pages: the demand forecast, and the sign-in. Translate an address into actions and their answers into HTML."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tradewind.core.errors import NotAllowed, NotReady, TradewindError
from tradewind.core.event import ROLES, Actor
from tradewind.core.show import number
from tradewind.web import assets, charts, forecast

if TYPE_CHECKING:
    from tradewind.desk import Desk

PAGES = (("/", "Demand forecast"),)
PRIVATE = {"cache-control": "no-store", "vary": "hx-request, cookie"}


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes of the page. Whoever serves them puts the signed-in Actor, or None, into `scope["user"]`."""
    templates = _environment()

    def render(name: str, status: int = 200, **said: Any) -> Response:
        return HTMLResponse(templates.get_template(name).render(**said), status, PRIVATE)

    async def home(request: Request) -> Response:
        actor: Actor | None = request.scope.get("user")
        part = request.headers.get("hx-request") == "true"
        if actor is None:
            return Response(status_code=200, headers={"hx-redirect": "/login"}) if part else RedirectResponse("/login", 303)
        mine = desk.as_(actor)
        frame: dict[str, Any] = {} if part else {"actor": actor, "pages": PAGES, "here": "/"}
        try:
            made = await asyncio.to_thread(_panel if part else _shell, mine, dict(request.query_params))
        except TradewindError as error:
            return render("refusal.html" if part else "refused.html", error.status, **frame, **_told(error, request))
        return render("panel.html" if part else "forecast.html", **frame, **made)

    async def login(request: Request) -> Response:
        return render("login.html", wrong="wrong" in request.query_params)

    async def chart(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in charts.CHARTS:
            return Response("there is no such chart", 404, media_type="text/plain")
        return Response(await asyncio.to_thread(charts.spec, name), media_type="application/json", headers={"cache-control": "no-cache"})

    return [
        Route("/", home, methods=["GET"]),
        Route("/login", login, methods=["GET"]),
        Route("/charts/{name}.json", chart, methods=["GET"]),
        Route("/static/{name:path}", assets.serve, methods=["GET"]),
    ]


def _shell(desk: Desk, query: dict[str, str]) -> dict[str, Any]:
    """Return what the page around the panel needs: the series to choose from, and what is chosen."""
    asked = forecast.Asked.of(query)
    known = forecast.known(desk)
    series = known.series
    chosen = asked.series if asked.series in series else series[0]
    shown = series[: forecast.SHOWN_SERIES]
    if chosen not in shown:
        shown = (chosen, *shown[:-1])
    options = [(forecast.pack(keys), " · ".join(keys) or "everything") for keys in shown]
    return {
        "asked": asked,
        "names": known.names,
        "options": options,
        "chosen": forecast.pack(chosen),
        "left_out": len(series) - len(shown),
        "horizons": forecast.HORIZONS,
        "plans": forecast.PLANS,
    }


def _panel(desk: Desk, query: dict[str, str]) -> dict[str, Any]:
    asked = forecast.Asked.of(query)
    view = forecast.view(desk, asked, forecast.known(desk))
    return {
        "view": view,
        "data": json.dumps(view.data, separators=(",", ":")),
        "widest": max((abs(value) for _, value in view.drivers), default=0.0),
    }


def _told(error: TradewindError, request: Request) -> dict[str, Any]:
    """Return what a refusal says: one sentence, its remedy, and for a missing permission the roles that have it."""
    roles = ""
    if isinstance(error, NotAllowed):
        roles = ", ".join(role for role, permits in ROLES.items() if "predict" in permits)
    return {
        "error": error,
        "roles": roles,
        "untrained": isinstance(error, NotReady),
        "again": str(request.url.replace(scheme="", netloc="")),
    }


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tradewind.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {"whole": whole, "percent": percent, "signed": signed, "number": number, "day": day}
    made.filters.update(filters)
    made.globals["static"] = assets.address
    return made


def whole(value: float | None) -> str:
    """Write a count: thousands separated, one decimal below ten."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:,.1f}"


def percent(value: float | None) -> str:
    """Write a share as a percentage with one decimal."""
    return "-" if value is None else f"{100 * value:.1f} %".replace("-", "\u2212")


def signed(value: float | None) -> str:
    """Write a change as a percentage with its sign, a true minus."""
    return "-" if value is None else f"{100 * value:+.1f} %".replace("-", "\u2212")


def day(text: str) -> str:
    """Write a date for reading."""
    import datetime as dt

    return f"{dt.date.fromisoformat(text[:10]):%a %d %b %Y}"
