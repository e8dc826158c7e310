"""Commands that learn, judge and ask a model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradewind.cli.bar import progress
from tradewind.cli.call import Call, command, pairs
from tradewind.cli.tables import Where
from tradewind.core.errors import BadValue, NotFound

if TYPE_CHECKING:
    from tradewind.core.answer import Answer

PANEL = "Models"
Name = Annotated[str, typer.Argument(metavar="MODEL", help="The model, as `tradewind versions` lists them: demand, ...")]
Version = Annotated[int | None, typer.Option("--version", help="A version other than the serving one.")]
Recipes = Annotated[list[str] | None, typer.Option("--recipe", help="Only this recipe; may be given more than once.")]


@command("train", PANEL, action="train")
def train(
    call: Call,
    model: Name,
    *,
    table: Annotated[str | None, typer.Option("--table", "-t", help="The table to learn from, where not the model's own.")] = None,
    recipe: Recipes = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="RECIPE.KNOB=VALUE", help="Set a knob, as in boosted.rounds=400; may be repeated."),
    ] = None,
    deadline: Annotated[float | None, typer.Option(min=1, metavar="SECONDS", help="Stop a training that takes longer.")] = None,
    folds: Annotated[int | None, typer.Option(min=1, help="Rolling-origin folds; three to six by default, as the history allows.")] = None,
    memory: Annotated[int | None, typer.Option(min=256, metavar="MB", help="Memory the training may take.")] = None,
    seed: Annotated[int, typer.Option(help="The seed of everything random.")] = 0,
    search: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Processor seconds to look for better knobs with; 0 is none.")
    ] = 0,
    grant: Annotated[list[str] | None, typer.Option("--grant", metavar="COLUMN", help="Let a sensitive column be learned from.")] = None,
) -> "Answer":
    """Learn a model and keep it as a new version, beside its baseline. After Ctrl-C the same command goes on."""
    from tradewind.core.model import Budget

    limits = {"deadline_s": deadline, "folds": folds, "memory_mb": memory}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    budget = Budget(**given) if given else None  # type: ignore[arg-type]
    params = _knobs(param) or None
    chosen = tuple(recipe) if recipe else None
    with progress(call, f"train {model}") as listen:
        return call.desk.train(
            model,
            table,
            budget=budget,
            params=params,
            recipes=chosen,
            seed=seed,
            search_s=search,
            grant=tuple(grant or ()),
            progress=listen,
        )


@command("evaluate", PANEL, action="evaluate")
def evaluate(
    call: Call,
    model: Name,
    *,
    folds: Annotated[int, typer.Option(min=1, help="Rolling-origin folds.")] = 3,
    horizon: Annotated[int | None, typer.Option(help="Periods ahead; the model's own by default.")] = None,
    recipe: Recipes = None,
    seed: Annotated[int, typer.Option(help="The seed of everything random.")] = 0,
) -> "Answer":
    """Backtest a model's recipes beside the baseline. Keeps no version."""
    with progress(call, f"evaluate {model}") as listen:
        return call.desk.evaluate(
            model, folds=folds, horizon=horizon, recipes=tuple(recipe) if recipe else None, seed=seed, progress=listen
        )


@command("update", PANEL, action="update")
def update(call: Call, model: Name) -> "Answer":
    """Bring the serving version new actuals. Shows forecast against actual, refits nothing, and serves the moved version at once."""
    with progress(call, f"update {model}") as listen:
        return call.desk.update(model, progress=listen)


@command("predict", PANEL, action="predict")
def predict(
    call: Call,
    model: Name,
    *,
    horizon: Annotated[int | None, typer.Option(help="Periods ahead, for everything that fits --where.")] = None,
    where: Where = None,
    rows: Annotated[str | None, typer.Option(metavar="FILE", help="Rows to ask: a table file, or - for JSON or CSV on stdin.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add what drove each answer.")] = False,
    key: Annotated[str, typer.Option(help="Whom the answer is for: the same key always meets the same side of a split.")] = "",
    version: Version = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Add up by a key, a text column of products or stores, date, week, month or total; may be repeated."
        ),
    ] = None,
    quantile: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="Add this quantile, such as 0.1, as a column; may be repeated.")
    ] = None,
) -> "Answer":
    """Ask a model. The next periods of everything, or your own rows with planned prices and promotions."""
    asked = _asked(call, rows, model) if rows is not None else None
    return call.desk.predict(
        model,
        asked,
        horizon=horizon,
        where=pairs(where, "--where") or None,
        explain=explain,
        key=key,
        version=version,
        by=tuple(by) if by else None,
        quantiles=tuple(quantile) if quantile else None,
    )


@command("effects", PANEL, action="effects")
def effects(call: Call, model: Name, version: Version = None) -> "Answer":
    """Show what each lever does. Price elasticities and promotion lifts with their intervals."""
    return call.desk.effects(model, version=version)


