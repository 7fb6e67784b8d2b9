"""What rows, texts or a source have left behind: every file that holds them, and what to exclude for good."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.config.exclusions import Exclusion
from f2llm.encode.prompts import format_query
from f2llm.lineage.find import QUERY, TASKS, Found
from f2llm.lineage.forward import TextTrace, places_of, row_of, trace_text
from f2llm.lineage.holders import Holder, Needles, find_holders
from f2llm.lineage.layout import Layout
from f2llm.lineage.pages import own_pages
from f2llm.lineage.query import ask
from f2llm.records.ids import doc_id, query_id


class Remains(NamedTuple):
    """What is to be forgotten, where it is, and what learned from it."""

    exclusions: list[Exclusion]
    needles: Needles
    vectors: frozenset[bytes]  # ids under which the retriever's and the models' stores may have it
    holders: list[Holder]
    raw: list[Path]  # fetched files that it came from
    traces: list[TextTrace]
    pages: list[Path]  # that no job makes again


def remains_of(layout: Layout, found: Sequence[Found], *, reason: str, row: tuple[str, int] | None = None) -> Remains:
    """Return what is left of texts; with `row` only that row is excluded, and texts that other rows have too stay."""
    exclusions, gone = [], []
    for one in found:
        places = places_of(layout, one)
        if row is None:
            exclusions.append(Exclusion(source=one.source, id=one.id.hex(), reason=reason))
        else:
            own = [place for place in places if place.row == row[1] and place.file.endswith(row[0])]
            exclusions += [Exclusion(source=one.source, file=place.file, row=place.row, reason=reason) for place in own]
            if len(own) < len(places):
                continue
        gone.append(one)
    traces = [trace_text(layout, one, most=0) for one in gone]
    texts = list(dict.fromkeys(trace.text for trace in traces))
    ids = _ids_of(texts) | {one.id for one in gone} | _tuples(layout, gone)
    needles = Needles(texts, sorted(ids))
    vectors = frozenset(_vector_ids(layout, texts))
    raw = sorted({path for one in gone for path in _raw(layout, one.source, places_of(layout, one))})
    folders = [layout.results, layout.results.parent / "logs"]
    found_in = find_holders(folders, needles._replace(ids=sorted(ids | vectors)))
    found_in += [
        Holder(path, "tokens of its texts")
        for name in sorted({one.source for one in gone})
        for path in sorted(layout.results.glob(f"tokens/*/{name}/*.bin"))
    ]
    return Remains(list(dict.fromkeys(exclusions)), needles, vectors, found_in, raw, traces, own_pages(layout.results))


def remains_of_source(layout: Layout, name: str, *, reason: str) -> Remains:
    """Return what is left of a whole source: the files below folders of its name, and its fetched files."""
    folders = source_folders(layout.results, name)
    holders = [Holder(path, "all of it") for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    raw = sorted(path for path in (layout.source(name) / "raw").rglob("*") if path.is_file())
    texts = _texts(layout, name)
    vectors = frozenset(_vector_ids(layout, texts))
    exclusions = [Exclusion(source=name, reason=reason)]
    return Remains(
        exclusions, Needles([], []), vectors, [one for one in holders if one.path not in raw], raw, [],
        own_pages(layout.results),
    )  # fmt: skip


def source_folders(results: Path, name: str) -> list[Path]:
    """Return the folders of a source in all stages and variants, those of its tasks excepted."""
    patterns = (f"sources/{name}", f"curated/*/{name}", f"mined/*/{name}", f"tokens/*/{name}")
    return [path for pattern in patterns for path in sorted(results.glob(pattern)) if path.is_dir()]


def remains_lines(remains: Remains, *, results: Path) -> list[str]:
    """Return what was found as lines for a person."""
    lines = [f"{trace.role} {trace.id} of {trace.source}, in {trace.tuples:,} tuples" for trace in remains.traces]
    seen = [trace.seen for trace in remains.traces if trace.seen.steps]
    learned = sorted({path for one in seen for path in (*one.checkpoints, *one.models)})
    lines += [f"learned from it   {path}" for path in learned]
    lines += [f"holds it          {_short(one.path, results)}: {one.where}" for one in remains.holders]
    lines += [f"came from         {_short(path, results)}" for path in remains.raw]
    lines += [f"to be deleted     {_short(path, results)}: no job makes it again" for path in remains.pages]
    lines += [f"to exclude        {_exclusion(one)}" for one in remains.exclusions]
    return lines


def _exclusion(one: Exclusion) -> str:
    what = f"row {one.row} of {one.file}" if one.file else f"text {one.id}" if one.id else "all of it"
    return f"{one.source}: {what}"


def _short(path: Path, results: Path) -> str:
    return str(path.relative_to(results.parent))


def _ids_of(texts: Iterable[str]) -> set[bytes]:
    return {identity for text in texts for identity in (doc_id(text), *(query_id(task, text) for task in TASKS))}


def _tuples(layout: Layout, found: Sequence[Found]) -> set[bytes]:
    """Return the tuples that have a text as their query or positive: their ids are made from its."""
    ids: set[bytes] = set()
    for one in found:
        path = [layout.mined(one.source) / "tuples.parquet"]
        if one.kind == QUERY:
            rows = ask("SELECT tuple_id FROM read_parquet(?) WHERE query_id = ?", path, one.id)
        else:
            sql = "SELECT tuple_id FROM read_parquet(?) WHERE positive_row = ?"
            rows = ask(sql, path, row_of(layout, one))
        ids |= {identity for (identity,) in rows}
    return ids


def _vector_ids(layout: Layout, texts: Iterable[str]) -> set[bytes]:
    """Return the ids of the texts as encoders read them: with the prompts of the retriever and of the backbone."""
    instructions = {source.instruction for source in layout.sources}
    ids = set()
    for text in texts:
        read = {text, *(model.passage_prompt + text for model in (layout.retriever, layout.backbone))}
        for model in (layout.retriever, layout.backbone):
            read |= {format_query(model.query_prompt, instruction=one, text=text) for one in instructions}
        ids |= {doc_id(one) for one in read}
    return ids


def _texts(layout: Layout, name: str) -> list[str]:
    paths = [layout.source(name) / f"{table}.parquet" for table in ("corpus", "queries")]
    return [text for path in paths for (text,) in ask("SELECT text FROM read_parquet(?)", [path])]


def _raw(layout: Layout, source: str, places: Iterable[object]) -> Iterable[Path]:
    for place in places:
        path = layout.source(source) / "raw" / place.file.split("!")[0]  # type: ignore[attr-defined]
        if path.is_file():
            yield path
