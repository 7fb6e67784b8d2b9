"""What a run will cost, before anything runs: from the counts that its stanzas state, or from its plan."""

import math
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.geometry import STATE_BYTES, activation_bytes, forward_flops, read_geometry, training_flops, weights
from f2llm.config.models import Geometry
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.records.files import read_json

VECTOR_BYTES = 2
TOKEN_BYTES = 4
# With several processes each holds whole weights and gradients while a step lasts.
WHOLE_BYTES = 8
GB = 1e9
HOUR = 3600.0


class Machine(NamedTuple):
    """What a process computes on: its rate of matrix products in TFLOP/s, and the share of it that training reaches."""

    tflops: float
    efficiency: float


class Estimate(NamedTuple):
    """The cost of a run; None where the stanzas state too little. Hours are those of all GPUs together."""

    known: int  # sources that state their counts
    unknown: tuple[str, ...]
    queries: int
    passages: int
    steps: int | None
    rows: int | None
    tokens: int | None
    embed_hours: float | None
    train_hours: float | None
    state_gb: float | None  # of one process: its share of weights, gradients, moments, and what it holds whole
    activation_mb_per_token: float | None
    disk_gb: float
    commercial: dict[str, int]
    plan: dict[str, Any] | None  # exact figures, once plan_run has run


def estimate_run(run: Run, *, machine: Machine, results: str | Path = "results") -> Estimate:
    """Return what a run costs on `machine`, from its config alone; with its plan, exact steps and tokens.

    Means of lengths stand for lengths, cut to the run's limits. Every source counts as many queries and
    passages as its stanza states, within its caps.
    """
    train, world = run.train, run.train.processes * run.train.nodes
    sized = [source for source in run.sources if _is_sized(source)]
    rows = {source.name: source.stated_queries for source in sized}
    queries, passages = sum(rows.values()), sum(source.stated_passages for source in sized)
    tuple_tokens = sum(rows[source.name] * tokens_per_tuple(source, run) for source in sized)
    trained = {name: round(count * (1 - train.validation.share)) for name, count in rows.items()}
    backbone, retriever = (_geometry(model.name, model.geometry, results) for model in (run.backbone, run.retriever))
    steps = seen = tokens = None
    if queries:
        epoch_batches = sum(math.ceil(count / train.batch_size) for count in trained.values())
        steps = train.steps or math.ceil(epoch_batches * (train.epochs or 0) / train.batches_per_step)
        seen = (
            sum(trained.values()) * train.epochs if train.epochs else steps * train.batch_size * train.batches_per_step
        )
        tokens = int(tuple_tokens / queries * seen)
    plan = _plan(run, results)
    if plan:
        steps, seen, tokens = plan["steps"], plan["rows"], plan["tokens"]
    text_tokens = sum(_text_tokens(source, run, rows[source.name]) for source in sized)
    rate = machine.tflops * 1e12 * machine.efficiency * HOUR
    sequences = seen * (2 + train.negatives) if seen else 1
    spend = training_flops(backbone, tokens=tokens, mean_length=tokens / sequences) if backbone and tokens else None
    embed = forward_flops(retriever, tokens=text_tokens, mean_length=64) if retriever and text_tokens else None
    width = retriever.hidden if retriever else 0
    return Estimate(
        known=len(sized),
        unknown=tuple(source.name for source in run.sources if source not in sized),
        queries=queries,
        passages=passages,
        steps=steps,
        rows=seen,
        tokens=tokens,
        embed_hours=None if embed is None else embed / rate,
        train_hours=None if spend is None else spend / rate,
        state_gb=weights(backbone) * (STATE_BYTES / world + WHOLE_BYTES * (world > 1)) / GB if backbone else None,
        activation_mb_per_token=activation_bytes(backbone, precision="bfloat16") / 1e6 if backbone else None,
        disk_gb=(text_tokens * TOKEN_BYTES * 2 + (queries + passages) * width * VECTOR_BYTES) / GB,
        commercial=dict(Counter(source.licence.commercial for source in run.sources)),
        plan=plan,
    )


