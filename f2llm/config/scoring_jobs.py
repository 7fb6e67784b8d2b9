"""The models that a run's scoreboard compares, and the jobs that score them on its tasks."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import BASE_LAST, BASE_MEAN, CEILING, CUT, OTHER, RUN, Candidate
from f2llm.config.evaluate import ScoredModel
from f2llm.config.models import Model
from f2llm.config.run import Run
from f2llm.records.errors import InputError


class ScoringRule(NamedTuple):
    """A rule that scores the candidates of one network: one job for all `tasks`, or one for each of them."""

    name: str
    folder: str  # of the network
    candidates: tuple[Candidate, ...]
    tasks: tuple[Task, ...]
    batch: str  # the batch of tasks that one job scores; empty: a job for each task


def candidates(run: Run) -> tuple[Candidate, ...]:
    """The models that the scoreboard of `run` compares, the trained one first.

    Raises:
        InputError: two of them would have the same name.
    """
    backbone, retriever = run.backbone, run.retriever
    base = f"results/models/{backbone.name}/model"
    stanzas = {scored.model: scored for scored in run.evaluate.models}
    compared = [
        *own_candidates(run),
        _candidate(run, backbone, name=f"{backbone.name}-last", role=BASE_LAST, folder=base, pooling="last"),
        _candidate(run, backbone, name=f"{backbone.name}-mean", role=BASE_MEAN, folder=base, pooling="mean"),
    ]
    if retriever.format != "vectors":
        compared += _scored(run, retriever, stanzas.get(retriever.name), role=CEILING)
    compared += [
        candidate
        for model in run.scored_models
        if model.name != retriever.name or retriever.format == "vectors"
        for candidate in _scored(run, model, stanzas[model.name], role=OTHER)
    ]
    names = [candidate.name for candidate in compared]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"run: {', '.join(map(repr, twice))} is also the name of another scored model; rename the run")
    return tuple(compared)


def own_candidates(run: Run) -> list[Candidate]:
    """The trained model of `run`, followed by those with its vectors cut to fewer dimensions."""
    folder = f"results/runs/{run.run}/model"
    return _with_cuts(_candidate(run, run.backbone, name=run.run, role=RUN, folder=folder), run.evaluate.dimensions)


def jobs(run: Run) -> tuple[ScoringRule, ...]:
    """The scoring rules of `run`: for each network one a batch of tasks, and one for the tasks without a batch."""
    networks: dict[tuple[str, int, str], list[Candidate]] = {}
    for candidate in candidates(run):
        key = (candidate.folder, candidate.max_length, candidate.precision)
        networks.setdefault(key, []).append(candidate)
    batches: dict[str, list[Task]] = {}
    for task in instructed_tasks(run):
        batches.setdefault(task.batch, []).append(task)
    return tuple(
        ScoringRule(f"evaluate_{_word(group[0])}_{batch or 'task'}", folder, tuple(group), tuple(tasks), batch)
        for (folder, *_), group in networks.items()
        for batch, tasks in batches.items()
    )


def instructed_tasks(run: Run) -> tuple[Task, ...]:
    """The tasks of the run's tier, each with its instruction, or else that of its source."""
    sources = {source.name: source.instruction for source in (*run.sources, *run.heldout_sources)}
    return tuple(
        dataclasses.replace(task, instruction=task.instruction or sources.get(task.source, ""))
        for task in run.benchmark.tasks
        if run.evaluate.tier in task.tiers
    )


def score_paths(run: Run, *, folder: str) -> list[str]:
    """The result files of all candidates and tasks below `folder`."""
    tasks = instructed_tasks(run)
    return [str(Path(folder, model.name, f"{task.name}.json")) for model in candidates(run) for task in tasks]


def _candidate(run: Run, model: Model, **own: Any) -> Candidate:  # noqa: ANN401 - fields of a candidate
    """A network as the stanza of `model` says; length and precision are those of `evaluate`, if `own` has no others."""
    return Candidate(
        **{
            "pooling": model.pooling, "query_prompt": model.query_prompt, "passage_prompt": model.passage_prompt,
            "max_length": run.evaluate.max_length, "precision": run.evaluate.precision,
        } | {key: value for key, value in own.items() if value is not None}
    )  # fmt: skip


def _scored(run: Run, model: Model, scored: ScoredModel | None, *, role: str) -> list[Candidate]:
    """A model beside the run, and its cuts; `scored` may have another length and precision for it."""
    folder = f"results/models/{model.name}/model"
    own = {"max_length": scored.max_length, "precision": scored.precision} if scored else {}
    candidate = _candidate(run, model, name=model.name, role=role, folder=folder, **own)
    return _with_cuts(candidate, scored.dimensions if scored else ())


def _with_cuts(candidate: Candidate, dimensions: tuple[int, ...]) -> list[Candidate]:
    """A candidate, followed by one for each number of dimensions to which its vectors are cut."""
    name = candidate.name
    cuts = [dataclasses.replace(candidate, name=f"{name}-{size}d", role=CUT, dimensions=size) for size in dimensions]
    return [candidate, *cuts]


def _word(candidate: Candidate) -> str:
    """The word for a network in names of rules: the role (both baselines are "base"), or the name of another model."""
    return candidate.role.partition("_")[0] if candidate.role != OTHER else candidate.name
