"""Backward: from a tuple, a step, a model or a score to the rows and files that it came from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.lineage.trace.find import PASSAGE, QUERY, TracedId, nearest_ids
from f2llm.lineage.trace.forward import FileRow, places_of
from f2llm.lineage.trace.seen import Seen, seen_by, steps_of
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path
from f2llm.records.scores import points_of, read_result, score_files
from f2llm.records.sql import ask, rows_at
from f2llm.runs.layout import RUN_FILE, Layout, read_layout, read_manifest, runs_in, value_in
from f2llm.runs.manifests import read_jobs, upstream
from f2llm.runs.run_file import MODEL_FILE

REMEDY = "delete it and run `snakemake --cores all` in the checkout, which evaluates again"
TABLES = ("tuples", "tokens")
MOST_DIFFERENT = 3  # digests that are named


class TracedText(NamedTuple):
    """A text of a tuple, its id, and every place that it came from."""

    role: str
    id: str
    text: str
    places: list[FileRow]


class TupleTrace(NamedTuple):
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


class ChainJob(NamedTuple):
    """A job in the chain behind a file, with those of its outputs that the chain reads."""

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
    jobs: list[ChainJob]


def unknown_id(layout: Layout, wanted: str) -> InputError:
    """The error that a run does not have an id; names the nearest."""
    nearest = ", ".join(nearest_ids(layout, wanted))
    return InputError(f"id {wanted}: run {layout.run!r} has none of this id; nearest: {nearest}")


def trace_tuple(layout: Layout, traced: TracedId) -> TupleTrace:
    """Follow a tuple back to its texts, and these to the rows of files that they came from.

    Raises:
        InputError: the tables were not made together, or one cannot be read.
    """
    manifest = read_manifest(layout, traced.source)
    path = layout.mined(traced.source) / "tuples.parquet"
    sql = "SELECT query_row, positive_row, negative_rows, negative_kinds FROM read_parquet(?) WHERE tuple_id = ?"
    query_row, positive_row, negative_rows, kinds = ask(sql, [path], traced.id)[0]
    curated = layout.curated(traced.source)
    queries = rows_at(curated / "queries.parquet", "query_id", {query_row})
    passages = rows_at(curated / "corpus.parquet", "doc_id", {positive_row, *negative_rows})
    if query_row not in queries or {positive_row, *negative_rows} - {*passages}:
        raise InputError(
            f"{path}: names rows that the tables of {curated} do not have, so they were not made "
            "together; run `snakemake --cores all` in the checkout"
        )
    parts = [("query", *queries[query_row]), ("positive", *passages[positive_row])]
    parts += [(f"negative ({kind})", *passages[row]) for row, kind in zip(negative_rows, kinds, strict=True)]
    places = places_of(layout, traced.source, [identity for _, identity, _ in parts])
    texts = [
        TracedText(role, identity.hex(), text, places[QUERY if role == "query" else PASSAGE, identity])
        for role, identity, text in parts
    ]
    steps = [step for _, step in steps_of(layout, traced.source, [traced.id])]
    return TupleTrace(
        tuple_id=traced.id.hex(),
        source=traced.source,
        licence=manifest["licence"],
        files=manifest["files"],
        texts=texts,
        steps=steps,
        seen=seen_by(layout, steps),
    )


def trace_step(layout: Layout, step: int) -> list[StepRow]:
    """What one step of training saw, with the text of each query.

    Raises:
        InputError: the plan has no such step.
    """
    plan = [layout.plan]
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
    """Map tuple id to the text of its query, for those tuples that the tables still have."""
    sql = "SELECT tuple_id, query_id, query_row FROM read_parquet(?) WHERE tuple_id IN (SELECT unnest(?))"
    known = ask(sql, [layout.mined(source) / "tuples.parquet"], tuples)
    queries = rows_at(layout.curated(source) / "queries.parquet", "query_id", {row for _, _, row in known})
    return {identity: queries[row][1] for identity, query, row in known if row in queries and queries[row][0] == query}


def trace_model(results: Path, folder: Path) -> ModelTrace:
    """What lies behind a trained model's folder, be it in the results folder or a copy of it.

    Raises:
        InputError: it is no model of ours, or its run is not in the results folder.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise InputError(f"{folder}: holds no {MODEL_FILE}, so it is no model that this project trained")
    model, runs = _read_model_file(path), runs_in(results)
    plan = model["digests"].get("plan")
    planned = [run for run in runs if plan and value_in(results / "runs" / run / RUN_FILE, "plan_sha256") == plan]
    if not planned:
        raise InputError(f"{folder}: its plan is that of no run in {results}; runs here: {', '.join(runs)}")
    run = _trainer_of(folder, model, results=results, planned=planned)
    return _trace_output(results, f"results/runs/{run}/model", path=folder, run=run)


