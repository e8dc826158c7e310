from collections.abc import Mapping

from toy_demand import MODEL
from tradewind.core.table import Table


def assemble(found: Mapping[str, Table], **options: str) -> Table:
    return Table.from_frame(found["sales"].frame.select("product", "date", "units"), MODEL.needs)
