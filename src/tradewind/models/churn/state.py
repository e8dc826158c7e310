"""What a churn model is, in memory and at rest: the chance to leave, the hazard, the money, the test, and every known customer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.core.bundle import pack_arrays, unpack_arrays
from tradewind.core.table import Array
from tradewind.models._kit import tensors
from tradewind.models._kit.causal.uplift_state import State as Uplift
from tradewind.models._kit.customers import boosted, logistic
from tradewind.models._kit.customers.attributes import PREFIX
from tradewind.models._kit.customers.btyd import WEEK, Buying
from tradewind.models._kit.customers.columns import Columns
from tradewind.models._kit.customers.features import concept_of
from tradewind.models._kit.trees import Trees
from tradewind.models.churn.hazard import Hazard

KNOWN_AS = {"alive": "orders", "expected": "orders", "member_days": "tenure"}
RHYTHM = ("repeats", "last_seen", "tenure", "repeat_basket")


@dataclass(frozen=True)
class Leaving:
    """`how` is bands, rhythm or averaged; matrices have one column per name of `columns`."""

    how: str
    mode: str
    horizon: float
    columns: Columns
    people: Array  # N ids
    matrix: Array  # N x columns, float32
    reasons: Array  # N x columns: what each column adds to the log-odds; empty where there are none
    hazard: Hazard
    numbers: Mapping[str, Any]  # knobs, the calibrator, the fee's column, what was counted
    said: tuple[str, ...]
    bands: Mapping[str, Array] = field(default_factory=dict)  # column, edges, chance, value
    design: logistic.Design | None = None
    weights: Array = field(default_factory=lambda: np.zeros(0))
    forest: boosted.Forest | None = None
    money: boosted.Forest | None = None  # logarithm of spend within the horizon
    ratio: Mapping[str, Array] = field(default_factory=dict)  # of actual to expected money, by size of the expectation
    buying: Buying | None = None
    uplift: Uplift | None = None
    kept: Mapping[str, Array] = field(default_factory=dict)  # the usual answers of every known customer

    @cached_property
    def place(self) -> dict[str, int]:
        """Return the row of every known customer."""
        return {name: at for at, name in enumerate(self.people.tolist())}

    @cached_property
    def concepts(self) -> tuple[tuple[str, ...], Array]:
        """Return the business concepts there are, and the concept of every column."""
        of = [concept_of(name.removeprefix(PREFIX) if name.startswith(PREFIX) else KNOWN_AS.get(name, name)) for name in self.columns.names]
        labels = tuple(dict.fromkeys(of))
        return labels, np.array([labels.index(one) for one in of], int)

    def open(self) -> None:
        """Do now what the first question would otherwise wait for."""
        _ = self.place, self.concepts
        for design in (self.design, self.hazard.design):
            _ = design is not None and design.ready
        for forest in (self.forest, self.money, self.hazard.forest):
            if forest is not None:
                forest.open(reasons=forest is self.forest)

    def column(self, matrix: Array, name: str) -> Array:
        """Return one column of a matrix as float64; NaN where the model has no such column."""
        if name not in self.columns.names:
            return np.full(len(matrix), np.nan)
        return matrix[:, self.columns.names.index(name)].astype("f8")

    def known(self, matrix: Array, name: str) -> Array:
        """Return one column of a matrix as float64; 0 where it is not known."""
        values = self.column(matrix, name)
        return np.asarray(np.where(np.isnan(values), 0.0, values))

    def rhythm(self, matrix: Array) -> tuple[Array, Array, Array, Array]:
        """Return repeat purchases, weeks to the last one, weeks since the first, and their mean money; 0 where unknown."""
        x, last, since, mean = (self.known(matrix, name) for name in RHYTHM)
        return x, last / WEEK, since / WEEK + 1e-9, mean

    def dump(self) -> dict[str, bytes]:
        """Write the state as JSON, tensors, packed columns and ONNX."""
        plain = {"how": self.how, "mode": self.mode, "horizon": self.horizon, "columns": self.columns.as_dict()}
        plain |= {"numbers": dict(self.numbers), "said": list(self.said), "buying": self.buying.as_dict() if self.buying else None}
        plain["uplift"] = self.uplift is not None
        arrays, graphs = self.hazard.parts()
        arrays = arrays | {"matrix": self.matrix, "reasons": self.reasons.astype("f2"), "weights": self.weights}
        arrays |= {f"bands/{name}": values for name, values in self.bands.items()}
        arrays |= {f"ratio/{name}": values for name, values in self.ratio.items()}
        arrays |= {f"kept/{name}": values for name, values in self.kept.items()}
        if self.design is not None:
            arrays |= self.design.arrays("design/")
        for name, forest in (("forest", self.forest), ("money", self.money)):
            if forest is not None:
                arrays |= forest.trees.arrays(f"{name}/")
                graphs[f"{name}.onnx"] = forest.graph
        if self.uplift is not None:
            arrays |= self.uplift.arrays("uplift/")
        parts = {"churn.json": json.dumps(plain).encode(), "arrays.safetensors": tensors.save(arrays)}
        return parts | graphs | {"people": pack_arrays({"customer": self.people})}

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Leaving:
        """Read the state back."""
        said = json.loads(parts["churn.json"])
        arrays = tensors.load(parts["arrays.safetensors"])

        def forest(name: str) -> boosted.Forest | None:
            graph = parts.get(f"{name}.onnx")
            return boosted.Forest(Trees.from_arrays(arrays, f"{name}/"), graph) if graph is not None else None

        made = cls(
            how=said["how"],
            mode=said["mode"],
            horizon=float(said["horizon"]),
            columns=Columns.from_dict(said["columns"]),
            people=unpack_arrays(parts["people"])["customer"],
            matrix=arrays["matrix"],
            reasons=arrays["reasons"],
            hazard=Hazard.from_parts(arrays, parts),
            numbers=said["numbers"],
            said=tuple(said["said"]),
            bands=tensors.under(arrays, "bands/"),
            design=logistic.Design.from_arrays(arrays, "design/") if "design/smooth" in arrays else None,
            weights=arrays["weights"],
            forest=forest("forest"),
            money=forest("money"),
            ratio=tensors.under(arrays, "ratio/"),
            kept=tensors.under(arrays, "kept/"),
            buying=Buying.from_dict(said["buying"]) if said["buying"] else None,
            uplift=Uplift.from_arrays(arrays, "uplift/") if said["uplift"] else None,
        )
        made.open()
        return made


def with_rhythm(columns: Columns, buying: Buying | None, matrix: Array) -> Array:
    """Return the matrix with the chance to be active and the expected orders of the next quarter filled in."""
    if buying is None or "alive" not in columns.names:
        return matrix
    at = {name: columns.names.index(name) for name in (*RHYTHM[:3], "alive", "expected") if name in columns.names}
    if not all(name in at for name in RHYTHM[:3]):
        return matrix
    x, last, since = (matrix[:, at[name]].astype("f8") for name in RHYTHM[:3])
    known = ~np.isnan(x)
    x, last, since = (np.nan_to_num(values) for values in (x, last / WEEK, since / WEEK + 1e-9))
    made = matrix.copy()
    alive = buying.alive(x, last, since)
    made[:, at["alive"]] = np.where(known, alive, np.nan)
    made[:, at["expected"]] = np.where(known, alive * buying.rate(x, since) * 13.0, np.nan)
    return made
