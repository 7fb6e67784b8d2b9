"""What each step reported: appended to a file while training runs, a table at its end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from f2llm.records.files import atomic_open
from f2llm.records.schemas import METRICS
from f2llm.records.tables import write_table


class MetricsLog:
    """Lines of JSON, one a step; a line that a crash cut off is dropped when it is read."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def append(self, row: dict[str, Any]) -> None:
        """Add the row of one step; keys are the columns of METRICS."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def truncate(self, steps: int) -> None:
        """Keep the rows of the first `steps` steps, those that a checkpoint stands for."""
        kept = [row for row in self.rows() if row["step"] < steps]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(self._path) as file:
            file.writelines(json.dumps(row).encode() + b"\n" for row in kept)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the whole rows in their order."""
        if not self._path.is_file():
            return
        with open(self._path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def write_table(self, path: str | Path) -> int:
        """Write all rows as a Parquet table of schema METRICS and return their number."""
        return write_table(path, schema=METRICS, rows=[pa.Table.from_pylist(list(self.rows()), schema=METRICS)])
