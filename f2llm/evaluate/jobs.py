"""What is evaluated, in which jobs: the trained run, its base under two poolings, the retriever.

The base is scored twice because a decoder that was never trained for it says little at its last
token; its mean over all tokens is the harder baseline. Both come from one forward pass, so they
share a job. Nothing heavy is imported here: the workflow reads this when it plans.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from f2llm.config.benchmarks import Task
from f2llm.config.run import Run
from f2llm.errors import InputError

RUN, BASE_LAST, BASE_MEAN, CEILING = ROLES = ("run", "base_last", "base_mean", "ceiling")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model as it is evaluated."""

    name: str  # part of paths and the name that mteb sees
    role: str  # one of ROLES
    folder: str  # a plain transformers folder
    pooling: str
    query_prompt: str  # "{instruction}" is filled in; empty: texts are encoded as they are


class Job(NamedTuple):
    """The tasks of one batch under the candidates of one network."""

    name: str  # of its rule
    folder: str  # of the network
    candidates: tuple[Candidate, ...]
    tasks: tuple[Task, ...]


def candidates(run: Run) -> tuple[Candidate, ...]:
    """Return the models that the scoreboard of `run` compares, the trained one first.

    Raises:
        InputError: two of them would have one name.
    """
    backbone, retriever = run.backbone, run.retriever
    base, prompt = f"results/models/{backbone.name}/model", backbone.query_prompt
    ceiling = f"results/models/{retriever.name}/model"
    found = (
        _candidate(run.run, RUN, f"results/runs/{run.run}/model", backbone.pooling, prompt),
        _candidate(f"{backbone.name}-last", BASE_LAST, base, "last", prompt),
        _candidate(f"{backbone.name}-mean", BASE_MEAN, base, "mean", prompt),
        _candidate(retriever.name, CEILING, ceiling, retriever.pooling, retriever.query_prompt),
    )
    names = [candidate.name for candidate in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"run: {', '.join(map(repr, twice))} is also the name of another scored model; rename the run")
    return found


def jobs(run: Run) -> tuple[Job, ...]:
    """Return the evaluation jobs of `run`: one for each network and batch of tasks."""
    networks: dict[str, list[Candidate]] = {}
    for candidate in candidates(run):
        networks.setdefault(candidate.folder, []).append(candidate)
    batches: dict[str, list[Task]] = {}
    for task in instructed_tasks(run):
        batches.setdefault(task.batch, []).append(task)
    return tuple(
        Job(f"evaluate_{_word(group[0].role)}_{batch}", folder, tuple(group), tuple(tasks))
        for folder, group in networks.items()
        for batch, tasks in batches.items()
    )


def instructed_tasks(run: Run) -> tuple[Task, ...]:
    """Return the tasks of the benchmark, each with an instruction: its own, else that of its source."""
    sources = {source.name: source for source in (*run.sources, *run.heldout_sources)}
    return tuple(
        dataclasses.replace(task, instruction=task.instruction or sources[task.source].instruction)
        for task in run.benchmark.tasks
    )


def score_paths(run: Run, *, folder: str) -> list[str]:
    """Return the result files of all candidates and tasks below `folder`."""
    return [str(Path(folder, c.name, f"{task.name}.json")) for c in candidates(run) for task in run.benchmark.tasks]


def _candidate(name: str, role: str, folder: str, pooling: str, query_prompt: str) -> Candidate:
    return Candidate(name=name, role=role, folder=folder, pooling=pooling, query_prompt=query_prompt)


def _word(role: str) -> str:
    """The two baselines share their jobs."""
    return role.partition("_")[0]
