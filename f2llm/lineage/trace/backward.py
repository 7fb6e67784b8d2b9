"""Backward: from a tuple, a step, a model or a score to the rows and files that it came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.errors import InputError
from f2llm.lineage.trace.find import PASSAGE, QUERY, TUPLE, Found, find_ids, nearest_ids, parse_id
from f2llm.lineage.trace.forward import Place
from f2llm.lineage.trace.seen import Seen, seen_by, steps_of
from f2llm.records.files import read_json, sha256_path
from f2llm.records.scores import points_of, read_result, score_files
from f2llm.records.sql import ask, rows_at
from f2llm.runs.layout import Layout, read_layout, read_manifest, runs_in
from f2llm.runs.manifests import Job, read_jobs, upstream

MODEL_FILE = "f2llm.json"
MEND = "delete it and run `snakemake --cores all` in the checkout, which evaluates again"
TABLES = ("tuples", "tokens")
MOST_DIFFERENT = 3  # digests that are named


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
    """A place in the batch of a step; `query` is empty where no table has the tuple any more."""

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
    manifest = read_manifest(layout, found.source)
    path = layout.mined(found.source) / "tuples.parquet"
    sql = "SELECT query_row, positive_row, negative_rows, negative_kinds FROM read_parquet(?) WHERE tuple_id = ?"
    query_row, positive_row, negative_rows, kinds = ask(sql, [path], found.id)[0]
    queries = rows_at(layout.curated(found.source) / "queries.parquet", "query_id", {query_row})
    passages = rows_at(layout.curated(found.source) / "corpus.parquet", "doc_id", {positive_row, *negative_rows})
    if {query_row} - {*queries} or {positive_row, *negative_rows} - {*passages}:
        raise InputError(
            f"{path}: names rows that the tables of {layout.curated(found.source)} do not have, so they were not made "
            "together; run `snakemake --cores all` in the checkout"
        )
    parts = [("query", *queries[query_row]), ("positive", *passages[positive_row])]
    parts += [(f"negative ({kind})", *passages[at]) for at, kind in zip(negative_rows, kinds, strict=True)]
    places = _places(layout, found.source, [identity for _, identity, _ in parts])
    steps = [step for _, step in steps_of(layout, found.source, [found.id])]
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
    rows = ask("SELECT slot, source, tuple_id FROM read_parquet(?) WHERE step = ? ORDER BY slot", plan, step)
    if not rows:
        last = ask("SELECT max(step) FROM read_parquet(?)", plan)[0][0]
        raise InputError(f"step {step}: run {layout.run!r} has none; steps are numbered from 0 to {last}")
    wanted: dict[str, list[bytes]] = {}
    for _, source, identity in rows:
        wanted.setdefault(source, []).append(identity)
    texts = {source: _query_texts(layout, source, tuples) for source, tuples in wanted.items()}
    return [StepRow(slot, source, identity.hex(), texts[source].get(identity, "")) for slot, source, identity in rows]


def _query_texts(layout: Layout, source: str, tuples: list[bytes]) -> dict[bytes, str]:
    """Return tuple id -> text of its query, of those tuples that the tables still have."""
    sql = "SELECT tuple_id, query_id, query_row FROM read_parquet(?) WHERE tuple_id IN (SELECT unnest(?))"
    known = ask(sql, [layout.mined(source) / "tuples.parquet"], tuples)
    queries = rows_at(layout.curated(source) / "queries.parquet", "query_id", {row for _, _, row in known})
    return {one: queries[row][1] for one, query, row in known if row in queries and queries[row][0] == query}


def trace_model(results: Path, folder: Path) -> ModelTrace:
    """Return what lies behind a trained model's folder, be it in the results folder or a copy of it.

    Raises:
        InputError: it is no model of ours, or its run is not in the results folder.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise InputError(f"{folder}: holds no {MODEL_FILE}, so it is no model that this project trained")
    about, runs = _about_model(path), runs_in(results)
    plan = about["digests"].get("plan")
    planned = [run for run in runs if plan and _plan_of(results, run) == plan]
    if not planned:
        raise InputError(f"{folder}: its plan is that of no run in {results}; runs here: {', '.join(runs)}")
    own = _run_of(results, folder, about, planned)
    return _model(results, str(folder), own, f"results/runs/{own}/model", score=None)


def _run_of(results: Path, folder: Path, about: Mapping[str, Any], planned: Sequence[str]) -> str:
    """Return which of the runs with the plan of a model trained it: runs may share a plan, and differ in training."""
    own = {run: _digests(results, run) for run in planned}
    differ = {run: sorted(key for key in {*of} & {*about["digests"]} if of[key] != about["digests"][key])
              for run, of in own.items()}  # fmt: skip
    alike = [run for run in planned if not differ[run]]
    if len(alike) > 1:  # the same in all that decides the weights: the bytes may still tell them apart
        content = sha256_path(folder)
        trained = {job.outputs.get(f"results/runs/{run}/model"): run for job in read_jobs(results) for run in alike}
        alike.sort(key=lambda run: (run != trained.get(content), run != about.get("run")))
    if not alike:
        told = "; ".join(f"{run!r} differs in {', '.join(keys[:MOST_DIFFERENT])}" for run, keys in differ.items())
        raise InputError(f"{folder}: no run in {results} trained it; of those with its plan {told}")
    return alike[0]


def _about_model(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = read_json(path)
        return about | {"digests": dict(about["digests"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is not what training wrote ({type(error).__name__}: {error}); take the model's folder as it was "
            "made, or run `snakemake --cores all train` again"
        ) from None


def _plan_of(results: Path, run: str) -> str | None:
    try:
        found: str | None = read_json(results / "runs" / run / "run.json")["plan_sha256"]
    except (OSError, ValueError, KeyError, TypeError):  # of another version, or none of ours: not the run sought
        return None
    return found


def _digests(results: Path, run: str) -> dict[str, Any]:
    """Return what decides the weights of a run: as its model has it; without one, what run.json has of it."""
    read_layout(results, run=run)  # refuses a run.json of another version, in words
    content = read_json(results / "runs" / run / "run.json")
    model = results / "runs" / run / "model" / MODEL_FILE
    recorded = _about_model(model)["digests"] if model.is_file() else {}
    settings = {f"train.{key}": value for key, value in content["settings"]["train"].items() if key != "precision"}
    own = {f"{one['name']}.{what}": one[f"{what}_sha256"] for one in content.get("sources", []) for what in TABLES}
    return settings | own | recorded | {"plan": content.get("plan_sha256")}


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
        results,
        str(path),
        run,
        f"results/scores/{parts[0]}/{parts[1]}.json",
        score=points_of(read_result(path, mend=MEND)),
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
