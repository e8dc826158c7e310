"""Any source to columns: files by their content, frames, and queries of a database."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.errors import EmptyTable, InvalidInput, MissingExtra, NotFound, TooBig, Unreadable
from tradewind.core.table import Table
from tradewind.data.decode import CELL_LIMIT, Source, decode, inflate

FILE_LIMIT = 4 << 30  # bytes
MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PAR1", "parquet"),
    (0, b"PK\x03\x04", "excel"),
    (0, b"\xd0\xcf\x11\xe0", "excel"),
    (0, b"\x1f\x8b", "gz"),
    (0, b"SQLite format 3\0", "sqlite"),
    (8, b"DUCK", "duckdb"),
    (0, b"ARROW1", "arrow"),
)
KINDS = "csv, tsv, xlsx, parquet, json lines, .gz of these, a DuckDB or SQLite file, a postgresql:// address, pandas, polars or Arrow"


@dataclass(frozen=True, slots=True)
class Raw:
    """What was read, as it stands in the source; `digest` names the source's bytes."""

    frame: pl.DataFrame
    facts: tuple[Fact, ...]
    name: str
    digest: str

    @property
    def decimal(self) -> str:
        """Return what stands before the decimals."""
        return next((str(fact.value) for fact in self.facts if fact.name == "decimal_mark"), ".")


def read(source: Any, *, query: str | None = None, sheet: str | None = None, name: str = "", limit: int = FILE_LIMIT) -> Raw:
    """Read a path, bytes, a pandas, polars or Arrow frame, a Table, or a `postgresql://` address with a query.

    A database file needs `query`, or holds one table. `limit` is in bytes, unpacked.
    Raises EmptyTable, Unreadable, TooBig, NotFound, MissingExtra.
    """
    if isinstance(source, str) and source.startswith(("postgresql://", "postgres://")):
        return _finish(_postgres(source, query), (Fact("kind", "postgresql"),), name or "query", "")
    if isinstance(source, str | Path):
        return _read_file(Path(_local(source)), query, sheet, name, limit)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        if len(data) > limit:
            raise TooBig(f"the upload is larger than {limit >> 20} MB", hint="split it, or raise the limit")
        return _read_kind(data, query, sheet, name=name or "upload", limit=limit, digest=hashlib.sha256(data).hexdigest())
    table = source if isinstance(source, Table) else Table.from_frame(source)
    return _finish(table.frame, (Fact("kind", type(source).__name__),), name or "frame", "")


def _local(source: str | Path) -> str | Path:
    if isinstance(source, str) and "://" in source:
        raise InvalidInput(f"{source.split('://')[0]}:// addresses are not read: nothing here reaches out", hint=f"give {KINDS}")
    return source


def _read_file(path: Path, query: str | None, sheet: str | None, name: str, limit: int) -> Raw:
    if path.is_dir():
        raise Unreadable(f"{path} is a folder", hint="give one file")
    try:
        size = path.stat().st_size
        if size > limit:
            raise TooBig(f"{path.name} has {size >> 20} MB, the limit is {limit >> 20} MB", hint="split it, or raise the limit")
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}") from error
    except OSError as error:
        raise Unreadable(f"{path} cannot be opened: {error.strerror}") from error
    return _read_kind(path, query, sheet, name=name or path.name, limit=limit, digest=digest)


def _read_kind(source: Source, query: str | None, sheet: str | None, *, name: str, limit: int, digest: str) -> Raw:
    label = source.name if isinstance(source, Path) else name
    kind = _kind(source, label)
    if kind == "gz":
        source = inflate(source, limit, name)
        name = name.removesuffix(".gz")
        kind = _kind(source, label.removesuffix(".gz"))
    if query is not None and kind not in ("sqlite", "duckdb"):
        raise InvalidInput(f"{name} is no database, so it takes no query", hint="leave --query out")
    if sheet is not None and kind != "excel":
        raise InvalidInput(f"{name} is no workbook, so it has no sheet", hint="leave --sheet out")
    if kind == "text":
        frame, facts = decode(source, name)
        return _finish(frame, facts, name, digest)
    if kind in ("sqlite", "duckdb"):
        if not isinstance(source, Path):
            raise InvalidInput(f"{name}: a database is read from a file, not from bytes", hint="give its path")
        frame = _sqlite(source, query) if kind == "sqlite" else _duckdb(source, query)
        return _finish(frame, (Fact("kind", kind),), name, digest)
    return _finish(_typed(kind, source, sheet, name), (Fact("kind", kind),), name, digest)


