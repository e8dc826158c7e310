"""Errors as `application/problem+json` (RFC 9457): one shape, whoever raised them."""

from __future__ import annotations

import logging
import re
from typing import Any

import msgspec

from tradewind.core.errors import InvalidInput, NotFound, NotSignedIn, TooMany, TradewindError, Unexpected

LOG = logging.getLogger("tradewind.http")
KIND = b"application/problem+json"
Headers = list[tuple[bytes, bytes]]


def problem(error: TradewindError, path: str, request_id: str, *, status: int = 0) -> tuple[int, Headers, bytes]:
    """Return status, headers and body that say this error; `status` is for what only HTTP knows (400, 405)."""
    status = status or error.status
    title = (type(error).__doc__ or type(error).__name__).strip().splitlines()[0]
    said: dict[str, Any] = {
        "type": f"urn:tradewind:error:{error.code}",
        "title": title,
        "status": status,
        "detail": error.message,
        "instance": path,
        "code": error.code,
        "hint": error.hint,
        "request_id": request_id,
    }
    if error.fields:
        said["errors"] = list(error.fields)
    body = msgspec.json.encode(said)
    headers: Headers = [(b"content-type", KIND), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    if isinstance(error, NotSignedIn):
        headers.append((b"www-authenticate", b'Bearer realm="tradewind"'))
    if isinstance(error, TooMany):
        headers.append((b"retry-after", str(max(1, int(error.retry_after + 0.999))).encode()))
    return status, headers, body


def slow_down(wait_s: float) -> TooMany:
    """Return the error for a key over its rate; `wait_s` is what Retry-After says."""
    error = TooMany("too many requests for this key", hint=f"wait {wait_s:.1f} s, then go on; the header Retry-After says how long")
    error.retry_after = wait_s
    return error


def ours(error: BaseException, request_id: str) -> TradewindError:
    """Return the error as one of ours; a fault of ours is logged with its id and its text kept from the client."""
    if isinstance(error, TradewindError):
        return error
    LOG.error("request %s failed", request_id, exc_info=error)
    return Unexpected("something went wrong on this server", hint=f"the log has it under {request_id}")


def of_http(status: int, detail: str, path: str) -> TradewindError:
    """Return the error for a refusal of the web framework itself."""
    if status == 404:
        return NotFound(f"there is nothing at {path}", hint="the addresses are listed at /openapi.json")
    if status == 405:
        return InvalidInput(f"{path} does not take this method", hint="the methods are listed at /openapi.json")
    return InvalidInput(detail or f"the request was refused with status {status}")


_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def of_decoding(error: Exception) -> InvalidInput:
    """Return the error for a body that msgspec refused: Malformed where it is no JSON, else a bad field with its pointer."""
    text = str(error)
    if isinstance(error, RecursionError):
        return InvalidInput("the JSON is nested too deeply", hint="rows are flat objects: a name and a value")
    if not isinstance(error, msgspec.ValidationError):
        return InvalidInput(f"the body is not valid JSON: {text}", hint="NaN and Infinity are not JSON; write null for a missing value")
    message, _, where = text.partition(" - at `$")
    steps = ["*" if name == "..." else name for pair in _STEP.findall(where.rstrip("`")) for name in pair if name]
    pointer = "/" + "/".join(steps)
    return InvalidInput(
        f"{pointer}: {message}", hint="see /openapi.json for what this address takes", fields=[{"pointer": pointer, "message": message}]
    )
