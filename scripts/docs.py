"""Write the parts of the documentation that are read off the code: `python -m scripts.docs`. A test fails where they are stale."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
HEAD = "<!-- Written by `make docs` from the code; change it there. -->\n\n"


def pages() -> dict[str, str]:
    """Return every generated page by its path under docs/."""
    made: dict[str, Callable[[], str]] = {
        "reference/actions.md": actions,
        "reference/commands.md": commands,
        "reference/errors.md": errors,
        "reference/rest.md": rest,
        "reference/settings.md": settings,
        "reference/tables.md": tables,
    }
    return {name: HEAD + make() for name, make in made.items()} | cards()


def actions() -> str:
    """Every action of the desk: its signature, the permission it needs, what it does."""
    from tradewind import desk
    from tradewind.actions._door import ACTIONS

    assert desk.Desk
    blocks = ["# Actions\n\nEvery one is a method of the desk (`tradewind.open(...)`) and returns an `Answer`.\n"]
    for name, action in sorted(ACTIONS.items()):
        signature = inspect.signature(action.function)
        given = ", ".join(_argument(argument) for argument in _shown(list(signature.parameters.values())[1:]))
        blocks.append(f"## {name}\n\n`{name}({given})`\n\n{_flowing(action.doc)}\n\nPermission: `{action.permits}`.\n")
    return "\n".join(blocks)


def _shown(arguments: list[inspect.Parameter]) -> Iterable[inspect.Parameter | None]:
    starred = False
    for argument in arguments:
        if argument.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield None
        yield argument


def _argument(argument: inspect.Parameter | None) -> str:
    if argument is None:
        return "*"
    if argument.default is inspect.Parameter.empty:
        return argument.name
    default = "SILENT" if argument.name == "progress" else repr(argument.default)
    return f"{argument.name}={default}"


def _flowing(doc: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(doc).split("\n\n"))


def commands() -> str:
    """Every command with its arguments and options."""
    blocks = [
        "# Commands\n\nEvery command takes `--workspace DIR` (`-w`), `--json`, `--out FILE` (`-o`), `--quiet` (`-q`) and `--trace`. "
        "`--workspace`, `--json`, `--quiet` and `--trace` may stand before the command as well.\n"
    ]
    for words, command in sorted(commanded().items()):
        usage = " ".join(_usage(part) for part in command.params if part.param_type_name == "argument")
        blocks.append(f"## tradewind {words}\n\n`tradewind {words}{' ' + usage if usage else ''}`\n\n{_flowing(command.help or '')}\n")
        own = [part for part in command.params if part.name not in COMMON]
        if own:
            rows = [[f"`{_names(part)}`", getattr(part, "help", "") or "", _default(part)] for part in own]
            blocks.append(_table(("", "", "default"), rows))
    return "\n".join(blocks)


COMMON = frozenset({"workspace", "as_json", "out", "quiet", "trace", "help"})


def commanded() -> dict[str, Any]:
    """Return every command by the words that are typed after `tradewind`."""
    import typer

    from tradewind.cli.main import APP

    found: dict[str, Any] = {}
    todo = [("", typer.main.get_command(APP))]
    while todo:
        words, command = todo.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            found[words] = command
        else:
            todo += [(f"{words} {name}".strip(), below) for name, below in inner.items()]
    return found


def _usage(part: Any) -> str:
    name = str(part.metavar or part.name.upper()).strip("[]")
    return name if part.required else f"[{name}]"


def _names(part: Any) -> str:
    if part.param_type_name == "argument":
        return _usage(part)
    names = ", ".join([*part.opts, *part.secondary_opts])
    return f"{names} {part.metavar}" if part.metavar else names


def _default(part: Any) -> str:
    return "" if part.default in (None, "", False) or part.required or callable(part.default) else f"`{part.default}`"


def errors() -> str:
    """Every error with its code, HTTP status and exit status."""
    from tradewind.core.errors import every_error

    rows = [
        [f"`{kind.code}`", name, _flowing(kind.__doc__ or "").split("\n\n")[0], kind.advice, str(kind.status), str(kind.exit)]
        for name, kind in sorted(every_error().items(), key=lambda item: (item[1].code, item[0]))
    ]
    intro = (
        "# Errors\n\nThe code is the same on the command line, in Python (`error.code`) and in REST (`code`). Each comes with a hint:"
        " what to do\nabout this very case, or else the one below.\n\n"
    )
    return intro + _table(("code", "name", "meaning", "hint", "HTTP", "exit"), rows)


def rest() -> str:
    """Every address of REST."""
    from tradewind import desk
    from tradewind.actions._door import ACTIONS
    from tradewind.http.routes import API, permission, table

    assert desk.Desk
    rows = [[f"`{route.method} {API}{route.path}`", route.summary, f"`{permission(route, ACTIONS)}`"] for route in table(ACTIONS)]
    intro = "# REST\n\n`Authorization: Bearer TOKEN` on each; `/openapi.json` has the schemas. Errors are `application/problem+json`.\n\n"
    return intro + _table(("address", "", "permission"), rows)


def settings() -> str:
    """Every setting."""
    from tradewind.settings import PREFIX, Settings

    rows = [
        [f"`{knob.name}`", knob.metadata["meaning"], _range(knob), "" if knob.default == "" else f"`{knob.default}`"]
        for knob in dataclasses.fields(Settings)
    ]
    intro = (
        f"# Settings\n\nAn argument of `tradewind.open` beats the environment (`{PREFIX}NAME`), "
        "which beats `tradewind.toml` in the workspace. "
        f"`{PREFIX}WORKSPACE` names the workspace that commands work in.\n\n"
    )
    return intro + _table(("setting", "meaning", "range", "default"), rows)


def _range(knob: Any) -> str:
    low, high, unit = knob.metadata["low"], knob.metadata["high"], knob.metadata["unit"]
    return f"{low:g} to {high:g} {unit}".strip() if low is not None else ""


def tables() -> str:
    """Every business table with its columns."""
    from tradewind.core.catalog import TABLES

    blocks = ["# Tables\n\nA row is named by the columns in bold; a column with a star must be there.\n"]
    for name, schema in TABLES.items():
        rows = [
            [
                f"**`{column.name}`**" if column.name in schema.key else f"`{column.name}`",
                "*" if column.required else "",
                str(column.type),
                str(column.role),
                column.unit,
                ", ".join(column.synonyms),
            ]
            for column in schema
        ]
        blocks.append(f"## {name}\n\n" + _table(("column", "", "type", "role", "unit", "also recognised as"), rows))
    return "\n".join(blocks)


def cards() -> dict[str, str]:
    """Return the card of every model that has one."""
    from tradewind import models

    found = {}
    for name in models.names():
        card = Path(str(models.module(name).__file__)).parent / "card.md"
        if card.is_file():
            found[f"models/{name}.md"] = HEAD + card.read_text("utf-8")
    return found


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]) + "\n"


def main() -> int:
    """Write every page; pages of models that are gone are removed."""
    made = pages()
    for file in DOCS.glob("models/*.md"):
        if str(file.relative_to(DOCS)) not in made:
            file.unlink()
    for name, text in made.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    sys.stdout.write(f"wrote {len(made)} pages under {DOCS}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
