"""What rows, texts or a source have left behind: every file that holds them, and what to exclude for good."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.config.exclusions import Exclusion
from f2llm.errors import InputError
from f2llm.lineage.forget.files import Copy, copies, own_files
from f2llm.lineage.forget.holders import Holder, Needles, find_holders
from f2llm.lineage.forget.learners import Learner, learners_of, learners_of_source
from f2llm.lineage.forget.pages import own_pages
from f2llm.lineage.trace.backward import trace_found
from f2llm.lineage.trace.find import QUERY, TASKS, TUPLE, Found
from f2llm.lineage.trace.forward import TextTrace, places_of, row_of, trace_text
from f2llm.models.prompts import format_query
from f2llm.records.ids import doc_id, query_id
from f2llm.records.sql import ask
from f2llm.runs.layout import Layout

TOKENS = "tokens of its texts"


class Remains(NamedTuple):
    """What is to be forgotten, where it is, and what learned from it."""

    exclusions: list[Exclusion]
    needles: Needles
    vectors: frozenset[bytes]  # ids under which the retriever's and the models' stores may have it
    holders: list[Holder]
    raw: list[Path]  # fetched files that it came from
    copies: list[Copy]  # of these, and where else they lie
    learners: list[Learner]
    traces: list[TextTrace]
    pages: list[Path]  # that no job makes again


def remains_of(layout: Layout, found: Sequence[Found], *, reason: str, row: tuple[str, int] | None = None) -> Remains:
    """Return what is left of texts; with `row` only that row is excluded, and texts that other rows have too stay.

    Raises:
        InputError: one is a tuple; with the texts that it is made of.
    """
    for one in found:
        if one.kind == TUPLE:
            raise _no_text(layout, one)
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
    files = _files(layout, gone)
    raw = [path for name in files for path in own_files(layout, name) if _name(layout, name, path) in files[name]]
    stored = copies(layout, files)
    learners = learners_of(layout.results, gone)
    found_in = _with_plans(find_holders(_searched(layout), needles._replace(ids=ids | vectors)), learners)
    found_in += [
        Holder(path, TOKENS)
        for name in sorted({one.source for one in gone})
        for path in sorted(layout.results.glob(f"tokens/*/{name}/*.bin"))
    ]
    return Remains(
        list(dict.fromkeys(exclusions)), needles, vectors, found_in, raw, stored, learners, traces,
        own_pages(layout.results),
    )  # fmt: skip


def remains_of_source(layout: Layout, name: str, *, reason: str) -> Remains:
    """Return what is left of a whole source: all below folders of its name, and what else holds its texts or ids."""
    folders = source_folders(layout.results, name)
    holders = [Holder(path, "all of it") for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    raw = own_files(layout, name)
    texts = _texts(layout, name)
    vectors = frozenset(_vector_ids(layout, texts))
    needles = Needles([], _ids_of(texts) | _ids_in(layout, name), texts)
    learners = learners_of_source(layout.results, name)
    own = {holder.path for holder in holders}
    beyond = find_holders(_searched(layout), needles._replace(ids=needles.ids | vectors))
    holders += [one for one in beyond if one.path not in own]
    return Remains(
        [Exclusion(source=name, reason=reason)], needles, vectors,
        _with_plans([one for one in holders if one.path not in raw], learners), raw, copies(layout, {name: None}),
        learners, [], own_pages(layout.results),
    )  # fmt: skip


def _no_text(layout: Layout, one: Found) -> InputError:
    query, positive = trace_found(layout, one).texts[:2]
    return InputError(
        f"id {one.id.hex()}: is that of a tuple of {one.source}, which is made of texts; forget its query "
        f"{query.id} or its positive {positive.id}"
    )


def source_folders(results: Path, name: str) -> list[Path]:
    """Return the folders of a source in all stages and variants, those of its tasks excepted."""
    patterns = (f"sources/{name}", f"curated/*/{name}", f"mined/*/{name}", f"tokens/*/{name}")
    return [path for pattern in patterns for path in sorted(results.glob(pattern)) if path.is_dir()]


def remains_lines(remains: Remains, *, results: Path) -> list[str]:
    """Return what was found as lines for a person."""
    lines = [f"{trace.role} {trace.id} of {trace.source}, in {trace.tuples:,} tuples" for trace in remains.traces]
    learned = sorted(path for one in remains.learners for path in one.made)
    lines += [f"learned from it   {path.relative_to(results)}" for path in learned]
    lines += [f"holds it          {_short(one.path, results)}: {one.where}" for one in remains.holders]
    lines += [f"came from         {_short(path, results)}" for path in remains.raw]
    lines += [f"came from         {_short(one.path, results)}{_kept(one)}" for one in remains.copies]
    lines += [f"to be deleted     {_short(path, results)}: no job makes it again" for path in remains.pages]
    lines += [f"to exclude        {_exclusion(one)}" for one in remains.exclusions]
    return lines


def _exclusion(one: Exclusion) -> str:
    what = f"row {one.row} of {one.file}" if one.file else f"text {one.id}" if one.id else "all of it"
    return f"{one.source}: {what}"


def _short(path: Path, results: Path) -> str:
    return str(path.relative_to(results.parent))


def _kept(copy: Copy) -> str:
    return f": kept for {', '.join(copy.users)}" if copy.users else ""


def _searched(layout: Layout) -> list[Path]:
    return [layout.results, layout.results.parent / "logs"]


def _with_plans(holders: Sequence[Holder], learners: Iterable[Learner]) -> list[Holder]:
    """Return these and the plans of the runs: what a plan names by its row alone, no search for ids finds."""
    known = {one.path for one in holders}
    plans = [one.plan for one in learners if one.plan not in known and one.plan.is_file()]
    return [*holders, *(Holder(path, "tuples of it") for path in plans)]


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


def _texts(layout: Layout, name: str) -> set[str]:
    """Return the texts of a source as it is now, and as it was curated for any run."""
    folders = [layout.source(name), *sorted(layout.results.glob(f"curated/*/{name}"))]
    paths = [folder / f"{table}.parquet" for folder in folders for table in ("corpus", "queries")]
    found = [path for path in paths if path.is_file()]
    return {text for (text,) in ask("SELECT text FROM read_parquet(?)", found)} if found else set()


def _ids_in(layout: Layout, name: str) -> set[bytes]:
    """Return the ids of a source's queries and, of all runs, tuples: not all of them follow from single texts."""
    places = [("query_id", f"sources/{name}/queries.parquet"), ("query_id", f"curated/*/{name}/queries.parquet")]
    places.append(("tuple_id", f"mined/*/{name}/tuples.parquet"))
    ids: set[bytes] = set()
    for column, pattern in places:
        paths = sorted(layout.results.glob(pattern))
        ids |= {one for (one,) in ask(f"SELECT {column} FROM read_parquet(?)", paths)} if paths else set()
    return ids


def _files(layout: Layout, found: Iterable[Found]) -> dict[str, set[str]]:
    """Return source -> names of the fetched files that these came from."""
    files: dict[str, set[str]] = {}
    for one in found:
        files.setdefault(one.source, set()).update(place.file.split("!")[0] for place in places_of(layout, one))
    return dict(sorted(files.items()))


def _name(layout: Layout, source: str, path: Path) -> str:
    return str(path.relative_to(layout.source(source) / "raw"))
