"""Keep tables as sealed partitions: appending a day rewrites one month, the same rows again rewrite nothing."""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import numpy as np
import polars as pl

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn, NotFound, Tampered
from tradewind.core.schema import Role, Schema, Type
from tradewind.core.table import Table
from tradewind.data.parse import text
from tradewind.data.types import DTYPES

FORMAT = 1
ISO = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?)?)?$")  # a date, a moment, or the head of one
SHARDS = 16  # parts of a month in a table of customers, so that one of them can be forgotten
MANY_ROWS = 50_000  # from here on a table of customers is split
NO_TIME = "none"
SHARD = "__shard"
PERIOD = "__period"


class Blobs(Protocol):
    """What keeps immutable bytes under their digest: the vault's blobs."""

    def put(self, data: bytes) -> str:
        """Keep bytes; return their digest."""
        ...

    def has(self, digest: str) -> bool:
        """Tell whether the bytes are kept."""
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest; raises NotFound or Tampered."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeping did: the digest of the new manifest, rows now, rows added and replaced, first and last day."""

    digest: str
    rows: int
    added: int
    replaced: int
    span: tuple[str, str] | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One partition: month and shard, its blob, its rows, its first and last moment."""

    key: str
    digest: str
    rows: int
    low: str
    high: str

    def as_dict(self) -> dict[str, Any]:
        """Return the partition as plain data."""
        return {"key": self.key, "digest": self.digest, "rows": self.rows, "min": self.low, "max": self.high}


def keep(blobs: Blobs, before: str | None, table: str, fresh: Table) -> Kept:
    """Merge rows into a table; a fresh row replaces the kept row of the same key. `before` is the digest of its manifest.

    Raises BadValue where the fresh rows have another key or other types than the kept ones, EmptyTable for none.
    """
    if not len(fresh):
        raise EmptyTable(f"there are no rows to keep in {table}")
    old = _manifest(blobs, before) if before else None
    schema = _merged(old["schema"], fresh.schema, table) if old else fresh.schema.select(fresh.names)
    shards = _shards(schema, max(len(fresh), old["rows"] if old else 0))
    parts: dict[str, Part] = {part.key: part for part in old["parts"]} if old else {}
    if old and old["shards"] != shards:  # the table grew past the limit: split what was kept before as well
        parts = _write_all(blobs, _fit(_load(blobs, parts.values(), None), schema), schema, shards)
    added = replaced = 0
    for key, rows in _split(_fit(fresh.frame, schema), schema, shards):
        kept = _fit(_load(blobs, [parts[key]], None), schema) if key in parts else None
        merged, new, other = _merge(kept, rows, schema.key)
        added, replaced = added + new, replaced + other
        if new or other or key not in parts:
            parts[key] = _write(blobs, key, merged, schema)
    digest, count, span = _seal(blobs, table, schema, shards, parts.values())
    return Kept(digest, count, added, replaced, span, digest != before)


def restore(
    blobs: Blobs,
    digest: str,
    *,
    columns: Iterable[str] | None = None,
    where: Mapping[str, Any] | None = None,
    since: str | date | None = None,
    until: str | date | None = None,
) -> Table:
    """Read a table back; only the partitions that can hold asked rows are opened.

    `where` is column -> value or list of values; `since` and `until` are dates or their ISO text, a year or month of one too, both
    inclusive. Raises MissingColumn, BadValue.
    """
    since, until = _moment(since, "since"), _moment(until, "until")
    found = _manifest(blobs, digest)
    schema: Schema = found["schema"]
    wanted = tuple(columns) if columns is not None else schema.names
    chosen = {name: list(value) if isinstance(value, list | tuple | set | frozenset) else [value] for name, value in (where or {}).items()}
    for name in (*wanted, *chosen):
        if name not in schema:
            raise MissingColumn(f'column "{name}" is missing in {found["table"]}', hint=f"there are: {', '.join(schema.names)}")
    parts = [part for part in found["parts"] if _may_hold(part, chosen, since, until, found["shards"])]
    time = schema.time
    if time is None and (since or until):
        raise BadValue(f"{found['table']} has no dates, so it has no rows since or until one")
    filters = [time] if time and (since or until) else []
    frame = _fit(
        _load(blobs, parts, {*wanted, *chosen, *filters}),
        schema.select(name for name in schema.names if name in {*wanted, *chosen, *filters}),
    )
    for name, values in chosen.items():
        frame = frame.filter(pl.col(name).is_in(_values(values, schema, name)))
    if filters and time:
        frame = frame.filter(_between(time, since, until))
    return Table(schema.select(wanted), frame=frame.select(wanted))


def manifest(blobs: Blobs, digest: str) -> dict[str, Any]:
    """Return the manifest of a table as plain data: table, schema, parts, rows, span."""
    said: dict[str, Any] = _read_manifest(blobs, digest)
    return said


def forget(blobs: Blobs, digest: str, customer: str) -> tuple[str, tuple[str, ...]]:
    """Rewrite the partitions that hold a customer without it; return the new manifest and the blobs that must be dropped.

    The manifest given, and the older ones of the table, stay readable until their blobs are dropped: forget in each of them.
    """
    found = _manifest(blobs, digest)
    schema: Schema = found["schema"]
    if "customer" not in schema:
        return digest, ()
    parts: dict[str, Part] = {part.key: part for part in found["parts"]}
    dropped: list[str] = []
    for part in list(parts.values()):
        if not _may_hold(part, {"customer": [customer]}, None, None, found["shards"]):
            continue
        if not blobs.has(part.digest):  # an earlier erasure shredded it
            continue
        rows = _fit(_load(blobs, [part], None), schema)
        left = rows.filter(pl.col("customer").ne_missing(customer))
        if left.height == rows.height:
            continue
        dropped.append(part.digest)
        if left.height:
            parts[part.key] = _write(blobs, part.key, left, schema)
        else:
            del parts[part.key]
    if not dropped:
        return digest, ()
    made, _, _ = _seal(blobs, found["table"], schema, found["shards"], parts.values())
    kept = {part.digest for part in parts.values()}
    return made, tuple(name for name in dropped if name not in kept)


def _merged(kept: Schema, fresh: Schema, table: str) -> Schema:
    if set(kept.key) != set(fresh.key):
        more, fewer = sorted(set(fresh.key) - set(kept.key)), sorted(set(kept.key) - set(fresh.key))
        what = f"also have {', '.join(more)}" if more else f"have no {', '.join(fewer)}"
        raise BadValue(
            f"the rows of {table} are kept by {', '.join(kept.key)}, but the new ones {what}",
            hint="load them with the same key columns, or into another workspace",
        )
    for column in fresh:
        old = kept.get(column.name)
        if old is not None and old.type is not column.type and not (old.type is Type.TEXT and column.role not in (Role.TIME, Role.ENTITY)):
            raise BadValue(
                f'column "{column.name}" of {table} holds {old.type}s, the new rows hold {column.type}s',
                hint="correct the file, or map the column to another name",
            )
    return kept.with_columns(*(column for column in fresh if column.name not in kept))


def _shards(schema: Schema, rows: int) -> int:
    return SHARDS if "customer" in schema and rows >= MANY_ROWS else 1


def _fit(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Return the frame with exactly the schema's columns and types; columns it lacks are empty."""
    kinds = {column.name: DTYPES[column.type] for column in schema}
    if not frame.width:
        return pl.DataFrame(schema=kinds)
    made = []
    for name, dtype in kinds.items():
        if name not in frame.columns:
            made.append(pl.Series(name, [None], dtype=dtype).new_from_index(0, frame.height))
        elif dtype == pl.String and frame[name].dtype != pl.String:
            made.append(text(frame[name]))
        else:
            made.append(frame[name].cast(dtype))
    return pl.DataFrame(made)


