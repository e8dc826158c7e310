"""Serve one row of the table of routes: read the arguments, call the action in a thread, write its answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from tradewind import models
from tradewind.core import show
from tradewind.core.answer import Answer
from tradewind.core.errors import InvalidInput, NotAllowed
from tradewind.core.model import Budget
from tradewind.http.bodies import Body, BudgetBody
from tradewind.http.jobs import Job, Jobs
from tradewind.http.limits import Limits
from tradewind.http.problems import of_decoding
from tradewind.http.replay import Replays
from tradewind.http.routes import API, Route, method_of
from tradewind.http.sign_in import Guest

Endpoint = Callable[[Request], Awaitable[Response]]
JSON = "application/json"
MOST_PER_PAGE = 1000
QUICK_S = 0.15  # a job that fails within this is refused at once instead of being accepted


@dataclass(frozen=True, slots=True)
class House:
    """What the routes share."""

    limits: Limits
    jobs: Jobs
    replays: Replays
    threads: ThreadPoolExecutor

    async def do(self, work: Callable[[], Any]) -> Any:
        """Run blocking work in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)


def guest_of(request: Request) -> Guest:
    """Return who asks; the gate lets nobody else through to /api."""
    guest: Guest = request.scope["guest"]
    return guest


def reply(data: Any, status: int = 200, **headers: str) -> Response:
    """Write plain data as a JSON response."""
    return Response(msgspec.json.encode(data), status, dict(headers), JSON)


def endpoint(route: Route, house: House) -> Endpoint:
    """Return the function that serves a route of kind answer, page, job or any."""
    serve = {"answer": _answer, "page": _page, "job": _job, "any": _any}[route.kind]

    async def serve_route(request: Request) -> Response:
        return await keyed(request, house, await request.body(), partial(serve, route, house, request))

    return serve_route


async def keyed(request: Request, house: House, content: bytes, work: Callable[[], Awaitable[Response]]) -> Response:
    """Do a write once per Idempotency-Key; reads and writes without a key are simply done."""
    key = request.headers.get("idempotency-key", "")
    if not key or request.method == "GET":
        return await work()
    if len(key) > 255:
        raise InvalidInput("the Idempotency-Key is longer than 255 characters")
    place = (guest_of(request).key, request.method, request.url.path + "?" + request.url.query, key)
    return await house.replays.once(place, hashlib.sha256(content).hexdigest(), work)


async def _answer(route: Route, house: House, request: Request) -> Response:
    use = partial(method_of(guest_of(request).desk, route.action), **await arguments(route, request))
    found: Answer = await house.do(use)
    return Response(show.json(found), route.status, media_type=JSON)


async def _any(route: Route, house: House, request: Request) -> Response:
    try:
        said = msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise of_decoding(error) from error
    use = partial(method_of(guest_of(request).desk, route.action), **said)
    try:
        found: Answer = await house.do(use)
    except TypeError as error:  # the arguments do not fit the action's signature
        raise InvalidInput(f"{route.action} does not take these arguments: {error}") from error
    return Response(show.json(found), route.status, media_type=JSON)


async def _page(route: Route, house: House, request: Request) -> Response:
    limit = number(request, "limit", 100, 1, MOST_PER_PAGE)
    offset = _offset(request.query_params.get("cursor", ""))
    given = await arguments(route, request)
    if route.action == "show":
        where = {name[7:-1]: value for name, value in request.query_params.items() if name.startswith("filter[") and name.endswith("]")}
        given |= {"where": where, "limit": offset + limit + 1}
    elif route.action == "audit":
        given |= {"limit": limit}
    found: Answer = await house.do(partial(method_of(guest_of(request).desk, route.action), **given))
    page, after = _cut(found, offset, limit, newest=route.action == "show")
    if route.action == "show":
        page = _counted(page, given["table"])
    if route.action == "audit":
        after = None
    said = show.data(page) | {"next": after}
    if after is None:
        return reply(said)
    link = request.url.include_query_params(cursor=after)
    return reply(said, link=f'<{link.path}?{link.query}>; rel="next"')


def _cut(found: Answer, offset: int, limit: int, *, newest: bool) -> tuple[Answer, str | None]:
    """Return one page of an answer and the cursor of the next; with `newest` pages go from the end backwards."""
    if found.table is None:
        return found, None
    count = len(found.table)
    low, high = (max(count - offset - limit, 0), max(count - offset, 0)) if newest else (min(offset, count), min(offset + limit, count))
    more = low > 0 if newest else high < count
    page = replace(found, table=found.table.take(np.arange(low, high)), memo={})
    return page, _cursor(offset + limit) if more else None


def _counted(page: Answer, table: str) -> Answer:
    """Return a page of rows that says how many it shows: one more was asked for, to know whether there are more."""
    whole = next((fact.value for fact in page.facts if fact.name == "rows"), None)
    if page.table is None or whole is None:
        return page
    shown = len(page.table)
    return replace(page, words=f"{shown:,} of {whole:,} rows of {table}.", source=dict(page.source) | {"rows": shown})


