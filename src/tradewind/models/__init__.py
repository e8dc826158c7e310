"""The models, found by their folders or by the entry point group `tradewind.models`."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from tradewind.core.errors import NotFound
from tradewind.core.fact import Fact
from tradewind.core.model import Model, Recipe
from tradewind.core.table import Table


@cache
def _homes() -> dict[str, str]:
    """Return model name -> module path; a folder here goes before an entry point of the same name."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group="tradewind.models")} | _folders()


@cache
def _folders() -> dict[str, str]:
    folders = (module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    return {name: f"{__name__}.{name}" for name in folders if not name.startswith("_")}


def names() -> tuple[str, ...]:
    """List the models."""
    return tuple(sorted(_homes()))


def module(model: str, file: str = "") -> ModuleType:
    """Import one file of a model's folder; raises NotFound for a model there is not."""
    home = _folders().get(model) or _homes().get(model)  # reading every package's entry points takes a worker a tenth of its start
    if home is None:
        raise NotFound(f"there is no model {model!r}", hint=f"models: {', '.join(names())}")
    return importlib.import_module(home + (f".{file}" if file else ""))


def get(name: str) -> Model:
    """Return the model of that name."""
    model: Model = module(name).MODEL
    return model


def recipe(model: str, name: str) -> Recipe:
    """Return one recipe of a model, importing only its own file."""
    if name not in get(model).recipes:
        raise NotFound(f"{model} has no recipe {name!r}", hint=f"recipes: {', '.join(get(model).recipes)}")
    found: Recipe = module(model, name).RECIPE
    return found


def has(model: str, file: str) -> bool:
    """Tell whether a model's folder has a file of that name."""
    return importlib.util.find_spec(f"{module(model).__name__}.{file}") is not None


def repaired(model: str) -> Callable[[Table], tuple[Fact, ...]]:
    """Return what tells the repairs of a model's modelling table: `repaired` of assemble.py, nothing where it has none."""
    found: Callable[[Table], tuple[Fact, ...]] = getattr(module(model, "assemble"), "repaired", lambda _: ())
    return found


def part(model: str, file: str, name: str) -> Any:
    """Return one function of a model's folder: `assemble` of assemble.py, `example` of example.py."""
    return getattr(module(model, file), name)
