"""Our fast posterior of media beside pymc-marketing's and Meridian's, on the same made-up worlds in one run: wall seconds, error, cover."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks._media import World, inside, off, world
from benchmarks._media_peers import CHAINS, DRAWS, NEEDS, WAVES
from benchmarks._result import Result, Row, at_least
from benchmarks._run import ROOT, child, temporary

CHECK = "roi fast, 3 channels x 150 weeks: at least 10 times faster than its peers in one run; error and cover beside each other"
SEEDS = range(5)
FASTER, BARRED = 10.0, "pymc-marketing"


@dataclass(frozen=True, slots=True)
class Done:
    """One engine on one world: wall seconds of learning, CPU seconds of the whole process, errors and covers by channel."""

    wall_s: float
    cpu_s: float
    off: np.ndarray
    inside: np.ndarray


def run() -> Result:
    """Run each engine on each world in a process of its own, in turns; skipped where the peer of the bar is not installed."""
    missing = [peer for peer, parts in NEEDS.items() if any(importlib.util.find_spec(part) is None for part in parts)]
    if BARRED in missing:
        return Result(skipped=f"{BARRED} is not installed: .venv/bin/python -m pip install --group bench-money")
    peers = [peer for peer in NEEDS if peer not in missing]
    worlds = {seed: world(seed) for seed in SEEDS}
    done: dict[str, list[Done]] = {engine: [] for engine in ("ours", *peers)}
    with temporary() as folder:
        for seed, made in worlds.items():
            for engine, each in done.items():
                each.append(one(engine, seed, made, folder))
    rows = [row for engine in peers for row in _beside(engine, done[engine], done["ours"])]
    notes = (
        f"worlds of `roi`, seeds {SEEDS.start}-{SEEDS.stop - 1}; each in a process of its own",
        "wall seconds of learning, imports not counted: ours with its checks, theirs with what it compiles",
        f"theirs: {CHAINS} chains of {DRAWS} after {DRAWS} or more to warm up, {WAVES} waves a year, a trend, their own priors",
        "pymc-marketing has its logistic curve, the others Hill's as the truth; our prior is close to the law of these worlds' returns",
        *(f"{peer} is not installed" for peer in missing),
    )
    return Result(tuple(rows), notes)


def one(engine: str, seed: int, made: World, folder: Path) -> Done:
    """Run one engine on one world and hold its draws against the truth."""
    out = folder / f"{engine}-{seed}.npz"
    ran = child([sys.executable, "-m", "benchmarks._media_peers", engine, str(seed), str(out)], cwd=ROOT, env={"MERIDIAN_BACKEND": "jax"})
    with np.load(out) as told:
        returns, seconds = told["returns"], float(told["seconds"])
    return Done(seconds, ran.cpu_s, off(returns, made.returns), inside(returns, made.returns))


def _beside(peer: str, theirs: list[Done], ours: list[Done]) -> list[Row]:
    ratios = [their.wall_s / our.wall_s for their, our in zip(theirs, ours, strict=True)]
    wall = {name: float(np.median([one.wall_s for one in each])) for name, each in (("ours", ours), (peer, theirs))}
    error = {name: float(np.mean([one.off for one in each])) for name, each in (("ours", ours), (peer, theirs))}
    cover = {name: float(np.mean([one.inside for one in each])) for name, each in (("ours", ours), (peer, theirs))}
    spent = {name: float(np.median([one.cpu_s for one in each])) for name, each in (("ours", ours), (peer, theirs))}
    return [
        at_least(
            f"times faster than {peer}, the least of {len(ratios)} worlds", min(ratios), FASTER, baseline=f"median {np.median(ratios):.0f}"
        ),
        Row("wall seconds of learning, median", f"{wall['ours']:.2f} s", f"{peer} {wall[peer]:.1f} s"),
        Row("CPU seconds of the whole process, imports included, median", f"{spent['ours']:.1f} s", f"{peer} {spent[peer]:.1f} s"),
        Row("error of the median return", f"{error['ours']:.3f}", f"{peer} {error[peer]:.3f}"),
        Row("90 % interval covers", f"{cover['ours']:.2f}", f"{peer} {cover[peer]:.2f}"),
    ]
