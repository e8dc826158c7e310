"""Commands for business tables."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.bar import progress
from tradewind.cli.call import Call, command, pairs
from tradewind.core.errors import BadValue

if TYPE_CHECKING:
    from tradewind.core.answer import Answer

PANEL = "Tables"
Where = Annotated[
    list[str] | None, typer.Option("--where", metavar="COLUMN=VALUE", help="Only rows with this value; may be given more than once.")
]


@command("load", PANEL, action="load")
def load(
    call: Call,
    source: Annotated[str, typer.Argument(metavar="FILE", help="csv, tsv, xlsx, parquet, json lines, DuckDB, SQLite, or postgresql://...")],
    *,
    table: Annotated[str | None, typer.Option("--table", "-t", help="Which business table it is; guessed by default.")] = None,
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="THEIRS=OURS", help="Name one of our columns in the file; may be repeated.")
    ] = None,
    wide: Annotated[
        list[str] | None, typer.Option("--wide", metavar="PATTERN=OURS", help="One column per product, as in 'QTY_{product}=units'.")
    ] = None,
    query: Annotated[str | None, typer.Option("--query", help="The SQL to run, for a database.")] = None,
    sheet: Annotated[str | None, typer.Option("--sheet", help="The sheet to read, for a workbook.")] = None,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates/--drop-duplicates", help="What to do with rows that are identical in every column.")
    ] = True,
) -> "Answer":
    """Read a file into a business table. Says what it guessed and repaired; loading it again changes nothing."""
    with progress(call, "load") as listen:
        return call.desk.load(
            source,
            table,
            map=pairs(map_, "--map") or None,
            wide=tuple(wide or ()),
            query=query,
            sheet=sheet,
            keep_duplicates=keep_duplicates,
            progress=listen,
        )


@command("tables", PANEL, action="tables")
def tables(call: Call) -> "Answer":
    """List the tables that are loaded: rows, span, columns."""
    return call.desk.tables()


@command("show", PANEL, action="show")
def show(
    call: Call,
    table: Annotated[str, typer.Argument(help="The table.")],
    *,
    where: Where = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="From this date on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="Up to and with this date.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 100,
    version: Annotated[int | None, typer.Option(min=1, help="An older state of the table, counted from 1.")] = None,
) -> "Answer":
    """Show rows of a table."""
    return call.desk.show(table, where=pairs(where, "--where") or None, since=since, until=until, limit=limit, version=version)


@command("forget", PANEL, action="forget")
def forget(
    call: Call,
    customer: Annotated[str, typer.Argument(help="The customer, as named in the tables.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> "Answer":
    """Erase a customer from every table. This cannot be undone."""
    if not yes and not _agreed(f"Erase {customer!r} from every table? This cannot be undone."):
        raise BadValue("nothing was erased", hint="say --yes to erase without being asked")
    return call.desk.forget(customer)


def _agreed(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question, err=True)