def _kind(source: Source, name: str) -> str:
    """Tell the kind by the first bytes; the name only separates json from csv."""
    if isinstance(source, Path):
        with source.open("rb") as opened:
            head = opened.read(4096)
    else:
        head = source[:4096]
    if not head:
        raise EmptyTable(f"{name} is empty", hint="a table needs a header line and at least one row")
    for at, mark, kind in MAGIC:
        if head[at : at + len(mark)] == mark:
            return kind
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"{" or (start == b"[" and name.lower().endswith((".json", ".jsonl", ".ndjson"))):
        return "json lines" if start == b"{" else "json"
    return "text"


def _typed(kind: str, source: Source, sheet: str | None, name: str) -> pl.DataFrame:
    """Read a kind of file that carries its own types."""
    readers: dict[str, Callable[[Any], pl.DataFrame]] = {
        "parquet": lambda file: pl.read_parquet(file, glob=False),
        "arrow": pl.read_ipc,
        "json lines": lambda file: pl.read_ndjson(file, infer_schema_length=None),
        "json": lambda file: pl.read_json(file, infer_schema_length=None),
        "excel": lambda file: _excel(file, sheet, name),
    }
    try:
        return readers[kind](source if isinstance(source, Path) else io.BytesIO(source))
    except (EmptyTable, NotFound):
        raise
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise Unreadable(
            f"{name} is a damaged {kind} file: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}",
            hint="write it again",
        ) from error


def _excel(file: Any, sheet: str | None, name: str) -> pl.DataFrame:
    import fastexcel

    book = fastexcel.read_excel(file.getvalue() if isinstance(file, io.BytesIO) else str(file))
    names = list(book.sheet_names)
    if sheet is not None and sheet not in names:
        raise NotFound(f"{name} has no sheet {sheet!r}", hint=f"sheets: {', '.join(names)}")
    for chosen in [sheet] if sheet is not None else names:
        frame: pl.DataFrame = book.load_sheet(chosen, schema_sample_rows=None).to_polars()
        if frame.height or sheet is not None:
            return frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame.width else frame
    raise EmptyTable(f"{name} has no sheet with rows")


def _one_table(names: list[str], name: str) -> str:
    if len(names) != 1:
        what = "no table" if not names else f"{len(names)} tables"
        raise InvalidInput(
            f"{name} holds {what}",
            hint=f"say which by --query; there are: {', '.join(names[:20]) or 'none'}",
        )
    return '"' + names[0].replace('"', '""') + '"'


def _sqlite(path: Path, query: str | None) -> pl.DataFrame:
    """Run one query on a SQLite file opened read-only."""
    try:
        link = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            link.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            if query is None:
                found = link.execute(
                    "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%' order by name"
                )
                query = f"select * from {_one_table([row[0] for row in found], path.name)}"  # noqa: S608 - the name comes from the file and is quoted
            rows = link.execute(query)
            return _of_rows([column[0] for column in rows.description or ()], rows.fetchall())
        finally:
            link.close()
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _refused(path.name, error) from error


