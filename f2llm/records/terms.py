"""Tables of named values: keys, then `term` and `value`, one value a row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.records.tables import read_table


def long_form(table: pa.Table, *, schema: pa.Schema) -> pa.Table:
    """The rows of `schema`, sorted by its keys and term, of a table in that form or with a column a term.

    The latter is how training notes its steps, and how it wrote its tables before they were long. A null is no row.
    """
    if "term" in table.column_names:
        return table
    keys = _keys(schema)
    parts = [schema.empty_table()]
    for term in (name for name in table.column_names if name not in keys):
        known = table.filter(pc.is_valid(table[term]))
        names = pa.array([term] * len(known), pa.string())
        columns = [*(known[key] for key in keys), names, known[term]]
        parts.append(pa.table(columns, names=schema.names).cast(schema))
    return pa.concat_tables(parts).sort_by([(name, "ascending") for name in (*keys, "term")])


def terms_of(lines: Sequence[Mapping[str, Any]], *, schema: pa.Schema) -> pa.Table:
    """The rows of `schema` for lines that each hold its keys and a value for each term that applies."""
    names = dict.fromkeys(name for line in lines for name in line)
    return long_form(pa.table({name: [line.get(name) for line in lines] for name in names}), schema=schema)


def read_terms(path: str | Path, terms: Sequence[str], *, schema: pa.Schema) -> dict[str, NDArray]:
    """The table at `path`, of either form, as arrays: a value for each key of `schema` and for each of `terms`.

    Equal keys make one value. A term is float64, NaN where it has no row.
    """
    table = long_form(read_table(path), schema=schema)
    column = {key: table[key].to_numpy() for key in _keys(schema)}
    # Rows with the same keys lie together, so the next value begins where a key changes.
    starts = np.ones(len(table), bool)
    starts[1:] = np.logical_or.reduce([values[1:] != values[:-1] for values in column.values()])
    places = np.cumsum(starts) - 1
    arrays = {key: values[starts] for key, values in column.items()}
    for term in terms:
        rows = pc.equal(table["term"], term).to_numpy()
        arrays[term] = np.full(starts.sum(), np.nan)
        arrays[term][places[rows]] = table["value"].to_numpy()[rows]
    return arrays


def _keys(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name not in ("term", "value")]
