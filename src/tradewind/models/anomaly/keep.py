"""A watch as named bytes and back: numbers as tensors, all else as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit import tensors
from tradewind.models.anomaly import design
from tradewind.models.anomaly.design import Design, Pace
from tradewind.models.anomaly.drivers import Driven
from tradewind.models.anomaly.engine import Engine
from tradewind.models.anomaly.far import PER_SERIES, Far
from tradewind.models.anomaly.forest import Forest
from tradewind.models.anomaly.grid import Beat
from tradewind.models.anomaly.habit import Habit
from tradewind.models.anomaly.lines import FIGURES, Baselines, Lines, Orders, Usual
from tradewind.models.anomaly.ranks import Ranks
from tradewind.models.anomaly.series import Followed
from tradewind.models.anomaly.together import Law, Together
from tradewind.models.anomaly.watch import MATRICES, Cells, Watch

Array = np.ndarray[Any, Any]
SMALL = ("kind", "mark", "known")
OF_DRIVEN = ("beta", "spread", "up", "down", "stock", "regular", "unit", "group")
OF_TOGETHER, RANKED = ("members", "rows", "middle", "wide"), ("error", "apart", "ranks")
LOGS = ("ranks", "rarest")  # what is ranked there are minus the logs of shares
OF_ORDERS = ("order", "product", "customer", "channel", "terms")
OF_USUAL, OF_LINES = ("level", "spread", "shift"), ("rarest", "apart", "ranks")
OF_FOLLOWED = ("profile", "keep", "trend", "first", "second", "spread", "least")


def dump(watch: Watch) -> dict[str, bytes]:
    """Write a watch."""
    arrays: dict[str, Array] = {"moments": watch.cells.moments.astype("M8[us]").astype("i8"), "chances": watch.chances}
    arrays |= {f"cells/{name}": getattr(watch.cells, name).astype("i1" if name in SMALL else "f4") for name in MATRICES}
    arrays |= {"cells/p": watch.cells.p, "cells/odds": watch.cells.odds, "scores": watch.ranks.scores, "distances": watch.ranks.distances}
    arrays |= {"milder": watch.milder, "holidays": watch.holidays.astype("M8[D]").astype("i8")}
    labels = {}
    for name, value in watch.labels.items():
        if value.dtype == object:
            labels[name] = value.tolist()
        else:
            arrays[f"label/{name}"] = value.astype("f8")
    engines = []
    for at, (rows, engine) in enumerate(watch.engines):
        arrays[f"{at}/rows"] = rows.astype("i8")
        engines.append(_engine(engine, f"{at}/", arrays))
    said = {
        "beat": [watch.beat.step, watch.beat.months],
        "keys": {name: value.tolist() for name, value in watch.keys.items()},
        "labels": labels,
        "engines": engines,
        "budget": watch.budget,
        "logs": watch.ranks.logs,
        "rate": watch.rate,
        "notes": list(watch.notes),
        "lines": None if watch.lines is None else _lines(watch.lines, arrays),
        "together": None if watch.together is None else _vectors(watch.together, arrays),
    }
    return {"watch.json": json.dumps(said).encode(), "watch.safetensors": tensors.save(arrays)}


def load(parts: Mapping[str, bytes]) -> Watch:
    """Read a watch back; raises Incompatible."""
    try:
        said = json.loads(parts["watch.json"])
        arrays = tensors.load(parts["watch.safetensors"])
        engines = tuple((arrays[f"{at}/rows"], _read(one, f"{at}/", arrays)) for at, one in enumerate(said["engines"]))
        cells = {name: arrays[f"cells/{name}"].astype("f8") for name in MATRICES}
        labels = {name: _texts(value) for name, value in said["labels"].items()}
        labels |= {name[6:]: value for name, value in arrays.items() if name.startswith("label/")}
        return Watch(
            Beat(*said["beat"]),
            {name: _texts(value) for name, value in said["keys"].items()},
            labels,
            Cells(arrays["moments"].astype("M8[us]"), **cells),
            engines,
            arrays["chances"],
            Ranks(arrays["scores"], arrays["distances"], bool(said["logs"])),
            arrays["milder"] if "milder" in arrays else np.zeros(len(arrays["chances"])),
            float(said["budget"]),
            float(said["rate"]),
            tuple(said["notes"]),
            None if said["together"] is None else _read_vectors(said["together"], arrays),
            None if said["lines"] is None else _read_lines(said["lines"], arrays),
            arrays.get("holidays", np.zeros(0, "i8")).astype("M8[D]"),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Incompatible("this version of the watch cannot be read", hint="train the model again") from error


def _texts(values: list[str]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _ranks(arrays: Mapping[str, Array], at: str, *, logs: bool) -> Ranks:
    return Ranks(arrays[f"{at}/scores"], arrays[f"{at}/distances"], logs)


def _vectors(together: Together, arrays: dict[str, Array]) -> dict[str, Any]:
    """Put the numbers of the figures together among the arrays; return the rest."""
    law = together.law
    arrays |= {f"together/{name}": getattr(together, name) for name in OF_TOGETHER}
    arrays |= {"together/axes": law.axes, "together/variance": law.variance} | law.forest.arrays("together/forest/")
    for name in RANKED:
        ranks = getattr(together, name)
        arrays |= {f"together/{name}/scores": ranks.scores, f"together/{name}/distances": ranks.distances}
    return {"names": list(together.names), "kept": law.kept, "usual": list(together.usual)}


def _read_vectors(said: Mapping[str, Any], arrays: Mapping[str, Array]) -> Together:
    members, rows, middle, wide = (arrays[f"together/{name}"] for name in OF_TOGETHER)
    law = Law(arrays["together/axes"], arrays["together/variance"], int(said["kept"]), Forest.from_arrays(arrays, "together/forest/"))
    error, apart, both = (_ranks(arrays, f"together/{name}", logs=name in LOGS) for name in RANKED)
    mean, spread = said["usual"]
    return Together(tuple(said["names"]), members, rows, middle, wide, law, error, apart, both, (float(mean), float(spread)))


def _lines(lines: Lines, arrays: dict[str, Array]) -> dict[str, Any]:
    """Put the numbers of single orders among the arrays; return the rest."""
    for name, usual in lines.base.usual.items():
        arrays |= {f"lines/{name}/{part}": getattr(usual, part) for part in OF_USUAL}
    ranked = dict(zip(FIGURES, lines.columns, strict=True)) | {name: getattr(lines, name) for name in OF_LINES}
    for name, ranks in ranked.items():
        arrays |= {f"lines/{name}/scores": ranks.scores, f"lines/{name}/distances": ranks.distances}
    arrays |= {f"lines/past/{name}": value for name, value in lines.past.figures.items()}
    arrays["lines/past/date"] = lines.past.date.astype("M8[D]").astype("i8")
    arrays |= lines.forest.arrays("lines/forest/")
    return {
        "names": {kind: names.tolist() for kind, names in lines.base.names.items()},
        "past": {name: getattr(lines.past, name).tolist() for name in OF_ORDERS},
        "last": str(lines.last),
    }


def _read_lines(said: Mapping[str, Any], arrays: Mapping[str, Array]) -> Lines:
    usual = {name: Usual(*(arrays[f"lines/{name}/{part}"] for part in OF_USUAL)) for name in FIGURES}
    base = Baselines({kind: _texts(names) for kind, names in said["names"].items()}, usual)
    ranked = {name: _ranks(arrays, f"lines/{name}", logs=name in LOGS) for name in (*FIGURES, *OF_LINES)}
    figures = {name: arrays[f"lines/past/{name}"] for name in FIGURES}
    order, product, customer, channel, terms = (_texts(said["past"][name]) for name in OF_ORDERS)
    past = Orders(order, product, customer, channel, terms, arrays["lines/past/date"].astype("M8[D]"), figures)
    forest = Forest.from_arrays(arrays, "lines/forest/")
    rarest, apart, ranks = (ranked[name] for name in OF_LINES)
    return Lines(base, tuple(ranked[name] for name in FIGURES), forest, rarest, apart, ranks, past, np.datetime64(said["last"], "D"))


def _engine(engine: Engine, at: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """Put an engine's numbers among the arrays; return the rest of it."""
    if isinstance(engine, Habit):
        arrays |= {at + "kept": engine.kept, at + "spread": engine.spread}
        return {"family": engine.family, "count": engine.count}
    if isinstance(engine, Followed):
        arrays |= {at + name: getattr(engine, name) for name in OF_FOLLOWED}
        arrays |= {f"{at}far/{name}": getattr(engine.far, name) for name in PER_SERIES}
        return {"family": engine.family, "count": engine.count, "rate": engine.far.rate, "seen": engine.far.seen}
    if not isinstance(engine, Driven):
        raise TypeError(f"an engine that cannot be kept: {type(engine).__name__}")
    arrays |= {at + name: np.asarray(getattr(engine, name)) for name in OF_DRIVEN}
    arrays |= {f"{at}usual/price": engine.usual.price, f"{at}usual/rival": engine.usual.rival}
    for name, (mean, spread) in engine.usual.numbers.items():
        arrays |= {f"{at}mean/{name}": mean, f"{at}wide/{name}": spread}
    arrays |= {f"{at}last/{name}": np.asarray(value, "f8") for name, value in engine.last.items()}
    arrays |= {f"{at}near/{name}": value for name, value in engine.siblings.items()}
    arrays[at + "flags"] = np.ascontiguousarray(engine.design.flags[:, engine.count :], "f4")
    pace = engine.design.pace
    return {
        "family": engine.family,
        "count": engine.count,
        "between": engine.between,
        "names": list(engine.design.names),
        "kinds": list(engine.design.kinds),
        "pace": [pace.slow, pace.level, pace.gap, pace.weekday, pace.waves, pace.around],
        "numbers": list(engine.usual.numbers),
        "last": list(engine.last),
        "near": list(engine.siblings),
    }


