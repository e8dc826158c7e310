"""Text files to columns of text: encoding, separator, header and decimal mark are found out, not assumed."""

from __future__ import annotations

import codecs
import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.errors import EmptyTable, TooBig, Unreadable
from tradewind.data.parse import SIGNS

TAIL = 1 << 16  # bytes in which the last line is looked for
CELL_LIMIT = 1 << 20  # bytes in one cell
SAMPLE = 1 << 18  # bytes that are looked at to guess the separator and the header
BLOCK = 1 << 22
SEPARATORS = ",;\t|"
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNDEFINED_IN_1252 = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
COMMA_DECIMAL = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+")
POINT_DECIMAL = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)\.\d+")
COMMA_GROUPS, POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}"), re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")  # or three decimals
COMMA_MILLIONS, POINT_MILLIONS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3}){2,}"), re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3}){2,}")
MONTH = re.compile(r"(0?[1-9]|1[0-2])\.(19|20)\d\d")  # 12.2024 is a date, no figure
BELOW_GROUPS = re.compile(r"[+-]?\d{1,3}")
HINT = "save it again as CSV (UTF-8), Excel or Parquet"

Source = Path | bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text file is written."""

    encoding: str
    separator: str
    skip: int  # lines above the header
    header: bool
    decimal: str


def decode(source: Source, name: str) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Read a separated text file; raises EmptyTable, Unreadable or TooBig."""
    encoding = _encoding(source)
    plain: Source = source if encoding == "utf-8" else _transcode(source, encoding, name)
    with _stream(plain) as opened:
        head = opened.read(SAMPLE)
    if b"\r" in head and b"\n" not in head:  # lines end as on old Macs
        plain = b"".join(_blocks(plain)).replace(b"\r", b"\n")
        head = plain[:SAMPLE]
    text = head.decode("utf-8", errors="ignore").removeprefix("\ufeff")
    if not text.strip():
        raise EmptyTable(f"{name} is empty", hint="a table needs a header line and at least one row")
    if "\0" in text:
        raise Unreadable(f"{name} is no text, and of no other kind that we know", hint=HINT)
    layout = _layout(text, encoding, whole=len(head) < SAMPLE)
    frame = _parse(plain, layout, name)
    if not frame.height:
        raise EmptyTable(f"{name} has a header and no rows", hint="a table needs at least one row")
    _check_cells(frame, name)
    if not layout.header:
        frame.columns = [f"column_{at}" for at in range(1, frame.width + 1)]
    return pl.DataFrame([shrink(column) for column in frame.iter_columns()]), (*_facts(layout), *_torn(plain, layout, frame.width))


def inflate(source: Source, limit: int, name: str) -> bytes:
    """Unpack a .gz, refusing one that would grow past the limit."""
    engine = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    size, complete = 0, False
    try:
        for block in _blocks(source):
            data = block
            while data:
                parts.append(engine.decompress(data, limit - size + 1))
                size += len(parts[-1])
                if size > limit:
                    raise TooBig(f"{name} unpacks to more than {limit >> 20} MB", hint="split the file, or raise the limit")
                complete = engine.eof
                if complete:
                    data = engine.unused_data
                    engine = zlib.decompressobj(wbits=31)
                else:
                    data = engine.unconsumed_tail
    except zlib.error as error:
        raise Unreadable(f"{name} is a damaged .gz file", hint="pack it again") from error
    if not complete:
        raise Unreadable(f"{name} is a .gz file that was cut short", hint="pack or copy it again")
    return b"".join(parts)


def shrink(column: pl.Series) -> pl.Series:
    """Hold text that is whole numbers as numbers where nothing is lost by it (007 stays text)."""
    if column.dtype != pl.String or column.null_count() == len(column):
        return column
    if column.head(1000).cast(pl.Int64, strict=False).null_count() > column.head(1000).null_count():
        return column
    made = column.cast(pl.Int64, strict=False)
    if made.null_count() != column.null_count():
        return column
    length = made.cast(pl.String).str.len_bytes().sum()
    return made if length == column.str.len_bytes().sum() else column


