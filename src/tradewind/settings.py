"""Everything that can be set, in one place; read once, by the desk. Nobody else reads the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tradewind.core.errors import BadValue

PREFIX = "TRADEWIND_"


def _knob(default: Any, meaning: str, *, low: float | None = None, high: float | None = None, unit: str = "", secret: bool = False) -> Any:
    return field(default=default, metadata={"meaning": meaning, "low": low, "high": high, "unit": unit, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set: by argument, else environment (`TRADEWIND_NAME`), else `tradewind.toml` in the workspace, else default."""

    workers: int = _knob(1, "jailed processes per serving version", low=1, high=64)
    worker_memory_mb: int = _knob(1024, "memory limit of one jailed process", low=256, high=65536, unit="MB")
    deadline_s: float = _knob(10.0, "a prediction that takes longer is stopped", low=0.05, high=600, unit="s")
    train_memory_mb: int = _knob(6144, "memory limit of a training process", low=512, high=1048576, unit="MB")
    train_deadline_s: float = _knob(3600.0, "a training that takes longer is stopped", low=10, high=604800, unit="s")
    require_isolation: bool = _knob(False, "refuse to serve where the jail is incomplete")
    answers: int = _knob(4096, "default answers kept in memory", low=0, high=1000000)
    host: str = _knob("127.0.0.1", "address the server binds")
    port: int = _knob(8321, "port the server binds", low=0, high=65535)
    rate_per_s: float = _knob(0.0, "requests a key may make per second; 0 is no limit", low=0, high=1000000, unit="1/s")
    body_mb: int = _knob(32, "largest request body", low=1, high=2048, unit="MB")
    upload_mb: int = _knob(1024, "largest uploaded table", low=1, high=65536, unit="MB")
    country: str = _knob("", "country whose public holidays count, ISO 3166 (DE, US, ...); empty is none")
    subdivision: str = _knob("", "subdivision of the country for holidays (BY, CA, ...)")
    zone: str = _knob("UTC", "time zone that dates are in")
    passphrase: str = _knob("", "unlocks the keys where they are not in a file", secret=True)
    kek: str = _knob("", "the key-encryption key as 64 hexadecimal digits, where it is not in a file", secret=True)

    @classmethod
    def read(cls, folder: Path | None = None, **given: Any) -> Settings:
        """Read the settings of a workspace; raises BadValue naming the setting and where it came from."""
        values: dict[str, Any] = {}
        file = folder / "tradewind.toml" if folder else None
        if file and file.is_file():
            try:
                said = tomllib.loads(file.read_text("utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise BadValue(
                    f"{file} cannot be read: {error}", hint="one `name = value` per line, as in docs/reference/settings.md"
                ) from error
            values |= _checked(cls, said, str(file))
        found = {name.removeprefix(PREFIX).lower(): value for name, value in os.environ.items() if name.startswith(PREFIX)}
        known = {knob.name for knob in fields(cls)}
        values |= _checked(cls, {name: value for name, value in found.items() if name in known}, "the environment")
        values |= _checked(cls, given, "the call")
        return cls(**values)


def default_folder() -> Path:
    """Return the workspace that a command works in when none is named: TRADEWIND_WORKSPACE or the current folder."""
    return Path(os.environ.get(PREFIX + "WORKSPACE") or ".")


def _checked(cls: type[Settings], said: Mapping[str, Any], where: str) -> dict[str, Any]:
    knobs = {knob.name: knob for knob in fields(cls)}
    values: dict[str, Any] = {}
    for name, value in said.items():
        if name not in knobs:
            raise BadValue(f"there is no setting {name!r} (in {where})", hint=f"settings: {', '.join(knobs)}")
        knob = knobs[name]
        values[name] = _typed(name, value, knob.default, where)
        low, high = knob.metadata["low"], knob.metadata["high"]
        if low is not None and not low <= values[name] <= high:
            raise BadValue(f"{name} must lie between {low} and {high}, not {value} (in {where})")
    return values


def _typed(name: str, value: Any, default: Any, where: str) -> Any:
    try:
        if isinstance(default, bool):
            if isinstance(value, bool):
                return value
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]
        return type(default)(value)
    except (KeyError, ValueError, TypeError) as error:
        raise BadValue(f"{name} must be {type(default).__name__}, not {value!r} (in {where})") from error
