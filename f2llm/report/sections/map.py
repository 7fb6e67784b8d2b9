"""Section: a map of the sources, where the retriever puts a sample of their texts in two dimensions."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.models.prompts import format_query
from f2llm.records.files import read_json
from f2llm.records.ids import doc_id
from f2llm.records.sql import rows_at
from f2llm.records.tables import count_rows
from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, LONG, SCORE, TEXT, ReportTable, columns
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import Layout
from f2llm.vectors.store import VectorStore

POINTS = 1500  # of all sources
MOST_OF_ONE = 120
MOST_CHARACTERS = 120
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
DECIMALS = 4  # of a place: the last bits of a projection depend on the machine
ROLES = (("queries", "query_id", "query"), ("corpus", "doc_id", "passage"))


class Point(NamedTuple):
    """A text on the map."""

    source: str
    role: str
    id: str
    text: str
    x: float
    y: float


class Map(NamedTuple):
    """The points, the share of the variance that the two axes show, and the vectors that they stand for [N, D]."""

    points: list[Point]
    explained: float
    vectors: NDArray[np.float32]


_Sample = tuple[tuple[str, str, str, str], NDArray[np.floating]]  # the first fields of a point, and its vector
MAP = (
    *columns(TEXT, "source", "role", "id"),
    *columns(LONG, "text"),
    *columns(SCORE, "x", "y"),
)
NEIGHBOURS = (
    *columns(TEXT, "source"),
    *columns(COUNT, points="texts"),
    *columns(SCORE, within="cosine within"),
    *columns(TEXT, nearest="nearest source"),
    *columns(SCORE, between="cosine to it"),
)


def read_map(layout: Layout, *, gaps: Gaps) -> Map | None:
    """The map of a sample of the queries and passages that the retriever has vectors of; None where of none.

    Sources whose negatives are given or drawn have no vectors. Axes: the first two principal components.
    """
    each = max(2, min(MOST_OF_ONE, POINTS // (2 * max(1, len(layout.sources)))))
    sampled: list[_Sample] = []
    for source in layout.sources:
        with gaps.noting(source.name):
            sampled += _sampled(layout, source.name, each=each)
    if len({identity for (_, _, identity, _), _ in sampled}) < 3:
        return None
    from sklearn.decomposition import PCA

    vectors = np.stack([vector for _, vector in sampled]).astype(np.float32)
    projection = PCA(2, svd_solver="full")
    places = projection.fit_transform(vectors.astype(np.float64)).round(DECIMALS) + 0.0
    points = [Point(*text, *place) for (text, _), place in zip(sampled, places.tolist(), strict=True)]
    return Map(points, float(projection.explained_variance_ratio_.sum()), vectors)


def map_tables(sampled: Map) -> dict[str, ReportTable]:
    """The tables `map` and `neighbours`."""
    return {"map": ReportTable(MAP, sampled.points), "neighbours": ReportTable(NEIGHBOURS, _neighbours(sampled))}


def _sampled(layout: Layout, source: str, *, each: int) -> list[_Sample]:
    """Evenly spaced rows (ids are hashes: a random sample) of a source with their vectors."""
    variants = layout.variants
    manifest = read_json(layout.results / "vectors" / variants["vectors"] / variants["curated"] / f"{source}.json")
    if not manifest.get("store") or not manifest["passages"] + manifest["queries"]:
        return []
    # The folder is written down as the job saw it, below results/.
    parts = Path(manifest["store"]).parts
    store = VectorStore(layout.results.joinpath(*parts[parts.index("vectors") :]), key=manifest["key"])
    samples: list[_Sample] = []
    for table, column, role in ROLES:
        path = layout.curated(source) / f"{table}.parquet"
        count = count_rows(path)
        wanted = {number * count // each for number in range(each)} if count > each else set(range(count))
        rows = [row for _, row in sorted(rows_at(path, column, wanted).items())]
        prompt = manifest[f"{role}_prompt"]
        ids = [doc_id(format_query(prompt, instruction=manifest["instruction"], text=text)) for _, text in rows]
        samples += [
            ((source, role, identity.hex(), " ".join(text[:MOST_CHARACTERS].split())), vector)
            for (identity, text), vector in zip(rows, store.get(ids) if ids else (), strict=True)
        ]
    return samples


def _neighbours(sampled: Map) -> list[tuple]:
    """For each source the mean cosine of its texts to their mean, and the source with the nearest mean."""
    names = list(dict.fromkeys(point.source for point in sampled.points))
    sources = np.array([point.source for point in sampled.points])
    units = sampled.vectors / np.maximum(np.linalg.norm(sampled.vectors, axis=1, keepdims=True), 1e-12)
    means = np.stack([units[sources == name].mean(0) for name in names])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    cosines = means @ means.T
    rows = []
    for place, name in enumerate(names):
        others = [other for other in range(len(names)) if other != place]
        nearest = max(others, key=lambda other: cosines[place, other], default=None)
        vectors = units[sources == name]
        within = round(float((vectors @ means[place]).mean()), DECIMALS)
        between = None if nearest is None else round(float(cosines[place, nearest]), DECIMALS)
        rows.append((name, len(vectors), within, "" if nearest is None else names[nearest], between))
    return rows


def map_section(run: ReportedRun) -> Section:
    """Where the retriever puts a sample of the texts."""
    sampled = read_map(run.layout, gaps=run.gaps)
    if sampled is None:
        return Section()
    places: dict[str, list[figures.Place]] = {}
    for point in sampled.points:
        # A text from right to left is set apart from what stands before it.
        said = f"{point.source}, {point.role}: {FIRST_STRONG_ISOLATE}{point.text}{POP_ISOLATE}"
        place = figures.Place(point.x, point.y, said)
        places.setdefault(point.source, []).append(place)
    shown = {
        "explained": sampled.explained,
        "groups": list(places),
        "without": [source.name for source in run.layout.sources if source.name not in places],
        "retriever": run.layout.retriever.name,
    }
    return Section(map_tables(sampled), {"map": figures.scatter(places, name="map")}, shown, ("results/vectors",))
