"""Rows of each source from the files to training, and the training data statement, for the cards of a run."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow.compute as pc

from f2llm.config.curate import Curate
from f2llm.config.sources import Source
from f2llm.records.tables import count_rows, read_table
from f2llm.runs.funnel import read_contamination, read_planned
from f2llm.runs.layout import Layout


class Counted(NamedTuple):
    """Rows of a source, in the order of the stages."""

    source: str
    read: int | None  # rows of the files that held a query, None where no manifest says so
    normalised: int  # distinct queries with a text
    held_out: int  # of these, for evaluation
    cap: int | None  # most queries that the stanza allows
    queries: int  # after curation
    passages: int
    mined: int  # tuples
    trained: int  # distinct tuples of the plan

    def cells(self) -> list[str]:
        """Return the row as texts; what is not known or not set is a dash."""
        return [self.source, *("–" if value is None else str(value) for value in self[1:])]


def count_sources(layout: Layout, manifests: Sequence[Mapping[str, Any]]) -> list[Counted]:
    """Return the rows of every trained source, counted in the tables; `manifests` are those of the run's jobs."""
    planned = read_planned(layout.of_run("plan.parquet"))
    read = {
        job["wildcards"].get("source"): job["counts"].get("queries_read")
        for job in manifests
        if job["rule"] == "normalise_source"
    }
    return [
        _count(layout, source, read=read.get(source.name), trained=planned.get(source.name, (0, 0))[0])
        for source in layout.sources
    ]


def statement(
    layout: Layout, counted: Sequence[Counted], manifests: Sequence[Mapping[str, Any]], *, curate: Curate
) -> str:
    """Return in words what the model is trained on."""
    sources = [row for row in counted if row.trained]
    unclear = sum(source.licence.commercial != "yes" for source in layout.sources)
    left = [f"{len(layout.barred)} sources are left out by the licence policy."] if layout.barred else []
    return " ".join(
        [
            f"{sum(row.trained for row in counted):,} tuples of a query, a positive and hard negatives, from "
            f"{len(sources)} sources, and nothing else; {sum(row.mined for row in counted):,} were mined.",
            f"{unclear} of {len(layout.sources)} sources do not clearly allow commercial use.",
            *left,
            _contamination(layout, manifests, curate=curate),
        ]
    )


def _contamination(layout: Layout, manifests: Sequence[Mapping[str, Any]], *, curate: Curate) -> str:
    """Return in words which evaluation texts were found in the sources, dropped and left apart."""
    policy = curate.decontaminate.policy
    if policy == "off":
        return "Evaluation texts were not looked for among the sources' texts (policy of decontamination: off)."
    found = read_contamination(layout, manifests)
    dropped = [row.dropped for row in found if row.dropped]
    reported = [left for row in found if (left := row.reported + row.corpus)]
    return (
        f"Policy of decontamination: {policy}. Rows with texts of {len(dropped)} evaluation tasks were found and "
        f"dropped ({sum(dropped):,} findings); rows with texts of {len(reported)} tasks were found and reported, not "
        f"dropped ({sum(reported):,} findings, {sum(row.corpus for row in found):,} of them equal to a passage that a "
        "task searches)."
    )


def _count(layout: Layout, source: Source, *, read: int | None, trained: int) -> Counted:
    curated = layout.curated(source.name)
    splits = read_table(layout.source(source.name) / "queries.parquet", columns=["split"])["split"]
    return Counted(
        source.name,
        read,
        len(splits),
        pc.sum(pc.not_equal(splits, "train")).as_py() or 0,
        source.max_queries,
        count_rows(curated / "queries.parquet"),
        count_rows(curated / "corpus.parquet"),
        count_rows(layout.mined(source.name) / "tuples.parquet"),
        trained,
    )