def _duckdb(path: Path, query: str | None) -> pl.DataFrame:
    """Run one query on a DuckDB file opened read-only; extensions and other files stay out of reach."""
    import duckdb

    locked = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "enable_external_access": False,
        "allow_community_extensions": False,
    }
    try:
        link = duckdb.connect(str(path), read_only=True, config=locked)
        try:
            link.execute("SET python_enable_replacements = false; SET lock_configuration = true")
            if query is None:
                names = link.execute("select table_name from information_schema.tables order by 1").fetchall()
                query = f"select * from {_one_table([row[0] for row in names], path.name)}"  # noqa: S608 - the name comes from the file and is quoted
            found = link.sql(query)
            if found is None:
                raise InvalidInput("the query returns no rows", hint="give one SELECT")
            frame = pl.DataFrame(pl.from_arrow(found.to_arrow_table()))
        finally:
            link.close()
    except duckdb.Error as error:
        raise _refused(path.name, error) from error
    return frame


def _postgres(url: str, query: str | None) -> pl.DataFrame:
    if not query:
        raise InvalidInput("a PostgreSQL address needs a query", hint="--query 'select ... from ...'")
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtra("reading PostgreSQL needs psycopg, which is not installed", hint="pip install 'tradewind[postgres]'") from error
    try:
        with psycopg.connect(url, connect_timeout=10) as link:
            link.read_only = True
            rows = link.execute(query.encode())
            return _of_rows([column.name for column in rows.description or ()], rows.fetchall())
    except psycopg.Error as error:
        raise _refused("PostgreSQL", error) from error


def _refused(name: str, error: Exception) -> Unreadable:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return Unreadable(f"{name} refused the query: {first}", hint="check the query; the database is opened for reading only")


def _of_rows(names: list[str], rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Make columns of database rows; a column of several kinds becomes text."""
    if not names:
        raise InvalidInput("the query returns no rows", hint="give one SELECT")
    unique = [name if names.index(name) == at else f"{name}_{at}" for at, name in enumerate(names)]
    series = []
    for name, values in zip(unique, zip(*rows, strict=True) if rows else [()] * len(names), strict=True):
        kinds = {type(value) for value in values if value is not None}
        mixed = len(kinds) > 1 and not kinds <= {int, float, bool}
        plain = [None if value is None else str(value) for value in values] if mixed else list(values)
        series.append(pl.Series(name, plain, strict=False))
    return pl.DataFrame(series)


def _finish(frame: pl.DataFrame, facts: tuple[Fact, ...], name: str, digest: str) -> Raw:
    if not frame.width or not frame.height:
        raise EmptyTable(f"{name} has no rows", hint="a table needs a header line and at least one row")
    plain = _plain(frame, name)
    counts = (Fact("rows_read", plain.height, "rows"), Fact("columns_read", plain.width, "columns"))
    return Raw(plain, facts + counts, name, digest or _digest(plain))


def _plain(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Bring every column to number, date, timestamp, flag or text; refuse nested values and huge cells."""
    made = []
    for column in frame.iter_columns():
        dtype = column.dtype
        if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
            raise Unreadable(f'{name}: column "{column.name}" holds nested or binary values', hint="give one plain value per cell")
        if dtype in (pl.Categorical, pl.Enum, pl.Null):
            column = column.cast(pl.String)  # noqa: PLW2901
        elif dtype.is_decimal():
            column = column.cast(pl.Float64)  # noqa: PLW2901
        elif dtype in (pl.Time, pl.Duration):
            column = column.cast(pl.Int64).cast(pl.String)  # noqa: PLW2901
        if column.dtype == pl.String and (column.str.len_bytes().max() or 0) > CELL_LIMIT:  # type: ignore[operator]
            at = column.str.len_bytes().arg_max() or 0
            raise TooBig(f'{name}: the cell in row {at + 1}, column "{column.name}" is larger than 1 MB')
        made.append(column)
    return pl.DataFrame(made)


def _digest(frame: pl.DataFrame) -> str:
    """Name a frame by its content."""
    seen = hashlib.sha256()
    for column in frame.iter_columns():
        buffer = io.BytesIO()
        column.to_frame().write_parquet(buffer, compression="uncompressed", statistics=False)
        seen.update(buffer.getbuffer())
    return seen.hexdigest()
