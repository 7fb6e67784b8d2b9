"""Vectors taken out of a store by the ids of their texts."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from f2llm.records.files import read_json
from f2llm.vectors.store import SUFFIXES, VectorStore, as_ids


def delete_vectors(folder: str | Path, ids: Collection[bytes]) -> int:
    """Delete the rows of `ids` from all shards below a folder of stores, and return how many there were.

    A shard that loses rows is written anew without them, then the old one is deleted. Nothing may
    read or write the stores meanwhile.
    """
    deleted = 0
    for about in sorted(Path(folder).rglob("shard_*.json")):
        described = read_json(about)
        dtype = next(kind for kind, suffix in SUFFIXES.items() if about.with_suffix(suffix).is_file())
        listing = about.with_suffix(".ids").read_bytes()
        own = [listing[at : at + 16] for at in range(0, len(listing), 16)]
        keep = np.array([identity not in ids for identity in own], bool)
        if keep.all():
            continue
        rows_ND = np.fromfile(about.with_suffix(SUFFIXES[dtype]), dtype).reshape(len(own), described["dim"])
        store = VectorStore(about.parent, key=described["key"], dtype=dtype)
        kept = as_ids([identity for identity, stays in zip(own, keep, strict=True) if stays])
        store.put(kept, rows_ND[keep], precision=described["precision"])
        for suffix in (".json", ".ids", SUFFIXES[dtype]):  # the description first: without it there is no shard
            about.with_suffix(suffix).unlink()
        deleted += int((~keep).sum())
    return deleted
