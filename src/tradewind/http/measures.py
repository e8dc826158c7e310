"""Counters and times in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
KIND = CONTENT_TYPE_LATEST.encode()


class Measures:
    """What one server has done since it started; one registry of its own, so two servers never mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("tradewind_requests", "Requests answered", ("method", "route", "status"), registry=self._registry)
        self._seconds = Histogram(
            "tradewind_request_seconds",
            "Seconds from the request's headers to its answer",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._predictions = Counter("tradewind_predictions", "Predictions answered", ("model",), registry=self._registry)
        self._rows = Counter("tradewind_predicted_rows", "Rows predicted", ("model",), registry=self._registry)
        self._sockets = Gauge("tradewind_sockets", "WebSockets open", registry=self._registry)
        self._head = Gauge("tradewind_ledger_head", "Id of the newest event in the ledger", registry=self._registry)
        self._memory = Gauge("tradewind_worker_rss_bytes", "Resident memory of a model process", ("worker",), registry=self._registry)
        self._calls = Gauge("tradewind_worker_calls", "Requests a model process has answered", ("worker",), registry=self._registry)
        self._children: dict[tuple[str, str, int], Any] = {}
        self._timers: dict[str, Any] = {}
        self._models: dict[str, tuple[Any, Any]] = {}
        self.counts: dict[str, int] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the pattern, never the path, so that labels stay few."""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(method, route, str(status))
        child.inc()
        timer = self._timers.get(route)
        if timer is None:
            timer = self._timers[route] = self._seconds.labels(route)
        timer.observe(seconds)

    def prediction(self, model: str, rows: int) -> None:
        """Count one prediction that was answered."""
        children = self._models.get(model)
        if children is None:
            children = self._models[model] = (self._predictions.labels(model), self._rows.labels(model))
        children[0].inc()
        children[1].inc(rows)
        self.counts[model] = self.counts.get(model, 0) + 1

    def text(self, *, head: int, workers: Mapping[str, Any], sockets: int) -> bytes:
        """Write everything; `workers` is what the pool holds."""
        self._head.set(head)
        self._sockets.set(sockets)
        self._memory.clear()
        self._calls.clear()
        for name, state in workers.items():
            self._memory.labels(name).set(float(state.rss_mb) * 1e6)
            self._calls.labels(name).set(float(state.calls))
        return bytes(generate_latest(self._registry))
