"""Ids as content addresses, and keyed hashes for every random choice.

An id depends on the content alone: the same text has the same `doc_id` on every machine, in
every source and in every run. Random choices are keyed by (seed, stage, id), never by row
order or a global generator.
"""

import hashlib
import unicodedata

ID_BYTES = 16
# The types of task that a query can be of; its id depends on the type.
TASKS = ("retrieval", "classification", "clustering", "sts")
SPLIT_BUCKETS = 10
TEST_BUCKET = 0
DEV_BUCKET = 1


def doc_id(text: str) -> bytes:
    """16-byte id of a passage: blake2b of its Unicode-NFC text."""
    return _digest(unicodedata.normalize("NFC", text).encode())


def query_id(task: str, text: str) -> bytes:
    """16-byte id of a query: blake2b of its task type and Unicode-NFC text."""
    return _digest(task.encode(), unicodedata.normalize("NFC", text).encode())


def tuple_id(source: str, query: bytes, positive: bytes) -> bytes:
    """16-byte id of a training tuple of `source`, from its query and positive ids."""
    return _digest(source.encode(), query, positive)


def keyed_hash(seed: int, stage: str, *ids: bytes | str | int) -> int:
    """64-bit unsigned integer that depends on (seed, stage, ids) alone.

    Sort by it for a reproducible permutation, reduce it modulo n for a draw (the bias of a
    64-bit modulus is below 2**-40 for every n met here).
    """
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in ids]
    return int.from_bytes(_digest(str(seed).encode(), stage.encode(), *parts)[:8], "little")


def split_of(group: str) -> str:
    """Split of a group, "train", "dev" or "test": buckets 0 and 1 of ten are test and dev.

    The hash sees the group alone, so that sources made from one data set (two views of the
    same file) agree, and rows of one group never straddle splits.
    """
    bucket = keyed_hash(0, "split", unicodedata.normalize("NFC", group)) % SPLIT_BUCKETS
    return {TEST_BUCKET: "test", DEV_BUCKET: "dev"}.get(bucket, "train")


def _digest(*parts: bytes) -> bytes:
    """Hash parts with lengths in front, so that ("ab", "c") and ("a", "bc") differ."""
    hasher = hashlib.blake2b(digest_size=ID_BYTES)
    for part in parts:
        if len(parts) > 1:
            hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return hasher.digest()
