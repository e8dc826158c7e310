"""Is it alive, is it ready, how much has it done: /healthz, /readyz, /metrics."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import tradewind
from tradewind.core.errors import TradewindError

LOG = logging.getLogger("tradewind.http")


class Health:
    """What the probes say. They read the open workspace only and write no event: a probe is not an action."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk
        self._warm = "warming"

    async def warm(self) -> None:
        """Load the serving versions before anybody asks; a version that cannot be loaded is said by /readyz."""
        try:
            await asyncio.to_thread(self._desk.warm)
            self._warm = "warm"
        except TradewindError as error:
            LOG.error("a serving version could not be loaded: %s", error)
            self._warm = f"failed: {error.message}"

    def alive(self) -> tuple[int, dict[str, Any]]:
        """Return status and body of /healthz: alive, and how well model code is locked in."""
        workers = []
        levels = set()
        for name, state in self._desk.pool.held().items():
            levels.add(str(state.isolation["level"]))
            workers.append(
                {
                    "name": name.rpartition("-")[0] or name,
                    "rss_mb": round(float(state.rss_mb), 1),
                    "calls": state.calls,
                    "isolation": state.isolation,
                }
            )
        isolation = "not started" if not levels else "full" if levels == {"full"} else "degraded"
        said: dict[str, Any] = {
            "status": "degraded" if isolation == "degraded" else "ok",
            "isolation": isolation,
            "workers": workers,
            "version": tradewind.__version__,
        }
        try:
            said["ledger_head"] = self._desk.ledger.head()
        except TradewindError as error:
            return 503, said | {"status": "failing", "detail": error.message}
        return 200, said

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Return status and body of /readyz: 200 once every serving version is loaded, 503 until then."""
        try:
            held = tuple(self._desk.pool.held())
            serving = {model: self._desk.deployment(model).stable for model in self._desk.view.fresh().versions}
        except TradewindError as error:
            return 503, {"status": "failing", "detail": error.message}
        models = {model: any(name.startswith(f"{model}@{version}-") for name in held) for model, version in serving.items() if version}
        ready = self._warm == "warm" and all(models.values())
        return (200 if ready else 503), {
            "status": "ready" if ready else self._warm if self._warm != "warm" else "loading",
            "models": models,
        }
