"""What each step reported: appended to a file while training runs, a table at its end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from f2llm.records.files import atomic_open
from f2llm.records.tables import write_table
from f2llm.records.terms import terms_of


class MetricsLog:
    """Lines of JSON, one for each batch or source; a line that a crash cut off is dropped when it is read.

    A line holds the keys of `schema` and a value for each term that applies; the table has a row for each value.
    """

    def __init__(self, path: str | Path, *, schema: pa.Schema) -> None:
        self._path, self._schema = Path(path), schema

    def append(self, row: dict[str, Any]) -> None:
        """Add one row."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def truncate(self, steps: int) -> None:
        """Keep the rows with `step` below `steps`, those that a checkpoint stands for."""
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
        """Write all rows as a Parquet table and return their number."""
        return write_table(path, schema=self._schema, rows=[terms_of(list(self.rows()), schema=self._schema)])
