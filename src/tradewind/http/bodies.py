"""What the routes take: one small structure per body, checked by msgspec and shown in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Reason = Annotated[str, msgspec.Meta(max_length=2000, description="why; kept in the audit log")]


class Body(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A JSON body."""


class Nothing(Body):
    """No fields."""


class BudgetBody(Body):
    """How much work a training may do."""

    folds: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    memory_mb: Annotated[int, msgspec.Meta(ge=256)] | None = None
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=604800)] | None = None


class TrainBody(Body):
    """Learn a model."""

    table: Name | None = None
    params: dict[str, dict[str, Any]] | None = None
    recipes: list[Name] | None = None
    seed: int = 0
    search_s: Annotated[float, msgspec.Meta(ge=0, le=86400, description="processor seconds to look for better knobs with")] = 0.0
    grant: Annotated[list[Name], msgspec.Meta(description="sensitive columns that may be learned from")] = []
    budget: BudgetBody | None = None


class EvaluateBody(Body):
    """Score recipes on rolling origins."""

    folds: Annotated[int, msgspec.Meta(ge=1, le=50)] = 3
    horizon: Positive | None = None
    recipes: list[Name] | None = None
    seed: int = 0


class PlanBody(Body):
    """Recommend what to do."""

    asked: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=100_000)] | None = None
    budget: Annotated[float, msgspec.Meta(ge=0)] | None = None
    lock: dict[str, float] | None = None
    limits: dict[str, Any] | None = None
    version: Positive | None = None


class FigureBody(Body):
    """Which figure of which table is looked at, and where."""

    table: Name | None = None
    kpi: Annotated[Name, msgspec.Meta(description="the figure; may be left out where the table has one")] = ""
    by: Annotated[Name, msgspec.Meta(description="the column of places: geo, store, product")] = ""
    where: dict[str, Any] | None = None
    since: Name | None = None
    seed: int = 0


class MeasureBody(FigureBody, kw_only=True):
    """Say what a past test or event did."""

    treated: Annotated[list[Name], msgspec.Meta(max_length=10_000, description="places it was done to; none: to all")]
    start: Name
    end: Name | None = None
    method: Name = "auto"
    donors: list[Name] = []
    channel: Name = ""
    name: Name = ""
    spend_change: float | None = None
    keep: Annotated[bool, msgspec.Meta(description="write a sound effect into experiments, by which roi is calibrated")] = False


class DesignBody(FigureBody):
    """Plan a test by place."""

    places: Positive = 1
    lengths: Annotated[list[Positive], msgspec.Meta(max_length=20)] = []
    lift: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    only: list[Name] = []
    never: list[Name] = []
    power: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.8
    level: int = 90


class PromoteBody(Body):
    """Let a version serve."""

    version: Positive | None = None
    force: bool = False
    reason: Reason = ""


class RollbackBody(Body):
    """Let the version before serve again."""

    reason: Reason = ""


class SplitBody(Body):
    """Send a share of the keys to a challenger."""

    challenger: Positive
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reason: Reason = ""


class VerifyBody(Body):
    """Check signatures and digests."""

    version: Positive | None = None


class TokenBody(Body):
    """Make a token."""

    role: Name
    name: Name = ""
    days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90


class LoginBody(Body):
    """Sign in."""

    token: Annotated[str, msgspec.Meta(max_length=512)]
