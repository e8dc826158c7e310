"""A shop of a few series with known habits, as a modelling table: what the tests of forecasting learn from."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table

ROLES = {
    "date": (Role.TIME, Type.DATE),
    "product": (Role.ENTITY, Type.TEXT),
    "store": (Role.ENTITY, Type.TEXT),
    "units": (Role.TARGET, Type.NUMBER),
    "price": (Role.LEVER, Type.NUMBER),
    "promotion": (Role.LEVER, Type.NUMBER),
    "stock": (Role.PAST, Type.NUMBER),
    "category": (Role.STATIC, Type.TEXT),
    "available": (Role.AVAILABLE, Type.NUMBER),
}


def tabled(frame):
    """Return a frame as a modelling table; what a column is follows from its name."""
    described = tuple(Column(name, *ROLES[name]) for name in frame.columns if name in ROLES)
    keys = tuple(name for name in ("date", "product", "store") if name in frame.columns)
    return Table(Schema(described, keys), frame=frame.select([column.name for column in described]))


def made(days=160, plan=30, products=3, stores=2, seed=0, start="2024-01-01", step=1, elasticity=-2.0, noise=0.0):
    """Return rows of `days` past and `plan` planned periods of every product and store: prices move, one week in five is promoted."""
    rng = np.random.default_rng(seed)
    width = days + plan
    weekly = np.repeat(rng.random((products, width // 7 + 1)) < 0.2, 7, axis=1)[:, :width].astype("f8")
    steps = np.repeat(rng.choice([1.0, 0.9, 1.1], (products, width // 21 + 1)), 21, axis=1)[:, :width]
    frames = []
    for product in range(products):
        for store in range(stores):
            price = (2.0 + product) * steps[product] * np.where(weekly[product] > 0, 0.8, 1.0)
            level = 8.0 * (1 + product) * (1 + 0.5 * store)
            mean = level * (1 + 0.3 * np.sin(2 * np.pi * np.arange(width) / 7)) * (price / (2.0 + product)) ** elasticity
            mean = mean * 1.3 ** weekly[product] * np.exp(noise * rng.normal(size=width) - noise**2 / 2)
            units = rng.poisson(mean).astype("f8")
            units[days:] = np.nan
            frames.append(
                pl.DataFrame(
                    {
                        "date": pl.Series(np.datetime64(start) + step * np.arange(width)).cast(pl.Date),
                        "product": [f"P{product}"] * width,
                        "store": [f"S{store}"] * width,
                        "units": pl.Series(units).fill_nan(None),
                        "price": price,
                        "promotion": weekly[product],
                        "stock": pl.Series(np.where(np.arange(width) < days, 50.0 + units, np.nan)).fill_nan(None),
                        "category": ["drinks" if product % 2 else "snacks"] * width,
                        "available": np.ones(width),
                    }
                )
            )
    return pl.concat(frames)


@pytest.fixture(scope="session")
def shop():
    """Return the function that makes the shop's rows."""
    return made


@pytest.fixture(scope="session")
def as_table():
    """Return the function that makes rows a modelling table."""
    return tabled