def _trainer_of(folder: Path, model: Mapping[str, Any], *, results: Path, planned: Sequence[str]) -> str:
    """Find which of the runs with the plan of a model trained it: runs may share a plan, and differ in training."""
    differing = {}
    for run in planned:
        digests = _digests(results, run)
        shared = {*digests} & {*model["digests"]}
        differing[run] = sorted(key for key in shared if digests[key] != model["digests"][key])
    candidates = [run for run in planned if not differing[run]]
    if not candidates:
        reasons = (f"{run!r} differs in {', '.join(keys[:MOST_DIFFERENT])}" for run, keys in differing.items())
        raise InputError(f"{folder}: no run in {results} trained it; of those with its plan {'; '.join(reasons)}")
    if len(candidates) > 1:
        # Equal in all that decides the weights: the bytes of the folder may still tell the runs apart, then its name.
        content = sha256_path(folder)
        outputs = {path: sha256 for job in read_jobs(results) for path, sha256 in job.outputs.items()}
        candidates.sort(key=lambda run: (outputs.get(f"results/runs/{run}/model") != content, run != model.get("run")))
    return candidates[0]


def _read_model_file(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(path)
        return content | {"digests": dict(content["digests"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is not what training wrote ({type(error).__name__}: {error}); take the model's folder as it was "
            "made, or run `snakemake --cores all train` again"
        ) from None


def _digests(results: Path, run: str) -> dict[str, Any]:
    """Digests of what decides the weights of a run: those of its model; without one, those that run.json has."""
    layout = read_layout(results, run=run)
    train = layout.content["settings"]["train"]
    settings = {f"train.{key}": value for key, value in train.items() if key != "precision"}
    tables = {
        f"{name}.{table}": planned[f"{table}_sha256"] for name, planned in layout.planned.items() for table in TABLES
    }
    model = layout.of_run("model") / MODEL_FILE
    recorded = _read_model_file(model)["digests"] if model.is_file() else {}
    return settings | tables | recorded | {"plan": layout.content.get("plan_sha256")}


def trace_score(results: Path, score: str) -> ModelTrace:
    """What lies behind a score, named MODEL/TASK or by the path of its file.

    Raises:
        InputError: there is no such score; names those that there are.
    """
    parts = Path(score).with_suffix("").parts[-2:] if score.endswith(".json") else tuple(score.split("/"))
    model, task = parts[0], parts[-1]
    path = results.joinpath("scores", *parts[:1], f"{task}.json")
    if len(parts) != 2 or not path.is_file():
        models = sorted(folder.name for folder in results.glob("scores/*") if folder.is_dir())
        tasks = [file.stem for file in score_files(results / "scores" / model)]
        raise InputError(
            f"score {score!r}: there is none; name it MODEL/TASK; "
            f"{f'tasks of {model}: ' + ', '.join(tasks) if tasks else 'models: ' + ', '.join(models)}"
        )
    run = model if (results / "runs" / model / RUN_FILE).is_file() else None
    points = points_of(read_result(path, remedy=REMEDY))
    return _trace_output(results, f"results/scores/{model}/{task}.json", path=path, run=run, score=points)


def _trace_output(results: Path, output: str, *, path: Path, run: str | None, score: float | None = None) -> ModelTrace:
    """What lies behind an output, named as manifests name it; `path` is where it was found."""
    chain = upstream(read_jobs(results), [output])
    read = {output, *(name for job in chain for name in job.inputs)}
    jobs = [
        ChainJob(job.rule, job.unit, job.code, {name: sha256 for name, sha256 in job.outputs.items() if name in read})
        for job in chain
    ]
    if run is None:
        return ModelTrace(str(path), None, score, [], 0, jobs)
    layout = read_layout(results, run=run)
    licences = {source.name: source.licence.id for source in layout.sources}
    sql = "SELECT source, count(*) FROM read_parquet(?) GROUP BY source ORDER BY source"
    sources = [(name, licences[name], count) for name, count in ask(sql, [layout.plan])]
    steps = ask("SELECT count(DISTINCT step) FROM read_parquet(?)", [layout.plan])[0][0]
    return ModelTrace(str(path), run, score, sources, steps, jobs)