def tokens_per_tuple(source: Source, run: Run) -> float:
    """Return the mean tokens of query, positive and drawn hard negatives; a binary class has one negative."""
    expected = source.expected
    negatives = run.train.negatives
    if source.task == "classification":
        negatives = min(negatives, (expected.passages or 2) - 1)
    query = min(expected.query_tokens or 0, run.tokens.query_max_length)
    return query + (1 + negatives) * min(expected.passage_tokens or 0, run.tokens.passage_max_length)


def format_estimate(estimate: Estimate, *, run: Run, machine: Machine) -> str:
    """Return the estimate as lines for a person."""
    world = run.train.processes * run.train.nodes
    lines = [f"run          {run.run}: {run.backbone.name} on {world} process{'es' if world > 1 else ''}"]
    said = f"{estimate.known} of {len(run.sources)} sources state their counts"
    lines.append(f"sources      {said}: {estimate.queries:,} queries, {estimate.passages:,} passages")
    if estimate.steps and estimate.tokens and estimate.rows:
        how = "exact, from the plan" if estimate.plan else "expected"
        each = f"{estimate.tokens / estimate.rows:,.0f} a tuple, {estimate.tokens / estimate.steps:,.0f} a step"
        lines.append(f"training     {estimate.steps:,} steps, {estimate.tokens:,} tokens ({each}; {how})")
    if estimate.plan:
        worst = max(estimate.plan["balance"].values(), default=1.0)
        padded = estimate.plan["padded_over_useful"]
        lines.append(f"padding      none; in one padded tensor a batch {padded} x; max / mean of processes <= {worst}")
    assumed = f"at {machine.efficiency:.0%} of {machine.tflops:,.4g} TFLOP/s, an assumption"
    for name, hours in (("embedding", estimate.embed_hours), ("train time", estimate.train_hours)):
        if hours is not None:
            lines.append(f"{name:<12} {hours:,.2f} GPU-hours, {hours / world:,.2f} hours on {world} ({assumed})")
    if estimate.state_gb is not None:
        token = f"{estimate.activation_mb_per_token:.2f} MB of activations a token (bfloat16)"
        lines.append(f"memory       {estimate.state_gb:,.1f} GB of weights and optimiser a process, about {token}")
    lines.append(f"disk         {estimate.disk_gb:,.1f} GB of tokens, texts and vectors of these sources")
    rights = ", ".join(f"{count} {answer}" for answer, count in sorted(estimate.commercial.items()))
    lines.append(f"licences     commercial use: {rights}")
    if estimate.unknown:
        lines.append(f"not counted  {', '.join(estimate.unknown)}: no `expected` in the stanza; run plan_run to count")
    return "\n".join(lines)


def _is_sized(source: Source) -> bool:
    expected = source.expected
    return None not in (expected.queries, expected.passages, expected.query_tokens, expected.passage_tokens)


def _text_tokens(source: Source, run: Run, queries: int) -> float:
    """Return the tokens of all queries and passages of a source, as the retriever reads them."""
    expected, most = source.expected, run.mine.max_length
    passages = source.stated_passages * min(expected.passage_tokens or 0, most)
    return queries * min(expected.query_tokens or 0, most) + passages


def _geometry(name: str, stated: Geometry | None, results: str | Path) -> Geometry | None:
    folder = Path(results, "models", name, "model")
    if stated or not (folder / "config.json").is_file():
        return stated
    content = read_json(folder / "config.json")
    return read_geometry(folder) if "num_attention_heads" in content else None


def _plan(run: Run, results: str | Path) -> dict[str, Any] | None:
    manifest = Path(results, "lineage", "jobs", "plan_run", f"{run.run}.json")
    counts = read_json(manifest)["counts"] if manifest.is_file() else {}
    return counts if counts.keys() >= {"steps", "rows", "tokens", "balance", "padded_over_useful"} else None
