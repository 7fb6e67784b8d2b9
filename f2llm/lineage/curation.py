"""What curation found, for the report: clusters of copies, evaluation texts by task, texts of several sources."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.lineage.layout import Layout
from f2llm.records.files import read_json
from f2llm.records.ids import keyed_hash
from f2llm.records.tables import ID, read_batches, read_table

SIZES = (2, 3, 4, 10, 100)  # least members of a row of the table of clusters
CORPUS = " (corpus)"


class Clusters(NamedTuple):
    """Texts of one source that say the same, with the one that was kept of each."""

    source: str
    clusters: int
    removed: int
    by_size: tuple[int, ...]  # clusters from each of SIZES up to the next
    largest: int  # members
    largest_id: bytes | None  # of the text that was kept of it


class Contamination(NamedTuple):
    """Evaluation texts of one task that were found in the training data."""

    task: str
    dropped: int  # rows
    reported: int  # rows that stayed
    evaluation_texts: int  # distinct ones that were found
    sources: Mapping[str, int]  # rows by source
    corpus: int  # rows that equal a text of the task's retrieval corpus; they stay


class HitExample(NamedTuple):
    """A training text and the evaluation text that it contains."""

    source: str
    role: str
    task: str
    test_id: str
    rule: str
    containment: float
    dropped: bool
    text: str
    test_text: str


def read_clusters(layout: Layout, source: str) -> Clusters:
    """Return the clusters of exact and near copies among the passages, or else the queries, of a source."""
    table = read_table(layout.curated(source) / "removed.parquet", columns=["id", "role", "kept_id"])
    table = table.filter(pc.is_valid(table["kept_id"]))
    role = "passage" if pc.any(pc.equal(table["role"], "passage")).as_py() else "query"
    table = table.filter(pc.equal(table["role"], role))
    if not len(table):
        return Clusters(source, 0, 0, (0,) * len(SIZES), 0, None)
    ids, kept = _bytes(table["id"]), _bytes(table["kept_id"])
    kept = _last(kept, order=np.argsort(ids), ids=ids, stand_in=kept)
    roots, counts = np.unique(kept, return_counts=True)
    sizes = counts + 1
    bounds = [*SIZES, np.iinfo(np.int64).max]
    by_size = tuple(int(((sizes >= low) & (sizes < high)).sum()) for low, high in zip(bounds, bounds[1:], strict=False))
    at = int(sizes.argmax())
    return Clusters(source, len(roots), len(ids), by_size, int(sizes[at]), bytes(roots[at]).ljust(16, b"\0"))


def read_contamination(layout: Layout, jobs: Sequence[Mapping[str, Any]]) -> list[Contamination]:
    """Return what was found of each task in all sources, by task; `jobs` are the manifests of the run."""
    rows: Counter[tuple[str, bool]] = Counter()
    by_source: Counter[tuple[str, str]] = Counter()
    texts: dict[str, set[str]] = {}
    for source in layout.sources:
        path = layout.curated(source.name) / "hits.parquet"
        for batch in read_batches(path, columns=["task", "test_id", "dropped"]):
            for task, test_id, dropped in zip(*(batch[at].to_pylist() for at in range(3)), strict=True):
                rows[task, dropped] += 1
                by_source[task, source.name] += 1
                texts.setdefault(task, set()).add(test_id)
    corpora = _corpora(jobs)
    return [
        Contamination(
            task,
            rows[task, True],
            rows[task, False],
            len(texts.get(task, ())),
            {source: count for (of, source), count in sorted(by_source.items()) if of == task},
            corpora[task],
        )
        for task in sorted({*texts, *corpora})
    ]


def read_shared(layout: Layout) -> list[Mapping[str, Any]]:
    """Return how many texts each two sources share, most first."""
    path = layout.results / "shared" / layout.variants["curated"] / "shared.json"
    pairs = read_json(path)["pairs"]
    return sorted(pairs, key=lambda pair: (-pair["texts"], pair["role"], pair["sources"]))


def hit_examples(layout: Layout, *, each: int) -> list[HitExample]:
    """Return up to `each` hits of every task, drawn by keyed hash."""
    drawn: dict[str, list[tuple[int, HitExample]]] = {}
    for source in layout.sources:
        for batch in read_batches(layout.curated(source.name) / "hits.parquet", rows=1024):
            for row in batch.to_pylist():
                place = keyed_hash(0, "example", row["id"])
                shown = HitExample(source.name, *(row[name] for name in HitExample._fields[1:]))
                drawn[row["task"]] = sorted([*drawn.get(row["task"], []), (place, shown)])[:each]
    return [example for task in sorted(drawn) for _, example in drawn[task]]


def _corpora(jobs: Sequence[Mapping[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for job in jobs:
        for role in ("queries", "passages") if job["rule"] == "curate_source" else ():
            for task, count in job["counts"].get(f"contaminated_{role}", {}).items():
                if task.endswith(CORPUS):
                    found[task.removesuffix(CORPUS)] += count
    return found


def _bytes(ids: pa.ChunkedArray) -> NDArray[np.bytes_]:
    whole = pa.concat_arrays(ids.cast(ID).chunks)
    return np.frombuffer(whole.buffers()[1], "S16", count=len(whole), offset=whole.offset * 16)


def _last(
    wanted: NDArray[np.bytes_], *, order: NDArray[np.int64], ids: NDArray[np.bytes_], stand_in: NDArray[np.bytes_]
) -> NDArray[np.bytes_]:
    """Follow stand-ins that were removed for another in their turn."""
    while True:
        places = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
        rows = order[places]
        gone = ids[rows] == wanted
        if not gone.any():
            return wanted
        wanted = np.where(gone, stand_in[rows], wanted)
