"""What is probed of a run: all that it fetches."""

from f2llm.config.benchmarks import Task
from f2llm.config.fetch import Fetch
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.sources.probe.part import Probed


def probed_run(run: Run) -> list[Probed]:
    """Everything that a run fetches: its sources, models, and the tasks of mteb that it is scored on."""
    models = {model.name: model for model in (run.backbone, run.retriever, *run.scored_models)}
    tasks = [task for task in run.benchmark.tasks if task.mteb and run.evaluate.tier in task.tiers]
    return [
        *map(probed_source, run.stanzas),
        *(
            Probed(kind="model", name=name, fetch=(model.fetch,), licence=model.licence)
            for name, model in models.items()
        ),
        *(Probed(kind="task", name=task.name, fetch=(_place_of(task),), licence=None) for task in tasks),
    ]


def probed_source(source: Source) -> Probed:
    """The part of a source's stanza that a probe reads."""
    return Probed(
        kind="source",
        name=source.name,
        fetch=source.fetch,
        licence=source.licence,
        task=source.shape,
        adapter=source.adapter,
        options=source.options,
        max_queries=source.max_queries,
        max_passages=source.max_passages,
        expected_queries=source.expected.queries,
        expected_passages=source.expected.passages,
    )


def _place_of(task: Task) -> Fetch:
    data = task.mteb
    return Fetch(kind="hub", repository=data.repository, revision=data.revision, files=data.files)