@command("plan", PANEL, action="plan")
def plan(
    call: Call,
    model: Name,
    *,
    budget: Annotated[float | None, typer.Option(min=0, help="The money there is.")] = None,
    lock: Annotated[list[str] | None, typer.Option(metavar="LEVER=NUMBER", help="Fix a lever, as in TV=8000; may be repeated.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A limit of the planner, as text, number or JSON; may be repeated.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="FILE", help="What is planned for: a table file, or - for JSON or CSV on stdin.")
    ] = None,
    version: Version = None,
) -> "Answer":
    """Recommend what to do. Spend by channel, prices, promotions or offers, under a budget and limits."""
    locked = {name: _scalar(value) for name, value in pairs(lock, "--lock").items()}
    strange = [name for name, value in locked.items() if not isinstance(value, int | float) or isinstance(value, bool)]
    if strange:
        raise BadValue(f"--lock {strange[0]} needs a number", hint=f"write --lock {strange[0]}=8000")
    return call.desk.plan(
        model,
        _asked(call, rows, model) if rows is not None else None,
        budget=budget,
        lock=locked or None,
        limits={name: _plain(value) for name, value in pairs(limit, "--limit").items()} or None,
        version=version,
    )


@command("card", PANEL, action="card")
def card(call: Call, model: Name, version: Version = None) -> "Answer":
    """Show a version's card. What it is for, how it was made, how good it is, where it fails."""
    call.prose = True
    return call.desk.card(model, version=version)


def _knobs(given: list[str] | None) -> dict[str, dict[str, Any]]:
    """Read `recipe.knob=value` options as knobs by recipe; raises BadValue."""
    knobs: dict[str, dict[str, Any]] = {}
    for name, value in pairs(given, "--param").items():
        recipe, dot, knob = name.partition(".")
        if not (recipe and dot and knob):
            raise BadValue(f"--param {name}={value} does not say whose knob it is", hint=f"write --param boosted.{name}={value}")
        knobs.setdefault(recipe, {})[knob] = _scalar(value)
    return knobs


def _plain(text: str) -> Any:
    """Read a limit as typed: JSON where it is a list or an object, else as a knob's value."""
    import json

    if text[:1] not in ("[", "{"):
        return _scalar(text)
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadValue(f"the limit {text} is not JSON: {error}", hint='name={"P1": 3} or name=[1, 2], in quotes') from error


def _scalar(text: str) -> Any:
    """Read a knob's value as typed: true and false, whole and other numbers, else text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _asked(call: Call, source: str, model: str) -> Any:
    """Read the rows to ask: JSON as it stands, every other kind as a table file, its header and values understood as `load` does."""
    data = sys.stdin.buffer.read() if source == "-" else b""
    if source != "-":
        path = Path(source)
        if not path.is_file():
            raise NotFound(f"there is no file {source}", hint="--rows takes a file, or - for stdin")
        if path.suffix.lower() != ".json":
            return _understood(call, model, path)
        data = path.read_bytes()
    return _json_rows(data) if data.lstrip()[:1] in (b"[", b"{") else _understood(call, model, data)


def _understood(call: Call, model: str, source: Any) -> Any:
    """Read a table file under the names and types that the model asks for; headers of loaded files mean what they meant there."""
    from tradewind import models
    from tradewind.core.catalog import TABLES
    from tradewind.data.match import meant
    from tradewind.data.parts import joined
    from tradewind.data.read import read
    from tradewind.data.types import convert
    from tradewind.data.weeks import begun

    raw = read(source, name="rows") if isinstance(source, bytes) else read(source)
    asked = models.get(model)
    known = [column for table in asked.tables if table in TABLES for column in TABLES[table] if column.name in asked.asks]
    frame = joined(raw.frame, raw.decimal)[0] if "date" in asked.asks else raw.frame
    told = {column.name for table in asked.tables if table in TABLES for column in TABLES[table]} - set(asked.asks.names)
    headers = {theirs: ours for theirs, ours in call.desk.headers(asked.tables, frame.columns).items() if ours not in told}
    renamed = meant([*asked.asks, *known], frame, decimal=raw.decimal, headers=headers)
    theirs = {ours: name for name, ours in renamed.items()}
    typed = convert(frame.rename(renamed), asked.asks, decimal=raw.decimal, name=raw.name, theirs=theirs)[0]
    return begun(typed, "date", theirs.get("date", ""))[0]


def _json_rows(data: bytes) -> Any:
    import json

    try:
        said = json.loads(data)
    except ValueError as error:
        raise BadValue(f"the rows are not JSON: {error}", hint='write [{"column": value}, ...]') from error
    return said["rows"] if isinstance(said, dict) and "rows" in said else said
