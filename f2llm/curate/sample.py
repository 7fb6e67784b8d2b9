"""Samples of rows by a keyed hash of their ids."""

import numpy as np
import pyarrow as pa

from f2llm.curate.rows import Ints, Mask
from f2llm.records.ids import keyed_hash

STAGE = "sample"


def beyond(ids: pa.Array, *, live: Mask, always: Mask, most: int | None, seed: int) -> Ints:
    """Live rows that do not fit into `most`; rows of `always` are never among them.

    The order is that of the keyed hashes of (seed, "sample", id). With more than `most` rows
    in `always`, these alone stay.
    """
    rows = np.flatnonzero(live & ~always)
    room = len(rows) if most is None else max(most - int((live & always).sum()), 0)
    if room >= len(rows):
        return np.zeros(0, np.int64)
    hashes = np.array([keyed_hash(seed, STAGE, row_id) for row_id in ids.take(pa.array(rows)).to_pylist()], np.uint64)
    return np.sort(rows[np.lexsort((rows, hashes))[room:]])
