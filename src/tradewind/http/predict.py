"""The hot path: POST /api/v1/models/{model}/predict, decoded by msgspec, answered without the framework."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec

from tradewind.core import show
from tradewind.core.answer import Answer
from tradewind.core.errors import EmptyTable, InvalidInput, TooBig, TooMany, Unreadable
from tradewind.http.limits import Limits, Receive, counted
from tradewind.http.measures import Measures
from tradewind.http.problems import of_decoding
from tradewind.http.sign_in import Guest

HEAD = "/api/v1/models/"
TAIL = "/predict"
ROUTE = HEAD + "{model}" + TAIL
ARROW = b"application/vnd.apache.arrow.stream"
JSON = b"application/json"


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What may be asked: rows, or every series that fits `where` for the next `horizon` periods."""

    rows: list[dict[str, Any]] | None = None
    horizon: int | None = None
    where: dict[str, str | int | float | bool] | None = None
    explain: bool = False
    key: str = ""
    version: int | None = None
    by: list[str] | None = None
    quantiles: list[float] | None = None


class Gone(Exception):
    """The client hung up before its body was here."""


_DECODER = msgspec.json.Decoder(Question)


def model_of(path: str) -> str:
    """Return the model a path asks to predict with, or "" where it is another address."""
    if path.startswith(HEAD) and path.endswith(TAIL):
        model = path[len(HEAD) : -len(TAIL)]
        return "" if "/" in model else model
    return ""


class Predict:
    """Answer predictions: kept answers at once on the event loop, all others in a few threads."""

    def __init__(self, limits: Limits, measures: Measures) -> None:
        self._limits = limits
        self._measures = measures
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="predict")
        self._waiting = 0

    async def answer(self, guest: Guest, model: str, receive: Receive, *, kind: bytes, accept: bytes, length: int) -> tuple[bytes, bytes]:
        """Return the content type and the body of the answer; raises our errors, and Gone."""
        body = await read(receive, self._limits, length)
        if kind.startswith(ARROW):
            asked: Any = await asyncio.get_running_loop().run_in_executor(self._threads, read_arrow, body, self._limits.rows)
            question = Question()
        else:
            question = decode(body, self._limits.rows)
            asked = question.rows
        use = partial(
            guest.desk.predict,
            model,
            asked,
            horizon=question.horizon,
            where=question.where,
            explain=question.explain,
            key=question.key,
            version=question.version,
            by=question.by,
            quantiles=question.quantiles,
        )
        if (
            asked is None
            and question.version is None
            and not question.by
            and not question.quantiles
            and guest.desk.cached(model, horizon=question.horizon, where=question.where or {}, explain=question.explain, key=question.key)
        ):
            found: Answer = use()  # a look-up of microseconds: a thread would cost more than it saves
        else:
            found = await self._in_thread(use)
        self._measures.prediction(model, len(found.table) if found.table is not None else 0)
        if accept.startswith(ARROW):
            return ARROW, await asyncio.get_running_loop().run_in_executor(self._threads, write_arrow, found)
        return JSON, show.json(found)

    async def _in_thread(self, use: partial[Answer]) -> Answer:
        if self._waiting >= self._limits.waiting:
            raise TooMany(
                f"{self._waiting} predictions are waiting", hint="send several rows in one request rather than one row in several"
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _rendered, use)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _rendered(use: partial[Answer]) -> Answer:
    answer = use()
    show.json(answer)  # written here, in the thread, so that the event loop only sends it
    return answer


async def read(receive: Receive, limits: Limits, length: int) -> bytes:
    """Read a whole body; raises TooBig, Gone, and TimedOut by way of the gate's patience."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    pieces = [body]
    more = counted(receive, limits.body - len(body))
    while message.get("more_body", False):
        message = await more()
        if message["type"] == "http.disconnect":
            raise Gone
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


def decode(body: bytes, most: int) -> Question:
    """Read a question from JSON; raises InvalidInput, EmptyTable and TooBig."""
    try:
        question = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise of_decoding(error) from error
    if question.rows is None:
        if question.horizon is None and question.where is None:
            raise InvalidInput("the body asks nothing", hint='send {"rows": [{...}]} or {"horizon": 30, "where": {...}}')
        return question
    if question.horizon is not None or question.where is not None:
        raise InvalidInput("rows cannot be joined with horizon or where", hint="rows name their own dates and keys")
    if not question.rows:
        raise EmptyTable("rows is empty", hint='send {"rows": [{...}]} with at least one row')
    if len(question.rows) > most:
        raise TooBig(f"{len(question.rows):,} rows are over the limit of {most:,} per request", hint="send them in several requests")
    return question


def read_arrow(body: bytes, most: int) -> Any:
    """Read an Arrow IPC stream; raises Unreadable, EmptyTable and TooBig."""
    import pyarrow as pa

    batches, rows = [], 0
    try:
        with pa.ipc.open_stream(body) as stream:
            for batch in stream:
                rows += batch.num_rows
                if rows > most:
                    raise TooBig(f"the stream holds more than {most:,} rows", hint="send them in several requests")
                batch.validate(full=True)
                batches.append(batch)
            table = pa.Table.from_batches(batches, stream.schema)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise Unreadable(
            f"the body is not an Arrow stream: {error}", hint="write it with pyarrow.ipc.new_stream or polars write_ipc_stream"
        ) from error
    if rows == 0:
        raise EmptyTable("the Arrow stream holds no rows")
    return table


def write_arrow(answer: Answer) -> bytes:
    """Write the table of an answer as an Arrow IPC stream."""
    import io

    out = io.BytesIO()
    show.frame(answer).write_ipc_stream(out)
    return out.getvalue()


def described(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of the route; `schemas` are the models' `asks` as JSON schemas."""
    rows = {"type": "array", "maxItems": 100_000, "items": {"anyOf": list(schemas.values()) or [{"type": "object"}]}}
    where = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}, "examples": [{"product": "P1"}]}
    either = [{"required": ["rows"]}, {"required": ["horizon"]}, {"required": ["where"]}]
    plain = {
        "explain": {"type": "boolean", "default": False},
        "key": {"type": "string", "description": "the stable key that decides between two versions of a split"},
        "version": {"type": "integer"},
        "by": {
            "type": "array",
            "items": {"type": "string"},
            "description": "add rows up, with bounds of the sums: by keys, static texts, one of date, week, month; or total alone",
            "examples": [["store", "category", "week"]],
        },
        "quantiles": {
            "type": "array",
            "maxItems": 99,
            "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "description": "quantiles to add, as columns q10, q97.5",
        },
    }
    body = {
        "type": "object",
        "additionalProperties": False,
        "anyOf": either,
        "properties": {"rows": rows, "horizon": {"type": "integer", "minimum": 1}, "where": where, **plain},
    }
    return {
        "required": True,
        "content": {"application/json": {"schema": body}, ARROW.decode(): {"schema": {"type": "string", "format": "binary"}}},
    }
