"""One recurrent network for all series: an encoder of the past, a decoder over what is known ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.model import Knob
from tradewind.models._kit.forecast import lstm_learned
from tradewind.models._kit.forecast.lstm_learned import Learned
from tradewind.models._kit.panel import Panel


@dataclass(frozen=True, slots=True)
class Lstm:
    """The learner."""

    name: str = "lstm"
    knobs: tuple[Knob, ...] = (
        Knob("hidden", 48, 8, 256, log=True, meaning="width of the recurrent layers"),
        Knob(
            "steps", 300, 10, 20_000, log=True, meaning="training steps; up to twice as many where it takes them to see every window once"
        ),
        Knob("batch", 256, 16, 2048, log=True, meaning="windows per training step"),
        Knob("learning_rate", 0.005, 0.0002, 0.05, log=True, meaning="highest learning rate of the cycle"),
        Knob("encoder", 0, 0, 2000, meaning="past periods read one by one; 0 = 112 days, 56 weeks, 24 months"),
        Knob("dropout", 0.2, 0.0, 0.6, meaning="share of the decoder's states left out while learning"),
        Knob("decay", 0.01, 0.0, 1.0, meaning="how strongly weights are pulled to zero"),
        Knob("volume", 0.25, 0.0, 1.0, meaning="how much more big series count: 0 not at all, 1 by their units"),
    )

    def learn(self, panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Learned:
        """Learn from a panel; raises LearnFailed, also where JAX is not installed."""
        from tradewind.models._kit.forecast import lstm_learn

        return lstm_learn.learn(panel, knobs, seed=seed, horizon=horizon)

    def read(self, parts: Mapping[str, bytes], panel: Panel) -> Learned:
        """Read back what was dumped; raises Incompatible and Tampered."""
        return lstm_learned.read(parts)


LEARNER = Lstm()
