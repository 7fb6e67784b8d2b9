"""What rows, texts or a source have left behind: every file that holds them, and what to exclude for good."""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.exclusions import Exclusion
from f2llm.lineage.forget.files import Copy, copies, own_files, own_pages
from f2llm.lineage.forget.holders import Holder, Needles, find_holders
from f2llm.lineage.trace.backward import trace_tuple
from f2llm.lineage.trace.find import TUPLE, TracedId
from f2llm.lineage.trace.forward import IN_ID, TextTrace, places_of, trace_text, uses_of
from f2llm.lineage.trace.seen import Seen, seen_by
from f2llm.models.prompts import format_query
from f2llm.records.errors import InputError
from f2llm.records.files import SEPARATOR
from f2llm.records.ids import TASKS, doc_id, query_id
from f2llm.records.sql import ask
from f2llm.runs.layout import Layout, read_layout, runs_in
from f2llm.runs.run_file import PLAN_FILE

TOKENS = "tokens of its texts"


class Learner(NamedTuple):
    """A run that saw something in training, with its plan and what it made since."""

    run: str
    plan: Path
    made: list[Path]  # checkpoints and models


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


def remains_of(
    layout: Layout, named: Sequence[TracedId], *, reason: str, row: tuple[str, int] | None = None
) -> Remains:
    """Find what is left of texts; with `row` only that row is excluded, and texts that other rows have too stay.

    Raises:
        InputError: one is a tuple; names the texts that it is made of.
    """
    for traced in named:
        if traced.kind == TUPLE:
            raise _made_of_texts(layout, traced)
    exclusions, fully_removed = [], []
    for traced in named:
        if row is None:
            exclusions.append(Exclusion(source=traced.source, id=traced.id.hex(), reason=reason))
            fully_removed.append(traced)
            continue
        places = places_of(layout, traced.source, [traced.id])[traced.kind, traced.id]
        own = [place for place in places if place.row == row[1] and place.file.endswith(row[0])]
        exclusions += [Exclusion(source=traced.source, file=place.file, row=place.row, reason=reason) for place in own]
        if len(own) == len(places):
            fully_removed.append(traced)
    traces = [trace_text(layout, traced, most=0) for traced in fully_removed]
    texts = list(dict.fromkeys(trace.text for trace in traces))
    ids = _ids_of(texts)
    for traced in fully_removed:
        # Ids of tuples are made from those of their query and positive.
        ids |= {traced.id, *(tuple_id for tuple_id, part in uses_of(layout, traced) if part in IN_ID)}
    vectors = frozenset(_vector_ids(layout, texts))
    files = _files(layout, fully_removed)

    def seen(other: Layout, names: Collection[str]) -> list[Seen]:
        return [trace_text(other, traced, most=0).seen for traced in fully_removed if traced.source in names]

    learners = _learners(layout.results, seen)
    holders = _with_plans(find_holders(_searched(layout), Needles(texts, ids | vectors)), learners)
    holders += [
        Holder(path, TOKENS)
        for name in sorted({traced.source for traced in fully_removed})
        for path in sorted(layout.results.glob(f"tokens/*/{name}/*.bin"))
    ]
    return Remains(
        exclusions=list(dict.fromkeys(exclusions)),
        needles=Needles(texts, sorted(ids)),
        vectors=vectors,
        holders=holders,
        raw=own_files(layout, files),
        copies=copies(layout, files),
        learners=learners,
        traces=traces,
    )