def _facts(layout: Layout) -> tuple[Fact, ...]:
    shown = {"\t": "tab", " ": "space"}.get(layout.separator, layout.separator)
    facts = [
        Fact("encoding", layout.encoding, meaning="how the letters are written"),
        Fact("separator", shown, meaning="what stands between two cells"),
        Fact("decimal_mark", layout.decimal, meaning="what stands before the decimals"),
    ]
    if layout.skip:
        facts.append(Fact("lines_above_header", layout.skip, "lines", "left out: they are no table"))
    if not layout.header:
        facts.append(Fact("header", False, meaning="the first line already holds values; the columns are named column_1, column_2, ..."))
    return tuple(facts)


def _torn(source: Source, layout: Layout, width: int) -> tuple[Fact, ...]:
    """Say where the last line has no end and fewer cells than the others: what a copy leaves that was stopped in the middle."""
    with _stream(source) as opened:
        size = opened.seek(0, io.SEEK_END)
        opened.seek(max(size - TAIL, 0))
        _, end, last = opened.read().decode("utf-8", errors="replace").rpartition("\n")
    cells = next(csv.reader([last.rstrip("\r")], delimiter=layout.separator), [])
    if not end or not last.strip() or '"' in last or len(cells) >= width:
        return ()
    return (Fact("last_line", len(cells), "cells", f"of {width}, and without an end: was the file cut short?"),)


def _stream(source: Source) -> BinaryIO:
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def _blocks(source: Source) -> Iterator[bytes]:
    with _stream(source) as opened:
        while block := opened.read(BLOCK):
            yield block


def _encoding(source: Source) -> str:
    """Name the encoding: byte-order mark, then UTF-8 if every byte agrees, then the Western code pages."""
    first = next(_blocks(source), b"")
    for mark, name in BOMS:
        if first.startswith(mark):
            return name
    head = first[:4096]
    if head.count(b"\0") > len(head) // 4:
        return "utf-16-le" if head[1::2].count(b"\0") > head[::2].count(b"\0") else "utf-16-be"
    strict = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(source):
            strict.decode(block)
        strict.decode(b"", final=True)
    except UnicodeDecodeError:
        odd = any(byte in UNDEFINED_IN_1252 for block in _blocks(source) for byte in set(block))
        return "latin-1" if odd else "cp1252"
    return "utf-8"


def _transcode(source: Source, encoding: str, name: str) -> bytes:
    if encoding == "utf-8-sig":
        return b"".join(_blocks(source))[3:]
    try:
        return b"".join(_blocks(source)).decode(encoding).encode()
    except UnicodeError as error:
        raise Unreadable(f"{name} is not {encoding} text although it begins like it", hint=HINT) from error


def _layout(text: str, encoding: str, *, whole: bool) -> Layout:
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines.pop()  # may be cut in the middle
    separator = _separator(lines)
    rows = [row for row in csv.reader(lines[:500], delimiter=separator) if row]
    width = Counter(len(row) for row in rows).most_common(1)[0][0] if rows else 1
    skip = _above(lines, separator, width)
    body = [row for row in csv.reader(lines[skip:500], delimiter=separator) if row]
    return Layout(encoding, separator, skip, _has_header(body), _decimal(body, separator))