async def _job(route: Route, house: House, request: Request) -> Response:
    guest = guest_of(request)
    given = await arguments(route, request)
    subject = str(given.get("model", "experiments"))
    use = method_of(guest.desk, route.action)
    job = house.jobs.start(route.action, subject, guest.actor.name, lambda progress: use(**given, progress=progress))
    return await accepted(house, job)


async def accepted(house: House, job: Job) -> Response:
    """Say that a job runs; one that was refused within a moment is answered as that refusal."""
    await house.do(partial(job.over.wait, QUICK_S))
    if job.over.is_set() and job.error is not None:
        raise job.error
    return reply({"job": job.as_dict(full=True)}, 202, location=f"{API}/jobs/{job.id}")


async def arguments(route: Route, request: Request) -> dict[str, Any]:
    """Return the action's arguments from path, query and body; raises InvalidInput naming every bad one."""
    given: dict[str, Any] = {name: request.path_params[parameter] for parameter, name in route.paths.items()}
    wrong: list[dict[str, str]] = []
    for name, kind in route.query.items():
        text = request.query_params.get(name)
        if text is not None:
            try:
                given[name] = _read(text, kind)
            except ValueError as error:
                wrong.append({"pointer": f"/query/{name}", "message": str(error)})
    if wrong:
        raise InvalidInput(f"{wrong[0]['pointer']}: {wrong[0]['message']}", fields=wrong)
    if route.body is not None:
        given |= _fields(route.body, await request.body())
    return given


def _fields(kind: type[Body], content: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(content or b"{}", type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise of_decoding(error) from error
    fields = {name: getattr(said, name) for name in said.__struct_fields__}
    if isinstance(fields.get("budget"), BudgetBody):  # of a training; that of a plan is money
        fields["budget"] = Budget(**msgspec.structs.asdict(fields["budget"]))
    return fields


def _read(text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError("must be true or false")
        return text.lower() in ("true", "1")
    if kind is int:
        try:
            return int(text)
        except ValueError as error:
            raise ValueError("must be a whole number") from error
    return text


def number(request: Request, name: str, default: int, low: int, high: int) -> int:
    """Return a whole number of the query; raises InvalidInput."""
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise InvalidInput(
            f"{name} must be a whole number from {low} to {high}, not {text[:40]!r}",
            fields=[{"pointer": f"/query/{name}", "message": f"{low} to {high}"}],
        )
    return int(text)


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(f"at:{offset}".encode()).decode().rstrip("=")


def _offset(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        head, _, place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    except ValueError as error:
        raise InvalidInput("the cursor is not one of ours", hint="pass on `next` as it came") from error
    if head != "at" or not place.isdecimal() or int(place) > 10_000_000:
        raise InvalidInput("the cursor is not one of ours", hint="pass on `next` as it came")
    return int(place)


def own(route: Route, house: House) -> Endpoint:
    """Return the function that serves a route without an action of its own; its permission is asked here."""
    serve = {
        ("GET", "/models"): _models,
        ("GET", "/models/{model}"): _model,
        ("GET", "/jobs"): _jobs,
        ("GET", "/jobs/{job}"): _one_job,
        ("POST", "/jobs/{job}/cancel"): _cancel,
    }[(route.method, route.path)]

    async def serve_route(request: Request) -> Response:
        actor = guest_of(request).actor
        if not actor.may(route.permits):
            raise NotAllowed(f"role {actor.role!r} may not do this", hint=f"it needs the permission {route.permits!r}")
        return reply(await serve(house, request))

    return serve_route


async def _models(house: House, request: Request) -> Any:
    desk = guest_of(request).desk
    rows = [_described(desk, name) for name in models.names()]
    offset, limit = _offset(request.query_params.get("cursor", "")), number(request, "limit", 100, 1, MOST_PER_PAGE)
    return {"models": rows[offset : offset + limit], "next": _cursor(offset + limit) if len(rows) > offset + limit else None}


async def _model(house: House, request: Request) -> Any:
    name = request.path_params["model"]
    question = models.get(name)
    schemas: dict[str, Any] = {part: getattr(question, part).json_schema() for part in ("asks", "needs", "gives")}
    return (
        _described(guest_of(request).desk, name)
        | {"task": question.task, "tables": list(question.tables), "recipes": list(question.recipes), "horizon": question.horizon}
        | schemas
    )


def _described(desk: Any, name: str) -> dict[str, Any]:
    serving = desk.deployment(name)
    return {
        "model": name,
        "question": models.get(name).question,
        "serving": serving.stable or None,
        "challenger": serving.challenger or None,
        "share": serving.share,
    }


async def _jobs(house: House, request: Request) -> Any:
    rows = house.jobs.all()
    offset, limit = _offset(request.query_params.get("cursor", "")), number(request, "limit", 100, 1, MOST_PER_PAGE)
    return {
        "jobs": [job.as_dict() for job in rows[offset : offset + limit]],
        "next": _cursor(offset + limit) if len(rows) > offset + limit else None,
    }


async def _one_job(house: House, request: Request) -> Any:
    return {"job": house.jobs.get(request.path_params["job"]).as_dict(full=True)}


async def _cancel(house: House, request: Request) -> Any:
    return {"job": house.jobs.cancel(request.path_params["job"]).as_dict()}
