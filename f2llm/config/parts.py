"""The parts of a run and its stanzas that jobs are given: a change of the rest, or a new key, re-runs nothing."""

from collections.abc import Iterable
from typing import Any

from f2llm.config.build import part, plain
from f2llm.config.encoding import EncodingModel
from f2llm.config.fetch import Fetch
from f2llm.config.models import Model
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.config.train import TrainedModel, TrainedSource

# Keys that pages and cards show.
SHOWN_OF_SOURCE = ("name", "task", "ready", "instruction", "licence", "reference", "citation", "expected")
SHOWN_OF_MODEL = ("name", "format", "pooling", "append_eos", "query_prompt", "passage_prompt", "licence", "reference")
SHOWN_OF_FETCH = ("kind", "repository", "repository_type", "shards")
# Keys that decide an estimate.
ESTIMATED_OF_SOURCE = (
    "name", "task", "ready", "adapter", "options", "instruction", "licence", "held_out", "train", "curate",
    "max_queries", "max_passages", "expected",
)  # fmt: skip
ESTIMATED_OF_MODEL = ("name", "format", "member", "layers", "pooling", "query_prompt", "passage_prompt", "geometry")
ESTIMATED_OF_FETCH = ("kind", "package", "version", "path", "repository", "revision", "files", "shards", "url")


def training_settings(run: Run) -> dict[str, Any]:
    """The settings of a run that decide its training, as plain JSON: `f2llm.runs.run_file.Settings`."""
    content = _chosen(run, ("run", "seed", "barred"))
    content |= {"sources": [part(source, TrainedSource) for source in run.sources]}
    content |= {"backbone": part(run.backbone, TrainedModel), "retriever": part(run.retriever, EncodingModel)}
    return content | _chosen(run, ("curate", "mine", "tokens", "train"))


def shown_stanzas(run: Run) -> dict[str, dict[str, Any]]:
    """The keys of stanzas that pages and cards show: sources (trained or scored on) by name, models by role."""
    models = {"backbone": run.backbone, "retriever": run.retriever}
    return {
        "sources": {source.name: shown_source(source) for source in (*run.sources, *run.heldout_sources)},
        "models": {
            role: _chosen(model, SHOWN_OF_MODEL) | {"fetch": _chosen(model.fetch, SHOWN_OF_FETCH)}
            for role, model in models.items()
        },
    }


def shown_source(source: Source) -> dict[str, Any]:
    """The keys of a source's stanza that pages and cards show."""
    return _chosen(source, SHOWN_OF_SOURCE) | {"fetch": [_chosen(place, SHOWN_OF_FETCH) for place in source.fetch]}


def estimated_run(run: Run) -> dict[str, Any]:
    """All of a run that decides its estimate."""
    content = {name: value for name, value in vars(run).items() if name not in ("energy", "compare", "scored_models")}
    return plain(content) | {
        "sources": [_estimated(source) for source in run.sources],
        "heldout_sources": [_estimated(source) for source in run.heldout_sources],
        "compare": [[pair.source, _estimated(pair.released)] for pair in run.compare],
        "backbone": _estimated_model(run.backbone),
        "retriever": _estimated_model(run.retriever),
        "scored_models": [_estimated_model(model) for model in run.scored_models],
    }


def _estimated(source: Source) -> dict[str, Any]:
    places = [_chosen(place, ESTIMATED_OF_FETCH) for place in source.fetch]
    return _chosen(source, ESTIMATED_OF_SOURCE) | {"fetch": places}


def _estimated_model(model: Model) -> dict[str, Any]:
    return _chosen(model, ESTIMATED_OF_MODEL) | {"fetch": [_chosen(model.fetch, ESTIMATED_OF_FETCH)]}


def _chosen(record: Run | Source | Model | Fetch, names: Iterable[str]) -> dict[str, Any]:
    return {name: plain(getattr(record, name)) for name in names}
