"""From rows read to rows trained on: what each stage let through, source by source."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow.compute as pc

from f2llm.config.sources import Source
from f2llm.lineage.layout import Layout
from f2llm.records.tables import count_rows, read_table


class Funnel(NamedTuple):
    """Queries of one source that each stage left. `removed` maps (role, stage, reason) to rows.

    `published` are the tuples that a publication made of the same data, None where none states it.
    """

    source: str
    task: str
    normalised: int
    held_out: int
    curated: int
    tuples: int
    planned: int
    passages: int
    passages_curated: int
    removed: Mapping[tuple[str, str, str], int]
    rejected: Mapping[str, int]
    published: int | None


def read_funnel(layout: Layout) -> list[Funnel]:
    """Return the funnel of every trained source, counted in the tables."""
    planned = Counter(read_table(layout.of_run("plan.parquet"), columns=["source"])["source"].to_pylist())
    return [_of(layout, source, planned[source.name]) for source in layout.sources]


def _of(layout: Layout, source: Source, planned: int) -> Funnel:
    name = source.name
    splits = read_table(layout.source(name) / "queries.parquet", columns=["split"])["split"]
    train = pc.sum(pc.equal(splits, "train")).as_py() or 0
    removed = read_table(layout.curated(name) / "removed.parquet", columns=["role", "stage", "reason"])
    reasons = Counter(zip(*(removed[column].to_pylist() for column in ("role", "stage", "reason")), strict=True))
    rejected = Counter(read_table(layout.mined(name) / "rejected.parquet", columns=["reason"])["reason"].to_pylist())
    return Funnel(
        name,
        source.task,
        len(splits),
        len(splits) - train,
        count_rows(layout.curated(name) / "queries.parquet"),
        count_rows(layout.mined(name) / "tuples.parquet"),
        planned,
        count_rows(layout.source(name) / "corpus.parquet"),
        count_rows(layout.curated(name) / "corpus.parquet"),
        dict(sorted(reasons.items())),
        dict(sorted(rejected.items())),
        source.expected.queries,
    )