def remains_of_source(layout: Layout, name: str, *, reason: str) -> Remains:
    """Find what is left of a whole source: all below folders of its name, and what else holds its texts or ids."""
    folders = source_folders(layout.results, name)
    inside = [Holder(path, "all of it") for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    raw = own_files(layout, {name: None})
    # As the source is now, and as it was curated and mined for any run.
    queries = (f"sources/{name}/queries.parquet", f"curated/*/{name}/queries.parquet")
    corpora = (f"sources/{name}/corpus.parquet", f"curated/*/{name}/corpus.parquet")
    texts = _cells(layout, "text", *queries, *corpora)
    # Not all ids of queries and tuples follow from single texts.
    ids = _cells(layout, "query_id", *queries) | _cells(layout, "tuple_id", f"mined/*/{name}/tuples.parquet")
    vectors = frozenset(_vector_ids(layout, texts))
    needles = Needles([], _ids_of(texts) | ids, texts)
    known = {holder.path for holder in inside}
    matches = find_holders(_searched(layout), needles._replace(ids=needles.ids | vectors))
    outside = [holder for holder in matches if holder.path not in known]

    def seen(other: Layout, names: Collection[str]) -> list[Seen]:
        sql = "SELECT DISTINCT step FROM read_parquet(?) WHERE source = ?"
        return [seen_by(other, [step for (step,) in ask(sql, [other.plan], name)])] if name in names else []

    learners = _learners(layout.results, seen)
    return Remains(
        exclusions=[Exclusion(source=name, reason=reason)],
        needles=needles,
        vectors=vectors,
        holders=_with_plans([holder for holder in [*inside, *outside] if holder.path not in raw], learners),
        raw=raw,
        copies=copies(layout, {name: None}),
        learners=learners,
        traces=[],
    )


def _made_of_texts(layout: Layout, traced: TracedId) -> InputError:
    query, positive = trace_tuple(layout, traced).texts[:2]
    return InputError(
        f"id {traced.id.hex()}: is that of a tuple of {traced.source}, which is made of texts; forget its query "
        f"{query.id} or its positive {positive.id}"
    )


def source_folders(results: Path, name: str) -> list[Path]:
    """The folders of a source in all stages and variants, those of its tasks excepted."""
    patterns = (f"sources/{name}", f"curated/*/{name}", f"mined/*/{name}", f"tokens/*/{name}")
    return [path for pattern in patterns for path in sorted(results.glob(pattern)) if path.is_dir()]


def remains_lines(remains: Remains, *, results: Path) -> list[str]:
    """What was found as lines for a person."""
    lines = [f"{trace.role} {trace.id} of {trace.source}, in {trace.tuples:,} tuples" for trace in remains.traces]
    learned = sorted(path for learner in remains.learners for path in learner.made)
    lines += [f"learned from it   {path.relative_to(results)}" for path in learned]
    checkout = results.parent
    lines += [f"holds it          {path.relative_to(checkout)}: {where}" for path, where in remains.holders]
    lines += [f"came from         {path.relative_to(checkout)}" for path in remains.raw]
    for path, users in remains.copies:
        kept = f": kept for {', '.join(users)}" if users else ""
        lines.append(f"came from         {path.relative_to(checkout)}{kept}")
    lines += [f"to be deleted     {path.relative_to(checkout)}: no job makes it again" for path in own_pages(results)]
    for exclusion in remains.exclusions:
        text = f"text {exclusion.id}" if exclusion.id else "all of it"
        excluded = f"row {exclusion.row} of {exclusion.file}" if exclusion.file else text
        lines.append(f"to exclude        {exclusion.source}: {excluded}")
    return lines


def _searched(layout: Layout) -> list[Path]:
    return [layout.results, layout.results.parent / "logs"]


def _with_plans(holders: Sequence[Holder], learners: Iterable[Learner]) -> list[Holder]:
    """Add the plans of runs that learned: what a plan names by its row alone, no search for ids finds."""
    known = {holder.path for holder in holders}
    plans = [learner.plan for learner in learners if learner.plan not in known and learner.plan.is_file()]
    return [*holders, *(Holder(path, "tuples of it") for path in plans)]


def _ids_of(texts: Iterable[str]) -> set[bytes]:
    return {identity for text in texts for identity in (doc_id(text), *(query_id(task, text) for task in TASKS))}


def _vector_ids(layout: Layout, texts: Iterable[str]) -> set[bytes]:
    """Ids of the texts as encoders read them: with the prompts of the retriever and of the backbone."""
    models = (layout.retriever, layout.backbone)
    instructions = {source.instruction for source in layout.sources}
    ids = set()
    for text in texts:
        prompted = {text, *(model.passage_prompt + text for model in models)}
        for model in models:
            prompted |= {format_query(model.query_prompt, instruction=own, text=text) for own in instructions}
        ids |= {doc_id(form) for form in prompted}
    return ids


def _cells(layout: Layout, column: str, *patterns: str) -> set[Any]:
    """The distinct cells of a column in all tables below the results that the patterns name."""
    paths = [path for pattern in patterns for path in sorted(layout.results.glob(pattern))]
    return {cell for (cell,) in ask(f"SELECT {column} FROM read_parquet(?)", paths)} if paths else set()


def _files(layout: Layout, named: Iterable[TracedId]) -> dict[str, set[str]]:
    """Map sources to the names of the fetched files that some texts came from."""
    files: dict[str, set[str]] = {}
    for traced in named:
        places = places_of(layout, traced.source, [traced.id])[traced.kind, traced.id]
        files.setdefault(traced.source, set()).update(place.file.split(SEPARATOR)[0] for place in places)
    return dict(sorted(files.items()))


def _learners(results: Path, seen: Callable[[Layout, Collection[str]], Sequence[Seen]]) -> list[Learner]:
    """All runs that saw something in training; one whose tables are gone may have seen it, and is among them.

    `seen` says what a run, of which the names of its sources are given, made of it.
    """
    learners = []
    for run in runs_in(results):
        folder = results / "runs" / run
        try:
            layout = read_layout(results, run=run)
            traces = [trace for trace in seen(layout, {source.name for source in layout.sources}) if trace.steps]
            learned = bool(traces)
            names = {path for trace in traces for path in (*trace.checkpoints, *trace.models)}
            made = [results / path for path in sorted(names)]
        except InputError:  # its tables cannot be read: whatever it made may have learned from it
            made = [path for path in (*sorted(folder.glob("checkpoints/*/step_*")), folder / "model") if path.is_dir()]
            learned = bool(made)
        if learned:
            learners.append(Learner(run, folder / PLAN_FILE, made))
    return learners
