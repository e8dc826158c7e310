"""Show an answer as text, HTML, JSON or a file. One renderer, used by every face."""

from __future__ import annotations

import html as markup
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tradewind.core.errors import BadValue, DiskFull, EmptyTable, InvalidInput
from tradewind.core.fact import Fact
from tradewind.core.table import Table

if TYPE_CHECKING:
    import polars as pl

ROWS = 20
FORMULA = r"^[=+\-@\t\r]"


class Answer(Protocol):
    """What can be shown: `core.answer.Answer` is one."""

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Return the facts."""
        ...

    @property
    def table(self) -> Table | None:
        """Return the table."""
        ...

    @property
    def words(self) -> str:
        """Return the words."""
        ...

    @property
    def source(self) -> Mapping[str, Any]:
        """Return what made the answer."""
        ...

    @property
    def memo(self) -> dict[str, Any]:
        """Return the renderings kept so far."""
        ...


def number(value: Any) -> str:
    """Write a number for reading: three significant digits below a thousand, thousands separated."""
    if value is None:
        return "-"
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def line(fact: Fact) -> str:
    """Write one fact as a line."""
    return f"{fact.name}: {number(fact.value)}{' ' + fact.unit if fact.unit else ''}{'  (' + fact.meaning + ')' if fact.meaning else ''}"


def grid(answer: Answer, rows: int = ROWS) -> tuple[list[str], list[list[str]], int]:
    """Return the table as header, cells of the first rows, and the number of rows left out."""
    if answer.table is None:
        return [], [], 0
    head = answer.table.take(_first(rows, len(answer.table)))
    cells = [[number(row[name]) for name in head.names] for row in head.to_rows()]
    return list(head.names), cells, max(len(answer.table) - rows, 0)


def _first(rows: int, length: int) -> Any:
    import numpy as np

    return np.arange(min(rows, length))


def text(answer: Answer) -> str:
    """Write an answer as plain text."""
    names, cells, more = grid(answer)
    lines = [answer.words] if answer.words else []
    lines += [line(fact) for fact in answer.facts]
    if names:
        widths = [max(len(name), *(len(row[at]) for row in cells)) if cells else len(name) for at, name in enumerate(names)]
        lines += ["  ".join(value.rjust(width) for value, width in zip(row, widths, strict=True)) for row in [names, *cells]]
        lines += [f"... and {more} more rows"] if more else []
    return "\n".join(lines)


def html(answer: Answer) -> str:
    """Write an answer as an HTML fragment: no script, nothing fetched."""
    names, cells, more = grid(answer)
    said = [f"<p>{markup.escape(answer.words)}</p>"] if answer.words else []
    if answer.facts:
        said.append("<ul>" + "".join(f"<li>{markup.escape(line(fact))}</li>" for fact in answer.facts) + "</ul>")
    if names:
        head = "".join(f"<th>{markup.escape(name)}</th>" for name in names)
        body = "".join("<tr>" + "".join(f"<td>{markup.escape(cell)}</td>" for cell in row) + "</tr>" for row in cells)
        said.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        said += [f"<p>... and {more} more rows</p>"] if more else []
    return "\n".join(said)


def data(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain data: the one JSON shape of command line and REST."""
    said: dict[str, Any] = {}
    if answer.table is not None:
        said["rows"] = answer.table.to_rows()
    said["facts"] = [fact.as_dict() for fact in answer.facts]
    said["words"] = answer.words
    return {"answer": said, "source": dict(answer.source)}


def json(answer: Answer) -> bytes:
    """Write an answer as JSON; written once for an answer that is given out again."""
    if "json" not in answer.memo:
        answer.memo["json"] = msgspec.json.encode(data(answer))
    return bytes(answer.memo["json"])


def frame(answer: Answer) -> pl.DataFrame:
    """Return the table of an answer as a polars frame; without a table, its facts."""
    import polars as pl

    if answer.table is not None:
        return answer.table.frame
    if not answer.facts:
        raise EmptyTable("this answer holds neither a table nor facts")
    return pl.DataFrame(
        {
            "fact": [fact.name for fact in answer.facts],
            "value": [str(fact.value) for fact in answer.facts],
            "unit": [fact.unit for fact in answer.facts],
        }
    )


def save(answer: Answer, path: Path) -> Path:
    """Write the table of an answer to a file by its suffix; text that a spreadsheet would run gets a leading apostrophe."""
    made = frame(answer)
    try:
        match path.suffix.lower():
            case ".csv":
                escaped(made).write_csv(path)
            case ".xlsx":
                book = io.BytesIO()  # its writer says in a way of its own that a file cannot be made
                escaped(made).write_excel(book)
                path.write_bytes(book.getvalue())
            case ".parquet":
                made.write_parquet(path)
            case ".json":
                path.write_bytes(json(answer))
            case other:
                raise BadValue(f"cannot write {other or 'a file without a suffix'}", hint="use .csv, .xlsx, .parquet or .json")
    except OSError as error:
        said = f"cannot write {path}: {error.strerror or error}"
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError | PermissionError):
            raise InvalidInput(said, hint="name a folder that is there and may be written to") from error
        raise DiskFull(said, hint="free some space or choose another folder") from error
    return path


def escaped(made: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with text cells that start a formula made harmless."""
    import polars as pl

    return made.with_columns(
        [
            pl.when(pl.col(name).str.contains(FORMULA)).then(pl.concat_str([pl.lit("'"), pl.col(name)])).otherwise(pl.col(name)).alias(name)
            for name, dtype in made.schema.items()
            if dtype == pl.String
        ]
    )
