"""Which files of a repository are its training rows: one format, one folder, the shards of one name."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from f2llm.rows.archives import RawFile
from f2llm.rows.files import is_hidden
from f2llm.rows.layout import WORKBOOKS, RowFile, holds_rows

FORMATS = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".tab", *WORKBOOKS, ".txt")
TRAIN = re.compile(r"(?:^|[/_.-])train", re.IGNORECASE)
HELD_OUT = re.compile(r"(?:^|[/_.-])(?:test|val|valid|validation|dev|eval)(?:[/_.-]|$)", re.IGNORECASE)
FOLDERS = ("", "data", "default", "default/train", "train")  # of a repository with one configuration
SHARD = re.compile(r"[-_.]\d{3,}(?:-of-\d+)?(?:-[0-9a-f]{6,})?(?=\.[a-z])")
NUMBERED = re.compile(r"^((?:.*/)?)\d{4}(?=\.parquet$)")
ABOUT = re.compile(
    r"(?:^|/)(?:dataset_infos?|dataset_dict|state|config|package|metadata|readme|licen[cs]e)\.", re.IGNORECASE
)
LISTED = 5


class TrainFiles(NamedTuple):
    """The pattern of the chosen files, their names, and some patterns of the others."""

    pattern: str
    names: list[str]
    others: list[str]


def train_files(names: Sequence[str]) -> TrainFiles:
    """The files of rows of the training split; of several formats or folders one. Without any, no names."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        if holds_rows(name) and not is_hidden(name) and not ABOUT.search(name):
            groups.setdefault(_pattern(name), []).append(name)
    ranked = sorted(groups, key=lambda pattern: (_rank(groups[pattern][0]), pattern))
    if not ranked:
        return TrainFiles("", [], [])
    return TrainFiles(ranked[0], groups[ranked[0]], ranked[1 : 1 + LISTED])


def _pattern(name: str) -> str:
    """The name, with a star for the number of its shard."""
    numbered = NUMBERED.sub(r"\1*", name)
    return SHARD.sub("-*", name) if numbered == name else numbered


def _rank(name: str) -> tuple[bool, bool, int, int]:
    """Smaller is better: rows of train, or of no held-out split, in the formats that say most, in the usual folder."""
    folder, suffix = str(PurePosixPath(name).parent), RowFile(RawFile(name, name=name)).suffix
    place = FOLDERS.index(folder) if folder in FOLDERS else len(FOLDERS)
    return not TRAIN.search(name), bool(HELD_OUT.search(name)), FORMATS.index(suffix), 0 if folder == "." else place
