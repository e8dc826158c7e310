"""The default: the baseline integrated out, the media parameters by Laplace and Pareto-smoothed importance sampling. Under a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.core.model import Knob
from tradewind.core.table import Table
from tradewind.models.roi.beliefs import KNOBS
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.recipe import MediaRecipe, continues

_CHECKS = Knob(
    "checks",
    default=True,
    meaning="learn again with a shuffled channel and without the last quarter, and say how far that moves",
    tune=False,
)


def learn(table: Table, params: Mapping[str, Any], seed: int, before: Learned | None) -> Learned:
    """Return draws by importance sampling; by `exact` where the data has geos or the weights cannot be trusted."""
    from tradewind.models.roi import exact, health
    from tradewind.models.roi.carry import settled
    from tradewind.models.roi.laplace import TRUST, draw
    from tradewind.models.roi.media import read, together
    from tradewind.models.roi.posterior import log_posterior
    from tradewind.models.roi.setup import KEPT, learned, setup, start

    media = read(table, exposure=bool(params["exposure"]))
    params, late = settled(media, params, before)
    notes = [*health.gate(media), *late]
    if len(media.geos) > 1:
        if exact.installed():
            return exact.sampled(media, params, seed, before, notes=(*notes, "learned by geo, so drawn exactly"))
        notes.append(f"the data has geos and {exact.MISSING}: they were added up into one")
        media = together(media)
    if before is not None:
        continues(before, media.channels, media.geos, media.start, media.cut)
    made = setup(media, params, previous=before if before is not None and len(before.mean) else None)
    drawn = draw(lambda theta: log_posterior(made.problem, theta), start(made.problem), seed, keep=KEPT)
    told: dict[str, Any] = {"k_hat": drawn.shape, "independent_draws": drawn.worth}
    if drawn.shape > TRUST:
        if exact.installed():
            notes.append(f"k-hat {drawn.shape:.2f} is above {TRUST}, so drawn exactly")
            return exact.sampled(media, params, seed, before, notes=notes)
        notes.append(f"k-hat {drawn.shape:.2f} is above {TRUST} and {exact.MISSING}: these intervals cannot be trusted")
    state = learned(made, drawn.theta, (drawn.mean, drawn.cov), seed, recipe="fast", health=told, notes=tuple(notes))
    checks = {}
    if params["checks"] and before is None:
        checks = health.battery(media, params, state, seed)
    return health.told(state, before, checks)


RECIPE = MediaRecipe("fast", (*KNOBS, _CHECKS), learn)
