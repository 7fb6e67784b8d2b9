"""Backward: from a tuple, a step, a model or a score to the rows and files that it came from."""

from pathlib import Path
from typing import Any, NamedTuple

from f2llm.errors import InputError
from f2llm.lineage.find import PASSAGE, QUERY, TUPLE, Found, find_ids, nearest_ids, parse_id
from f2llm.lineage.forward import Place
from f2llm.lineage.jobs import Job, read_jobs, upstream
from f2llm.lineage.layout import Layout, read_layout
from f2llm.lineage.query import ask
from f2llm.lineage.rows import rows_at
from f2llm.lineage.seen import Seen, seen_by, steps_of
from f2llm.records.files import read_json
from f2llm.records.scores import points_of, score_files

MODEL_FILE = "f2llm.json"


class TracedText(NamedTuple):
    """A text of the tuple, its id, and every place that it came from."""

    role: str
    id: str
    text: str
    places: list[Place]


class Trace(NamedTuple):
    """All that lies behind a tuple. `files` are the manifest entries of the source."""

    tuple_id: str
    source: str
    licence: dict[str, Any]
    files: list[dict[str, Any]]
    texts: list[TracedText]
    steps: list[int]
    seen: Seen


class StepRow(NamedTuple):
    """A place in the batch of a step."""

    slot: int
    source: str
    tuple_id: str
    query: str


class Made(NamedTuple):
    """A job in the chain behind a file."""

    rule: str
    unit: str
    code: str | None
    outputs: dict[str, str]


class ModelTrace(NamedTuple):
    """What lies behind a model or a score: its run, sources with licence and tuples in the plan, and jobs."""

    path: str
    run: str | None
    score: float | None
    sources: list[tuple[str, str, int]]
    steps: int
    jobs: list[Made]


def trace_tuple(results: Path, run: str, tuple_id: str) -> Trace:
    """Return the trace of a tuple of a run.

    Raises:
        InputError: no such run, or no such tuple (with the nearest ids).
    """
    layout, identity = read_layout(results, run=run), parse_id(tuple_id)
    found = find_ids(layout, [identity], kinds=(TUPLE,)) if identity else []
    if not found:
        raise unknown_id(layout, tuple_id, what="tuple")
    return trace_found(layout, found[0])


def unknown_id(layout: Layout, wanted: str, *, what: str = "id") -> InputError:
    """Return what to say of an id that a run does not have."""
    nearest = ", ".join(nearest_ids(layout, wanted))
    return InputError(f"{what} {wanted}: run {layout.run!r} has none of this id; nearest: {nearest}")


def trace_found(layout: Layout, found: Found) -> Trace:
    """Return the trace of a tuple that was found."""
    folder = layout.source(found.source)
    manifest = read_json(folder / "manifest.json")
    path = layout.mined(found.source) / "tuples.parquet"
    sql = (
        "SELECT file_row_number, query_row, positive_row, negative_rows, negative_kinds "
        "FROM read_parquet(?, file_row_number = true) WHERE tuple_id = ?"
    )
    row, query_row, positive_row, negative_rows, kinds = ask(sql, [path], found.id)[0]
    queries = rows_at(layout.curated(found.source) / "queries.parquet", "query_id", {query_row})
    passages = rows_at(layout.curated(found.source) / "corpus.parquet", "doc_id", {positive_row, *negative_rows})
    parts = [("query", *queries[query_row]), ("positive", *passages[positive_row])]
    parts += [(f"negative ({kind})", *passages[at]) for at, kind in zip(negative_rows, kinds, strict=True)]
    places = _places(layout, found.source, [identity for _, identity, _ in parts])
    steps = [step for _, step in steps_of(layout, found.source, [row])]
    texts = [
        TracedText(role, identity.hex(), text, places.get((identity, QUERY if role == "query" else PASSAGE), []))
        for role, identity, text in parts
    ]
    seen = seen_by(layout, steps)
    return Trace(found.id.hex(), found.source, manifest["licence"], manifest["files"], texts, steps, seen)


