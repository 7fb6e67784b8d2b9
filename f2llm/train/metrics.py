"""The log of losses and speed: lines of JSON while training runs, a table in long form at its end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from f2llm.records.files import atomic_open
from f2llm.records.tables import write_table
from f2llm.records.terms import terms_of


class MetricsLog:
    """Lines of JSON, one for each batch or source; reading drops a line that a crash cut off.

    A line holds the keys of `schema` and a value for each term that applies; the table has a row for each value.
    """

    def __init__(self, path: str | Path, *, schema: pa.Schema) -> None:
        self._path, self._schema = Path(path), schema

    def append(self, row: dict[str, Any]) -> None:
        """Write `row` at the end of the file."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def truncate(self, steps: int) -> None:
        """Keep the rows with `step` below `steps`: those of the steps that a checkpoint contains."""
        kept = [row for row in self.rows() if row["step"] < steps]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(self._path) as file:
            file.writelines(json.dumps(row).encode() + b"\n" for row in kept)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The complete rows in the order in which they were written."""
        if not self._path.is_file():
            return
        with open(self._path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def write_table(self, path: str | Path) -> int:
        """Write the values of all rows as a Parquet table; returns the number of its rows."""
        return write_table(path, schema=self._schema, rows=[terms_of(list(self.rows()), schema=self._schema)])
