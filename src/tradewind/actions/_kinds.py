"""Whether arguments are of the kinds that an action takes: looked at only where it has failed."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from tradewind.core.errors import BadValue

SAID: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Mapping: "values by name",
    Sequence: "a list",
    type(None): "None",
}


def misfit(function: Callable[..., Any], given: Mapping[str, Any]) -> BadValue | None:
    """Return the error for the first argument that is of another kind than the action says; None where all fit or nothing is known."""
    try:
        hints = typing.get_type_hints(function)
    except NameError:  # a name that only a type checker knows
        return None
    for name, value in given.items():
        kinds = _kinds(hints.get(name, Any))
        if not any(_is(value, kind) for kind in kinds):
            wanted = " or ".join(SAID.get(kind, f"a {getattr(kind, '__name__', kind)}") for kind in kinds if kind is not type(None))
            return BadValue(f"{name} must be {wanted}, not {value!r:.80}", hint="see help(tradewind.Desk) for what each action takes")
    return None


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Return the plain classes of an annotation; what it holds inside is not looked at."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(kind for part in typing.get_args(hint) for kind in _kinds(part))
    return (typing.get_origin(hint) or hint,)


def _is(value: Any, kind: Any) -> bool:
    if kind is Any or not isinstance(kind, type):
        return True
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that cannot be asked
        return True