def trace_step(layout: Layout, step: int) -> list[StepRow]:
    """Return what one step of training saw, with the text of each query.

    Raises:
        InputError: the plan has no such step.
    """
    plan = [layout.of_run("plan.parquet")]
    rows = ask("SELECT slot, source, tuple_id, query_row FROM read_parquet(?) WHERE step = ? ORDER BY slot", plan, step)
    if not rows:
        last = ask("SELECT max(step) FROM read_parquet(?)", plan)[0][0]
        raise InputError(f"step {step}: run {layout.run!r} has none; steps are numbered from 0 to {last}")
    wanted: dict[str, set[int]] = {}
    for _, source, _, row in rows:
        wanted.setdefault(source, set()).add(row)
    texts = {
        source: rows_at(layout.curated(source) / "queries.parquet", "query_id", of) for source, of in wanted.items()
    }
    return [StepRow(slot, source, identity.hex(), texts[source][row][1]) for slot, source, identity, row in rows]


def trace_model(results: Path, folder: Path) -> ModelTrace:
    """Return what lies behind a trained model's folder, be it in the results folder or a copy of it.

    Raises:
        InputError: it is no model of ours, or its run is not in the results folder.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise InputError(f"{folder}: holds no {MODEL_FILE}, so it is no model that this project trained")
    about = read_json(path)
    runs = [found.parent.name for found in sorted(results.glob("runs/*/run.json"))]
    plan = about.get("digests", {}).get("plan")
    own = [run for run in runs if plan and read_json(results / "runs" / run / "run.json").get("plan_sha256") == plan]
    if not own:
        raise InputError(f"{folder}: its plan is that of no run in {results}; runs here: {', '.join(runs) or 'none'}")
    return _model(results, str(folder), own[0], f"results/runs/{own[0]}/model", score=None)


def trace_score(results: Path, score: str) -> ModelTrace:
    """Return what lies behind a score, named MODEL/TASK or by the path of its file.

    Raises:
        InputError: there is no such score; with those that there are.
    """
    parts = Path(score).with_suffix("").parts[-2:] if score.endswith(".json") else tuple(score.split("/"))
    path = results.joinpath("scores", *parts[:1], f"{parts[-1]}.json")
    if len(parts) != 2 or not path.is_file():
        models = sorted(found.name for found in results.glob("scores/*") if found.is_dir())
        tasks = [found.stem for found in score_files(results / "scores" / parts[0])]
        raise InputError(
            f"score {score!r}: there is none; name it MODEL/TASK; "
            f"{f'tasks of {parts[0]}: ' + ', '.join(tasks) if tasks else 'models: ' + ', '.join(models)}"
        )
    run = parts[0] if (results / "runs" / parts[0] / "run.json").is_file() else None
    return _model(
        results, str(path), run, f"results/scores/{parts[0]}/{parts[1]}.json", score=points_of(read_json(path))
    )


def _model(results: Path, shown: str, run: str | None, output: str, *, score: float | None) -> ModelTrace:
    chain = upstream(read_jobs(results), [output])
    read = {output, *(path for job in chain for path in job.inputs)}
    jobs = [_made(job, read) for job in chain]
    if run is None:
        return ModelTrace(shown, None, score, [], 0, jobs)
    layout = read_layout(results, run=run)
    licences = {source.name: source.licence.id for source in layout.sources}
    sql = "SELECT source, count(*), count(DISTINCT step) FROM read_parquet(?) GROUP BY source ORDER BY source"
    rows = ask(sql, [layout.of_run("plan.parquet")])
    steps = ask("SELECT count(DISTINCT step) FROM read_parquet(?)", [layout.of_run("plan.parquet")])[0][0]
    return ModelTrace(shown, run, score, [(name, licences[name], count) for name, count, _ in rows], steps, jobs)


def _made(job: Job, read: set[str]) -> Made:
    """Return a job with those of its outputs that the chain reads."""
    outputs = {path: digest for path, digest in job.outputs.items() if path in read}
    return Made(job.rule, job.unit, job.code, outputs)


def _places(layout: Layout, source: str, ids: list[bytes]) -> dict[tuple[bytes, str], list[Place]]:
    sql = (
        'SELECT id, role, file, "row", field FROM read_parquet(?) WHERE id IN (SELECT unnest(?)) '
        'ORDER BY file, "row", field'
    )
    places: dict[tuple[bytes, str], list[Place]] = {}
    for identity, role, *place in ask(sql, [layout.source(source) / "origins.parquet"], ids):
        places.setdefault((identity, role), []).append(Place(*place))
    return places
