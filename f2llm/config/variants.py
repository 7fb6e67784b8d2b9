"""Variant keys: `name-<8 hex>`, one for each set of settings that changes bytes, upstream ones included.

Two runs with other policies stand side by side under results/ and share what is equal. A
source's own stanza is not part of a key: the source has a path component of its own.
"""

import dataclasses
from typing import NamedTuple

from f2llm.config.benchmarks import Task
from f2llm.config.build import digest, plain
from f2llm.config.models import Model
from f2llm.config.run import Run

# Settings of `mine` that change no result.
HOW_NOT_WHAT = ("backend", "device", "block_rows", "texts_per_job", "queries_per_job")


class Keys(NamedTuple):
    """The variant keys of a run."""

    curation: str
    evaluation_texts: str
    encoder: str
    mining: str
    tokens: str


def keys_of(run: Run) -> Keys:
    """The variant keys of a run."""
    encoder = encoder_key(run.retriever, max_length=run.mine.max_length)
    return Keys(curation_key(run), evaluation_texts_key(run), encoder, mining_key(run), tokens_key(run))


def curation_key(run: Run) -> str:
    """The key of curated/: curation settings, seed and the benchmark decontaminated against.

    Where queries that an earlier source has are dropped, the sources and their order decide the tables, too.
    """
    settings = plain(run.curate) | {"memory_mb": None}
    drops = any(run.curation_of(source).across.policy == "drop" for source in run.sources)
    order = [[(source.name, source.shape) for source in run.sources]] if drops else []
    return f"{run.benchmark.name}-{digest([settings, run.seed, _texts(run), *order])}"


def evaluation_texts_key(run: Run) -> str:
    """The key of the index of evaluation texts: the benchmark, and what else is matched against."""
    clean = run.curate.decontaminate
    return f"{run.benchmark.name}-{digest([_texts(run), clean.texts, clean.query_like, clean.missing])}"


def encoder_key(model: Model, *, max_length: int) -> str:
    """The key of vectors/: weights, prompt, pooling and maximum length of an encoder."""
    identity = (
        _place(model),
        model.format,
        model.member,
        model.layers,
        model.pooling,
        model.append_eos,
        *_tokens(model),
    )
    return f"{model.name}-{digest([identity, model.query_prompt, model.passage_prompt, max_length])}"


def mining_key(run: Run) -> str:
    """The key of mined/: curation, encoder and mining settings."""
    settings = {key: value for key, value in plain(run.mine).items() if key not in HOW_NOT_WHAT}
    parts = [curation_key(run), encoder_key(run.retriever, max_length=run.mine.max_length), settings, run.seed]
    return f"{run.retriever.name}-{digest(parts)}"


def tokens_key(run: Run) -> str:
    """The key of tokens/: curation, the backbone's tokenizer and prompt, and the lengths."""
    backbone = run.backbone
    identity = (_place(backbone), backbone.member, backbone.append_eos, backbone.query_prompt, *_tokens(backbone))
    return f"{backbone.name}-{digest([curation_key(run), identity, run.tokens])}"


def _place(model: Model) -> str | list[str]:
    """What names the files of a model: their hash, or where they lie if the stanza states none."""
    fetch = model.fetch
    return fetch.sha256 or [fetch.repository, fetch.revision or fetch.branch, *fetch.files, fetch.url, fetch.path]


def _tokens(model: Model) -> list[str]:
    """How control tokens in texts are read, where it is not the default: keys of the default stay as they were."""
    return [model.control_tokens] if model.control_tokens != "letters" else []


def _texts(run: Run) -> list[Task]:
    """What decides the texts of a benchmark: not what a model is told of a task, nor its job, tier or check."""
    neutral = {"instruction": "", "batch": "", "tiers": (), "check": ""}
    return [dataclasses.replace(task, **neutral) for task in run.benchmark.tasks]
