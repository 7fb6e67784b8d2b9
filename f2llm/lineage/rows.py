"""A few rows of a large table, by position."""

from pathlib import Path

from f2llm.records.tables import read_batches


def rows_at(path: Path, column: str, wanted: set[int]) -> dict[int, tuple[bytes, str]]:
    """Return position -> (id in `column`, text) of the wanted rows; memory is one batch."""
    found, first = {}, 0
    for batch in read_batches(path, columns=[column, "text"]):
        for at in wanted:
            if first <= at < first + len(batch):
                found[at] = (batch[column][at - first].as_py(), batch["text"][at - first].as_py())
        first += len(batch)
    return found
