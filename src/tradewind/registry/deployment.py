"""Who serves: folded from the events promote, rollback, split and update, kept nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tradewind.core.errors import NotReady
from tradewind.core.event import Event


@dataclass(frozen=True, slots=True)
class Served:
    """A moment at which another version began to serve."""

    version: int
    how: str  # promote | rollback | update
    by: str
    at: str
    event: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """Which version of a model serves, 0 for none; which challenger answers what share of the keys; and how it came to be."""

    model: str
    stable: int = 0
    challenger: int = 0
    share: float = 0.0
    history: tuple[Served, ...] = ()
    before: tuple[int, ...] = ()  # versions a rollback leads to, the next one last

    @classmethod
    def of(cls, events: Iterable[Event], model: str) -> Deployment:
        """Fold the events, oldest first; those of other models and kinds are passed over.

        A promotion or a rollback ends a running split; an update lets it go on. An update of a version that no longer serves
        when it is written down changes nothing: whoever switched meanwhile meant it.
        """
        stack: list[int] = []
        history: list[Served] = []
        challenger, share = 0, 0.0
        for event in events:
            if event.body.get("model") != model:
                continue
            if event.kind == "split":
                share = float(event.body["share"])
                challenger = int(event.body["challenger"]) if share > 0 else 0
            elif event.kind in ("promote", "rollback"):
                version = int(event.body["version"])
                stack = _stacked(stack, version, back=event.kind == "rollback")
                history.append(Served(version, event.kind, event.actor, event.at, event.id))
                challenger, share = 0, 0.0
            elif event.kind == "update" and stack and stack[-1] == int(event.body["updated_from"]):
                version = int(event.body["version"])
                stack = _stacked(stack, version, back=False)
                history.append(Served(version, event.kind, event.actor, event.at, event.id))
        if not stack:
            return cls(model)
        return cls(model, stack[-1], challenger, share, tuple(history), tuple(stack[:-1]))

    def route(self, key: str = "") -> int:
        """Return the version that answers this key: always the same for the same key, the stable one without a key.

        SHA-256 of model, challenger and key places the key between 0 and 1; keys below the share go to the challenger, so a
        growing share moves only new keys. Raises NotReady where nothing serves.
        """
        if not self.stable:
            raise NotReady(f"no version of {self.model} serves yet", hint=f"tradewind promote {self.model}")
        if not self.challenger or not key:
            return self.stable
        place = hashlib.sha256(f"{self.model}\n{self.challenger}\n{key}".encode("utf-8", "surrogatepass")).digest()
        return self.challenger if int.from_bytes(place[:8]) < self.share * 2.0**64 else self.stable

    def previous(self) -> int:
        """Return the version that served before the one that serves now; raises NotReady.

        After a rollback that is the one before the one rolled back to: a version that was taken back is not gone back to.
        """
        if not self.before:
            raise NotReady(f"no version of {self.model} served before this one", hint=f"tradewind versions {self.model}")
        return self.before[-1]


def _stacked(stack: list[int], version: int, *, back: bool) -> list[int]:
    """Return the versions that lead back from the new one."""
    if back and version in stack[:-1]:
        last = len(stack) - 2 - stack[-2::-1].index(version)
        return stack[: last + 1]
    return stack if stack and stack[-1] == version else [*stack, version]
