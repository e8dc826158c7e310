"""Which incident an alert belongs to: one for each cause, over all its periods and levels, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.models.anomaly import quality
from tradewind.models.anomaly.grid import KEYS
from tradewind.models.anomaly.watch import Cells, Watch

Array = np.ndarray[Any, Any]
FAR = 3.0  # times its size: a part with that much of a total's gap is the incident from a third of the gap on
BACK = 60  # periods an incident is followed back


@dataclass(frozen=True, slots=True)
class Incident:
    """Its name and what it comes to so far, in money; `owner` is the row whose incident it is."""

    name: str
    severity: float
    owner: int


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is looked at to say what an alert belongs to; `names` says which series of the watch each row is, `place` the reverse."""

    watch: Watch
    cells: Cells
    names: Array
    place: Array
    gaps: Array
    alert: Array
    owners: dict[tuple[int, int], int] = field(default_factory=dict)
    found: dict[tuple[int, int], Incident] = field(default_factory=dict)  # by owner and period, of a load by minus its mark

    def near(self, row: int, kin: Mapping[int, tuple[int, ...]]) -> list[int]:
        """Return the rows of the series above or below a row's that are looked at."""
        found = (int(self.place[one]) for one in kin.get(int(self.names[row]), ()))
        return [one for one in found if one >= 0]

    def broken(self, row: int, day: int) -> bool:
        """Tell whether an alert is about the load, not about what happened."""
        return bool(self.alert[row, day]) and int(self.cells.mark[row, day]) in quality.LOADS


def scene_of(watch: Watch, cells: Cells, names: Array, alert: Array) -> Scene:
    """Return what is looked at; a figure that is missing has its whole expectation as gap."""
    place = np.full(len(watch.chances), -1, "i8")
    place[names] = np.arange(len(names))
    return Scene(watch, cells, names, place, np.where(np.isfinite(cells.value), cells.value, 0.0) - cells.expected, alert)


def incident_of(scene: Scene, row: int, day: int) -> Incident:
    """Return the incident of an alert."""
    if scene.broken(row, day):
        return _of_load(scene, row, day)
    owner = _owner(scene, row, day)
    if (owner, day) not in scene.found:
        _followed(scene, owner, day)
    return scene.found[owner, day]


def largest(scene: Scene, row: int, day: int) -> tuple[float, int | None]:
    """Return which part has most of a total's gap, and its share."""
    parts = scene.near(row, scene.watch.family.below)
    if not parts:
        return 0.0, None
    share = scene.gaps[parts, day] / scene.gaps[row, day] if scene.gaps[row, day] else np.zeros(len(parts))
    best = int(np.argmax(share))
    return float(share[best]), parts[best]


def _owner(scene: Scene, row: int, day: int) -> int:
    """Return whose incident an alert is: that of the part with most of the gap, of the total it moved with, or its own."""
    known = scene.owners.get((row, day))
    if known is not None:
        return known
    at, seen = row, {row}
    while (after := _next(scene, at, day)) not in seen:
        seen.add(after)
        at = after
    scene.owners[row, day] = at
    return at


def _next(scene: Scene, row: int, day: int) -> int:
    top = _alone(scene, row, day)
    if top is not None and scene.alert[top, day] and not scene.broken(top, day):
        return top
    for above in scene.near(row, scene.watch.family.above):
        together = scene.alert[above, day] and scene.gaps[above, day] * scene.gaps[row, day] > 0
        if together and not scene.broken(above, day) and _alone(scene, above, day) is None:
            return above
    return row


def _alone(scene: Scene, row: int, day: int) -> int | None:
    """Return the part that is a total's gap: with all of it, half of it at twice the part's size, or a third of it at FAR times."""
    share, top = largest(scene, row, day)
    if top is None:
        return None
    size = float(scene.cells.expected[top, day] / scene.cells.expected[row, day]) if scene.cells.expected[row, day] > 0 else 1.0
    return top if share * min(share / max(size, 1e-9), FAR) >= 1 else None


def _followed(scene: Scene, owner: int, day: int) -> None:
    """Find all periods of the incident that a row has in a period: alerts to the same side that are no other's incident."""
    side = float(np.sign(scene.gaps[owner, day]))
    together = bool(scene.names[owner] >= scene.watch.figures)  # a distance has one side

    def same(at: int) -> bool:
        if not scene.alert[owner, at] or scene.broken(owner, at):
            return False
        return together or (float(np.sign(scene.gaps[owner, at])) == side and _owner(scene, owner, at) == owner)

    first, last = _reach(same, day, scene.alert.shape[1])
    days = [at for at in range(first, last + 1) if same(at)]
    gaps = [float(scene.gaps[owner, at]) for at in range(first, last + 1) if same(at) or not scene.alert[owner, at]]
    severity = sum(max(side * gap, 0.0) for gap in gaps) * float(scene.watch.worth[scene.names[owner]])
    names = [str(scene.watch.keys[name][scene.names[owner]]) for name in KEYS if name in scene.watch.keys]
    made = Incident(title(names, scene.cells.moments[first]), severity, owner)
    for at in days:
        scene.found.setdefault((owner, at), made)


def _of_load(scene: Scene, row: int, day: int) -> Incident:
    """Return the incident of a load: all figures of a day that break the same rule are one, and count once, at the lowest level."""
    mark = int(scene.cells.mark[row, day])
    known = scene.found.get((-mark, day))
    if known is not None:
        return known
    such = scene.alert & (scene.cells.mark == mark)

    def lowest(at: int) -> list[int]:
        return [one for one in np.flatnonzero(such[:, at]).tolist() if not such[scene.near(one, scene.watch.family.below), at].any()]

    first, last = _reach(lambda at: bool(such[:, at].any()), day, such.shape[1])
    rows = lowest(day)
    keys = [set(scene.watch.keys[name][scene.names[rows]].tolist()) for name in KEYS if name in scene.watch.keys]
    names = [str(next(iter(key))) if len(key) == 1 else "" for key in keys]
    lost = 0.0
    for at in range(first, last + 1):
        here = lowest(at)
        lost += abs(float((scene.gaps[here, at] * scene.watch.worth[scene.names[here]]).sum()))
    made = Incident(title(names, scene.cells.moments[first]), lost, row)
    for at in range(first, last + 1):
        scene.found.setdefault((-mark, at), made)
    return made


def _reach(same: Callable[[int], bool], day: int, count: int) -> tuple[int, int]:
    """Return the first and last period of the incident a period belongs to: one quiet period does not end it."""
    first = last = day
    while first > max(day - BACK, 0):
        step = next((one for one in (1, 2) if first - one >= 0 and same(first - one)), 0)
        if not step:
            break
        first -= step
    while last < min(day + BACK, count - 1):
        step = next((one for one in (1, 2) if last + one < count and same(last + one)), 0)
        if not step:
            break
        last += step
    return first, last


def title(names: list[str], moment: Any) -> str:
    """Return an incident's name: its keys, and when it began."""
    when = moment.astype("M8[D]") if moment == moment.astype("M8[D]") else moment.astype("M8[s]")
    return "/".join([*(name or "all" for name in names), str(when)])
