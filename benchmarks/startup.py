"""How quickly the house opens its door."""

from __future__ import annotations

import sys

from benchmarks._result import Result, Row, at_most
from benchmarks._run import child, median

CHECK = "import tradewind < 150 ms and light; tradewind --help < 300 ms"
TIMES = 9
HEAVY = "numpy pandas polars pyarrow scipy lightgbm onnxruntime duckdb fastapi altair cryptography rich typer"


def run() -> Result:
    """Time fresh processes; the bare interpreter is the baseline."""
    bare = median([child([sys.executable, "-c", "pass"]).seconds for _ in range(TIMES)])
    spent = [child([sys.executable, "-c", "import tradewind"]).seconds for _ in range(TIMES)]
    helped = [child([sys.executable, "-m", "tradewind", "--help"]).seconds for _ in range(TIMES)]
    loaded = child([sys.executable, "-c", f"import sys, tradewind; print(*set({HEAVY!r}.split()) & set(sys.modules))"]).out.strip()
    baseline = f"bare interpreter {1000 * bare:.0f} ms"
    return Result(
        (
            at_most("import tradewind", 1000 * (median(spent) - bare), 150, unit="ms", baseline=baseline),
            Row("heavy libraries it loads", loaded or "none", "", "none", not loaded),
            at_most("tradewind --help, whole process", 1000 * median(helped), 300, unit="ms", baseline=baseline),
        ),
        (f"medians of {TIMES} fresh processes; the import is shown without the interpreter's own start",),
    )