def _separator(lines: list[str]) -> str:
    """Choose the mark that cuts the lines into the same number of cells, more than one, most often."""
    best, best_score = ",", 0.0
    for mark in SEPARATORS:
        widths = Counter(len(row) for row in csv.reader(lines[:200], delimiter=mark) if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        score = count / max(1, sum(widths.values())) * (1 + 0.01 * width) if width > 1 else 0.0
        if score > best_score + 1e-9:
            best, best_score = mark, score
    return best


def _above(lines: list[str], separator: str, width: int) -> int:
    """Count title lines above the header: the leading lines with at most one cell, in a table of several."""
    if width < 2:
        return 0
    for at, line in enumerate(lines[:30]):
        cells = next(csv.reader([line], delimiter=separator), [])
        if sum(1 for cell in cells if cell.strip()) > 1:
            return at
    return 0


def _has_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row names columns: in a file without a header, columns of numbers begin with one."""
    if len(rows) < 2:
        return True
    first, rest = rows[0], rows[1:]
    numeric = [at for at in range(len(first)) if all(at < len(row) and NUMBER.fullmatch(row[at].strip()) for row in rest[:50])]
    as_years = all(re.fullmatch(r"(19|20)\d\d", first[at].strip()) for at in numeric)
    return not numeric or as_years or not all(NUMBER.fullmatch(first[at].strip()) for at in numeric)


def _decimal(rows: list[list[str]], separator: str) -> str:
    columns = [[cell for cell in (re.sub(SIGNS, "", cell) for cell in column) if cell] for column in zip_longest(*rows[1:], fillvalue="")]
    cells = [cell for column in columns for cell in column if not MONTH.fullmatch(cell)]  # as numbers are read: 1 234,50 EUR is one
    comma, point = ([cell for cell in cells if kind.fullmatch(cell)] for kind in (COMMA_DECIMAL, POINT_DECIMAL))
    by_comma = sum(1 for cell in comma if not COMMA_GROUPS.fullmatch(cell)) + sum(1 for cell in cells if POINT_MILLIONS.fullmatch(cell))
    by_point = sum(1 for cell in point if not POINT_GROUPS.fullmatch(cell)) + sum(1 for cell in cells if COMMA_MILLIONS.fullmatch(cell))
    usual = "," if separator == ";" else "."  # who writes semicolons between cells writes commas before decimals
    if by_comma or by_point:
        return usual if by_comma == by_point else "," if by_comma > by_point else "."
    if separator == ",":  # nothing but 1,234: quoted in a comma file these are thousands
        return usual
    if any(_beside_hundreds(column, COMMA_GROUPS) for column in columns):
        return "."
    if any(_beside_hundreds(column, POINT_GROUPS) for column in columns):
        return ","
    return usual if separator == ";" and (comma or point) else "," if len(comma) > len(point) else "."


def _beside_hundreds(column: list[str], groups: re.Pattern[str]) -> bool:
    """Tell whether a column holds 1.234 and 950 and nothing else: with decimals, 950 would have them too."""
    grouped = [cell for cell in column if groups.fullmatch(cell)]
    whole = [cell for cell in column if BELOW_GROUPS.fullmatch(cell)]
    return bool(grouped) and len(grouped) + len(whole) == len(column) and any(len(cell.lstrip("+-")) == 3 for cell in whole)


def _parse(source: Source, layout: Layout, name: str) -> pl.DataFrame:
    try:
        return pl.read_csv(
            source,
            separator=layout.separator,
            skip_lines=layout.skip,
            has_header=layout.header,
            infer_schema=False,
            glob=False,
        )
    except pl.exceptions.NoDataError as error:
        raise EmptyTable(f"{name} is empty", hint="a table needs a header line and at least one row") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Unreadable(
            _complaint(source, layout, name, str(error)), hint=f"put quotes round cells that hold the separator, or {HINT}"
        ) from error


def _complaint(source: Source, layout: Layout, name: str, message: str) -> str:
    """Name the first row that is wider than the header, which is what such errors are about."""
    with _stream(source) as opened, io.TextIOWrapper(opened, "utf-8", errors="replace", newline="") as text:
        for _ in range(layout.skip):
            next(text, None)
        try:
            rows = csv.reader(text, delimiter=layout.separator)
            width = len(next(rows, []))
            for row in rows:
                if len(row) > width:
                    return f"{name}: line {rows.line_num + layout.skip} has {len(row)} cells, the header has {width}"
        except csv.Error as error:
            return f"{name}: {error}"
    return f"{name} cannot be read: {message.splitlines()[0] if message else 'damaged'}"


def _check_cells(frame: pl.DataFrame, name: str) -> None:
    for column in frame.iter_columns():
        sizes = column.str.len_bytes()
        if (sizes.max() or 0) > CELL_LIMIT:  # type: ignore[operator]
            at = sizes.arg_max() or 0
            raise TooBig(
                f'{name}: the cell in row {at + 1}, column "{column.name}" is larger than 1 MB',
                hint="a quote that is never closed can swallow a whole file",
            )