def shard_of(customer: str | None, shards: int) -> int:
    """Return the shard of a customer: the same on every machine and in every run."""
    return zlib.crc32((customer or "").encode()) % shards


def _split(frame: pl.DataFrame, schema: Schema, shards: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """Cut rows into partitions, in the order of their names; rows of one key are one row, the last."""
    time = schema.time
    period = pl.col(time).dt.strftime("%Y-%m").fill_null(NO_TIME) if time else pl.lit(NO_TIME)
    marked = frame.with_columns(period.alias(PERIOD))
    by = [PERIOD]
    if shards > 1:
        names = marked["customer"].unique()
        places = [shard_of(name, shards) for name in names.to_list()]
        lookup = pl.DataFrame({"customer": names, SHARD: pl.Series(places, dtype=pl.UInt8)})
        marked = marked.join(lookup, on="customer", how="left", nulls_equal=True)
        by.append(SHARD)
    for label, rows in sorted(marked.partition_by(by, as_dict=True, include_key=False).items()):
        yield str(label[0]) if shards == 1 else f"{label[0]}/{label[1]:02d}", rows


def _merge(kept: pl.DataFrame | None, rows: pl.DataFrame, key: tuple[str, ...]) -> tuple[pl.DataFrame, int, int]:
    """Return the merged rows, how many are new, and how many replaced a row that differs."""
    fresh = rows.unique(subset=list(key), keep="last", maintain_order=True) if key else rows.unique(maintain_order=True)
    on = list(key) or rows.columns
    if kept is None:
        return fresh, fresh.height, 0
    stays = kept.join(fresh, on=on, how="anti", nulls_equal=True)
    known = kept.height - stays.height
    same = fresh.join(kept, on=fresh.columns, how="semi", nulls_equal=True).height
    return pl.concat([stays, fresh]), fresh.height - known, known - same


def _write_all(blobs: Blobs, frame: pl.DataFrame, schema: Schema, shards: int) -> dict[str, Part]:
    return {key: _write(blobs, key, rows, schema) for key, rows in _split(frame, schema, shards)}


def _write(blobs: Blobs, key: str, rows: pl.DataFrame, schema: Schema) -> Part:
    """Write one partition, sorted by key, so that equal rows give equal bytes."""
    order = list(schema.key or schema.names)
    ordered = rows.sort(order, nulls_last=True, maintain_order=True).rechunk()
    buffer = io.BytesIO()
    ordered.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
    low, high = "", ""
    if schema.time and ordered.height and ordered[schema.time].null_count() < ordered.height:
        low, high = (_iso(value) for value in (ordered[schema.time].min(), ordered[schema.time].max()))
    return Part(key, blobs.put(buffer.getvalue()), ordered.height, low, high)


def _iso(moment: Any) -> str:
    return str(moment.isoformat())


def _seal(blobs: Blobs, table: str, schema: Schema, shards: int, parts: Iterable[Part]) -> tuple[str, int, tuple[str, str] | None]:
    """Write the manifest; return its digest, the rows and the span."""
    ordered = sorted(parts, key=lambda part: part.key)
    rows = sum(part.rows for part in ordered)
    dated = [part for part in ordered if part.low]
    span = (min(part.low for part in dated), max(part.high for part in dated)) if dated else None
    said = {
        "format": FORMAT,
        "table": table,
        "schema": schema.as_dict(),
        "shards": shards,
        "rows": rows,
        "span": list(span) if span else None,
        "parts": [part.as_dict() for part in ordered],
    }
    return blobs.put(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()), rows, span


def _read_manifest(blobs: Blobs, digest: str) -> dict[str, Any]:
    try:
        said = json.loads(blobs.get(digest))
        if said["format"] != FORMAT:
            raise NotFound(f"the table manifest {digest[:12]} has format {said['format']}, this version reads {FORMAT}")
        return dict(said)
    except (ValueError, KeyError, TypeError) as error:
        raise Tampered(f"the table manifest {digest[:12]} cannot be read") from error


def _manifest(blobs: Blobs, digest: str) -> dict[str, Any]:
    """Return the manifest with its schema and parts as objects."""
    said = _read_manifest(blobs, digest)
    parts = [Part(part["key"], part["digest"], part["rows"], part["min"], part["max"]) for part in said["parts"]]
    return said | {"schema": Schema.from_dict(said["schema"]), "parts": parts}


def _load(blobs: Blobs, parts: Iterable[Part], columns: Iterable[str] | None) -> pl.DataFrame:
    """Read partitions; columns that a partition does not have yet are left out of it."""
    frames = []
    wanted = set(columns) if columns is not None else None
    for part in parts:
        data = io.BytesIO(blobs.get(part.digest))
        try:
            here = None if wanted is None else [name for name in pl.read_parquet_schema(data) if name in wanted]
            frames.append(pl.read_parquet(io.BytesIO(data.getvalue()), columns=here))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise Tampered(f"a partition of the table ({part.key}) cannot be read") from error
    return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()


def _may_hold(part: Part, where: Mapping[str, list[Any]], since: str | None, until: str | None, shards: int) -> bool:
    if part.low and ((since and part.high[: len(since)] < since) or (until and part.low[: len(until)] > until)):
        return False
    if not part.low and (since or until):
        return False
    if shards > 1 and "customer" in where:
        return int(part.key.rpartition("/")[2]) in {shard_of(str(name), shards) for name in where["customer"]}
    return True


def _between(time: str, since: str | None, until: str | None) -> pl.Expr:
    """Compare as text: ISO dates and timestamps sort like the moments they name, and a day covers all its hours."""
    text = pl.col(time).dt.to_string("iso:strict")
    kept = text.is_not_null()
    if since:
        kept = kept & (text.str.slice(0, len(since)) >= since)
    if until:
        kept = kept & (text.str.slice(0, len(until)) <= until)
    return kept


def _moment(said: Any, argument: str) -> str | None:
    """Return a moment as the ISO text it was said by, a day where it is midnight; raises BadValue."""
    if said is None or said == "":
        return None
    text = str(said.isoformat() if isinstance(said, date) else said).strip().replace(" ", "T").removesuffix("Z").removesuffix("T00:00:00")
    try:
        fine = ISO.match(text) is not None and not np.isnat(np.datetime64(text))
    except ValueError:
        fine = False
    if not fine:
        raise BadValue(f"{argument} must be a date, not {said!r:.60}", hint="write dates as in 2026-11-30; 2026-11 is a month")
    return text


def _values(values: list[Any], schema: Schema, name: str) -> list[Any]:
    """Return the asked values in the column's own type; raises BadValue."""
    column = schema.get(name)
    kind = column.type if column else Type.TEXT
    try:
        if kind is Type.TEXT:
            return [None if value is None else str(value) for value in values]
        if kind is Type.DATE:
            return [date.fromisoformat(str(value)[:10]) for value in values]
        if kind is Type.TIMESTAMP:
            return [datetime.fromisoformat(str(value)) for value in values]
        return pl.Series(values, strict=False).cast(DTYPES[kind]).to_list()
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise BadValue(f'column "{name}" holds {kind}s, which {values!r} are not') from error
