"""The OpenAPI document: written from the table of routes, so that it cannot say anything else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI

import tradewind
from tradewind.http import predict
from tradewind.http.routes import API, Route, permission

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "instance", "code", "hint", "request_id")},
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}}},
        },
    },
}
FACT = {
    "type": "object",
    "required": ["name", "value"],
    "properties": {"name": {"type": "string"}, "value": {}, "unit": {"type": "string"}, "meaning": {"type": "string"}},
}
ANSWER = {
    "type": "object",
    "required": ["answer", "source"],
    "properties": {
        "answer": {
            "type": "object",
            "properties": {
                "rows": {"type": "array", "items": {"type": "object"}},
                "facts": {"type": "array", "items": FACT},
                "words": {"type": "string"},
            },
        },
        "source": {"type": "object"},
        "next": {"type": ["string", "null"]},
    },
}
TYPES: Mapping[type, str] = {int: "integer", bool: "boolean", str: "string"}


def describe(app: FastAPI, routes: Sequence[Route], actions: Mapping[str, Any], asks: Mapping[str, Any]) -> None:
    """Let the app answer /openapi.json with the document of these routes."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(document(routes, actions, asks))
        return made

    app.openapi = openapi  # type: ignore[method-assign]


def document(routes: Sequence[Route], actions: Mapping[str, Any], asks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document; `asks` are the models' question schemas."""
    bodies = {route.body for route in routes if route.body is not None}
    _, shapes = msgspec.json.schema_components(sorted(bodies, key=lambda body: body.__name__), ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(API + route.path, {})[route.method.lower()] = _operation(route, actions, asks)
    for path, meaning in (
        ("/healthz", "Alive, and how well model code is locked in"),
        ("/readyz", "Ready to answer"),
        ("/metrics", "Prometheus text"),
    ):
        paths[path] = {"get": {"summary": meaning, "operationId": path[1:], "security": [], "responses": {"200": {"description": "fine"}}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tradewind",
            "version": tradewind.__version__,
            "summary": "Local-first commercial intelligence: nothing leaves the machine.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM, "Answer": ANSWER, **shapes},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, actions: Mapping[str, Any], asks: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "summary": route.summary,
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "description": f"Needs the permission `{permission(route, actions)}`.",
        "parameters": _parameters(route),
        "responses": {
            str(route.status): {"description": "the answer", "content": _content(route)},
            "default": {
                "description": "a problem",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if route.action == "predict":
        said["requestBody"] = predict.described(asks)
    elif route.body is not None:
        said["requestBody"] = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.body.__name__}"}}}}
    elif route.kind in ("upload", "import"):
        said["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
        if route.kind == "upload":
            said["requestBody"]["content"]["multipart/form-data"] = {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            }
    return said


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", route.path)]
    found += [{"name": name, "in": "query", "schema": {"type": TYPES[kind]}} for name, kind in route.query.items()]
    if route.kind == "page" or route.path in ("/models", "/jobs"):
        found += [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
            {"name": "cursor", "in": "query", "schema": {"type": "string"}},
        ]
    if route.kind == "upload":
        found += [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in ("filename", "map", "wide", "sheet", "keep_duplicates")
        ]
    if route.method in ("POST", "DELETE") and route.action != "predict":
        found.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}})
    return found


def _content(route: Route) -> dict[str, Any]:
    if route.kind == "download":
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    shape = (
        {"$ref": "#/components/schemas/Answer"}
        if route.kind in ("answer", "page", "any", "upload", "import") or route.action == "predict"
        else {"type": "object"}
    )
    return {"application/json": {"schema": shape}}