def _read(said: Mapping[str, Any], at: str, arrays: Mapping[str, Array]) -> Engine:
    count = int(said["count"])
    if said["family"] == "plain":
        return Habit(count, arrays[at + "kept"], arrays[at + "spread"])
    if said["family"] == "real":
        far = Far(float(said["rate"]), float(said["seen"]), *(arrays[f"{at}far/{name}"] for name in PER_SERIES))
        return Followed(count=count, far=far, **{name: arrays[at + name] for name in OF_FOLLOWED})
    # the past of the calendar is over: what is kept of it begins at the next period
    later = arrays[at + "flags"]
    flags = np.concatenate([np.zeros((len(later), count), "f4"), later], 1)
    made = Design(tuple(said["names"]), tuple(said["kinds"]), flags, Pace(*said["pace"]))
    numbers = {name: (arrays[f"{at}mean/{name}"], arrays[f"{at}wide/{name}"]) for name in said["numbers"]}
    usual = design.Usual(arrays[f"{at}usual/price"], arrays[f"{at}usual/rival"], numbers)
    beta, spread, up, down, stock, regular, unit, group = (arrays[at + name] for name in OF_DRIVEN)
    near = {name: arrays[f"{at}near/{name}"] for name in said["near"]}
    last = {name: arrays[f"{at}last/{name}"] for name in said["last"]}
    return Driven(made, count, beta, spread, up, down, stock, regular, usual, unit, group, near, last, float(said["between"]))
