"""Every address of the REST interface: one table, one way to serve a row of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tradewind.http import bodies
from tradewind.http.bodies import Body

API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Route:
    """One address: which action it calls, how, and what it takes.

    `kind` says how it answers: answer | page (a list, cut by limit and cursor) | job (202) |
    upload | import | download | any (JSON arguments by name) | own.
    `paths` maps path parameters to the action's arguments, `query` the query parameters that it takes with their types.
    An address with an action is permitted by that action; `permits` is for the few that have none.
    """

    method: str
    path: str
    action: str
    summary: str
    kind: str = "answer"
    body: type[Body] | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, type] = field(default_factory=dict)
    status: int = 200
    permits: str = ""


_MODEL = {"model": "model"}
_VERSION = {"version": int}

TABLE: tuple[Route, ...] = (
    Route("GET", "/status", "status", "What is loaded, what serves, how well model code is locked in"),
    Route("GET", "/tables", "tables", "The loaded tables", "page"),
    Route(
        "GET",
        "/tables/{table}",
        "show",
        "Rows of a table; filter[column]=value chooses",
        "page",
        paths={"table": "table"},
        query={"since": str, "until": str, "version": int},
    ),
    Route(
        "POST",
        "/tables/{table}",
        "load",
        "Load a file into a table: the file as the body, or as `file` of a form",
        "upload",
        paths={"table": "table"},
        status=201,
    ),
    Route("GET", "/models", "", "The models and what they answer", "own", permits="read"),
    Route(
        "GET",
        "/models/{model}",
        "",
        "One model: its question and the columns it asks, needs and gives",
        "own",
        paths=_MODEL,
        permits="read",
    ),
    Route("GET", "/models/{model}/versions", "versions", "The versions of a model", "page", paths=_MODEL),
    Route("GET", "/models/{model}/card", "card", "The model card of a version", paths=_MODEL, query=_VERSION),
    Route("POST", "/models/{model}/train", "train", "Learn a model; keep it as a new version", "job", bodies.TrainBody, _MODEL, status=202),
    Route(
        "POST",
        "/models/{model}/evaluate",
        "evaluate",
        "Score the recipes on rolling origins",
        "job",
        bodies.EvaluateBody,
        _MODEL,
        status=202,
    ),
    Route(
        "POST",
        "/models/{model}/update",
        "update",
        "Bring the serving version new actuals without refitting; the moved one serves at once",
        "job",
        bodies.Nothing,
        _MODEL,
        status=202,
    ),
    Route("GET", "/models/{model}/effects", "effects", "What each lever does, with intervals", "page", paths=_MODEL, query=_VERSION),
    Route(
        "POST",
        "/models/{model}/plan",
        "plan",
        "Recommend what to do with the levers, under a budget and limits",
        body=bodies.PlanBody,
        paths=_MODEL,
    ),
    Route("POST", "/models/{model}/predict", "predict", "Answer rows, or the next periods of every series that fits", "own", paths=_MODEL),
    Route(
        "POST", "/models/{model}/promote", "promote", "Let a version serve, if it passes every gate", body=bodies.PromoteBody, paths=_MODEL
    ),
    Route("POST", "/models/{model}/rollback", "rollback", "Let the version before serve again", body=bodies.RollbackBody, paths=_MODEL),
    Route("POST", "/models/{model}/split", "split", "Send a share of the keys to a challenger", body=bodies.SplitBody, paths=_MODEL),
    Route("POST", "/models/{model}/verify", "verify", "Check the seal of a version", body=bodies.VerifyBody, paths=_MODEL),
    Route(
        "GET",
        "/models/{model}/export",
        "export",
        "A version as a zip file: manifest, parts, card, signature",
        "download",
        paths=_MODEL,
        query=_VERSION,
    ),
    Route(
        "POST",
        "/models/{model}/import",
        "import",
        "Take in a version from a zip file that a trusted key signed",
        "import",
        paths=_MODEL,
        status=201,
    ),
    Route(
        "POST", "/experiments/measure", "measure", "What a past test or event did, with intervals", "job", bodies.MeasureBody, status=202
    ),
    Route("POST", "/experiments/design", "design", "Which places to test in, for how long", "job", bodies.DesignBody, status=202),
    Route("POST", "/verify", "verify", "Check the seal of every version", body=bodies.Nothing),
    Route(
        "GET",
        "/audit",
        "audit",
        "Who did what, when: the newest, or those after an id (-1: from the first); `verify=true` checks the chain",
        "page",
        query={"verify": bool, "after": int, "anchor": str},
    ),
    Route("GET", "/tokens", "tokens", "The living tokens, by their names", "page"),
    Route("POST", "/tokens", "create_token", "Make a token; it is shown this once", body=bodies.TokenBody, status=201),
    Route("DELETE", "/tokens/{token}", "revoke_token", "End a token", paths={"token": "token"}),
    Route("POST", "/rotate", "rotate", "Wrap every data key with a new key", body=bodies.Nothing),
    Route(
        "GET",
        "/backup",
        "backup",
        "The whole workspace as one sealed file; its keys only with `keys=true`",
        "download",
        query={"keys": bool},
    ),
    Route(
        "POST",
        "/customers/{customer}/forget",
        "forget",
        "Erase a customer from every table",
        body=bodies.Nothing,
        paths={"customer": "customer"},
    ),
    Route("GET", "/jobs", "", "Long work, running and lately ended", "own", permits="read"),
    Route("GET", "/jobs/{job}", "", "One piece of long work, with its answer when done", "own", permits="read"),
    Route("POST", "/jobs/{job}/cancel", "", "Ask long work to stop at its next step", "own", permits="train"),
)
"""The addresses. `restore` has none: it makes another workspace, and a server serves one. `recovery` has none: it shows the keys."""

UNSERVED = frozenset({"restore", "recovery"})


def table(actions: Mapping[str, Any]) -> tuple[Route, ...]:
    """Return the addresses for these actions: the table, and `POST /actions/{name}` for an action it does not know yet."""
    served = {route.action for route in TABLE} | UNSERVED
    known = tuple(route for route in TABLE if not route.action or route.action in actions)
    return known + tuple(
        Route("POST", f"/actions/{name}", name, doc_line(action), "any") for name, action in actions.items() if name not in served
    )


def doc_line(action: Any) -> str:
    """Return the first line of an action's documentation."""
    return str(getattr(action, "doc", "") or "").strip().partition("\n")[0]


def permission(route: Route, actions: Mapping[str, Any]) -> str:
    """Return the permission an address needs; every address has one."""
    return route.permits or str(actions[route.action].permits)


def method_of(desk: Any, action: str) -> Callable[..., Any]:
    """Return the desk's method of an action; `import` is a word of Python, so its method has an underscore."""
    name = f"{action}_" if action in ("import",) else action
    found: Callable[..., Any] = getattr(desk, name)
    return found
