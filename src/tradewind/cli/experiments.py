"""Commands that measure a past test and plan the next."""

from typing import TYPE_CHECKING, Annotated

import typer

from tradewind.cli.bar import progress
from tradewind.cli.call import Call, command, pairs
from tradewind.cli.tables import Where

if TYPE_CHECKING:
    from tradewind.core.answer import Answer

PANEL = "Models"
Named = Annotated[str | None, typer.Option("--table", "-t", help="Where the figure is: outcomes, or else sales.")]
Kpi = Annotated[str, typer.Option("--kpi", metavar="COLUMN", help="The figure, where the table has several.")]
By = Annotated[str, typer.Option("--by", metavar="COLUMN", help="The column of places: geo, store or product.")]
Since = Annotated[str | None, typer.Option("--since", metavar="DATE", help="Leave out what is earlier.")]
Seed = Annotated[int, typer.Option(help="The seed of everything random.")]


@command("measure", PANEL, action="measure")
def measure(
    call: Call,
    start: Annotated[str, typer.Argument(metavar="START", help="The first day of the test or event, as in 2026-11-30.")],
    end: Annotated[str | None, typer.Argument(metavar="END", help="Its last day; the last there is by default.")] = None,
    *,
    treated: Annotated[list[str] | None, typer.Option(metavar="PLACE", help="Where it was done; may be repeated; none: to all.")] = None,
    table: Named = None,
    kpi: Kpi = "",
    by: By = "",
    where: Where = None,
    since: Since = None,
    method: Annotated[str, typer.Option(help="auto, synthetic, differences or impact.")] = "auto",
    donor: Annotated[list[str] | None, typer.Option(metavar="PLACE", help="Compare with this place; may be repeated.")] = None,
    channel: Annotated[str, typer.Option(help="The channel that was tested.")] = "",
    name: Annotated[str, typer.Option(help="What to call it in experiments.")] = "",
    spend_change: Annotated[float | None, typer.Option(metavar="SHARE", help="How the test moved spend: 0.5 is half more.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write a sound effect into experiments: roi is calibrated by it.")] = False,
    seed: Seed = 0,
) -> "Answer":
    """Say what a past test or event did. Exit status 1 where a check refutes it."""
    with progress(call, "measure") as listen:
        answer = call.desk.measure(
            tuple(treated or ()),
            start,
            end,
            table=table,
            kpi=kpi,
            by=by,
            where=pairs(where, "--where") or None,
            since=since,
            method=method,
            donors=tuple(donor or ()),
            channel=channel,
            name=name,
            spend_change=spend_change,
            keep=keep,
            seed=seed,
            progress=listen,
        )
    call.status = 0 if answer.source["sound"] else 1
    return answer


@command("design", PANEL, action="design")
def design(
    call: Call,
    *,
    places: Annotated[int, typer.Option(min=1, help="How many places to treat.")] = 1,
    length: Annotated[list[int] | None, typer.Option(min=1, metavar="PERIODS", help="A length to try; may be repeated.")] = None,
    lift: Annotated[float | None, typer.Option(min=0, max=1, metavar="SHARE", help="The lift hoped for: 0.05 is 5 %.")] = None,
    table: Named = None,
    kpi: Kpi = "",
    by: By = "",
    where: Where = None,
    since: Since = None,
    only: Annotated[list[str] | None, typer.Option(metavar="PLACE", help="It may run here; may be repeated.")] = None,
    never: Annotated[list[str] | None, typer.Option(metavar="PLACE", help="It may not run here; may be repeated.")] = None,
    power: Annotated[float, typer.Option(help="How often the lift must be found.")] = 0.8,
    level: Annotated[int, typer.Option(help="The interval that must exclude zero, in percent.")] = 90,
    seed: Seed = 0,
) -> "Answer":
    """Plan a test by place. Which places to treat, for how long, and the smallest lift it would find."""
    with progress(call, "design") as listen:
        return call.desk.design(
            places,
            tuple(length or ()),
            lift,
            table=table,
            kpi=kpi,
            by=by,
            where=pairs(where, "--where") or None,
            since=since,
            only=tuple(only or ()),
            never=tuple(never or ()),
            power=power,
            level=level,
            seed=seed,
            progress=listen,
        )
