"""Who did what, and when; and who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

READ = frozenset({"read", "predict"})
ANALYSE = READ | {"load", "train", "evaluate"}
ROLES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "viewer": READ,
        "analyst": ANALYSE,
        "approver": READ | {"promote"},
        "engineer": ANALYSE | {"promote", "export"},
        "admin": ANALYSE | {"promote", "export", "admin"},
    }
)
"""Role -> permissions. An action names one permission; a role that does not list it is refused."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a program, with a role."""

    name: str
    role: str

    def may(self, permission: str) -> bool:
        """Tell whether the role holds the permission; an unknown role holds none."""
        return permission in ROLES.get(self.role, frozenset())


OWNER = Actor("owner", "admin")
"""Whoever opens the folder: file permissions are their sign-in."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `body` is plain JSON data: digests, names and numbers, never personal values."""

    kind: str
    actor: str
    body: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""  # UTC, ISO 8601; the ledger sets it
    id: int = 0  # place in the ledger; the ledger sets it
