"""Tradewind: local-first commercial intelligence. Nothing ever leaves the machine.

import tradewind as tw
desk = tw.open("shop/")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tradewind.core.version import VERSION

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything can import onnxruntime: its Linux wheels report home by default

if TYPE_CHECKING:
    from tradewind.core.answer import Answer, Fact
    from tradewind.core.errors import TradewindError
    from tradewind.core.table import Table
    from tradewind.desk import Desk, demo, open

__version__ = VERSION
__all__ = ["Answer", "Desk", "Fact", "Table", "TradewindError", "demo", "open"]

_HOMES = {
    "Answer": "core.answer",
    "Fact": "core.answer",
    "Table": "core.table",
    "TradewindError": "core.errors",
    "Desk": "desk",
    "demo": "desk",
    "open": "desk",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import tradewind` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tradewind' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"tradewind.{_HOMES[name]}"), name)
