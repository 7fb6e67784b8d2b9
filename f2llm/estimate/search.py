"""What searching for hard negatives will cost, from the counts that the stanzas state."""

from pathlib import Path
from typing import NamedTuple

from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.estimate.shares import mine_jobs
from f2llm.models.heads import vector_length

# Measured on one thread of a processor with AVX-512 (benchmarks/mine/speed.py: 5k-20k queries x 12k-100k passages).
CPU_GFLOPS = 75.0
CPU_SECONDS_A_QUERY = 2.5e-4
# On a GPU reading and selecting the scores bounds the search, not the products: an assumption, not measured.
GPU_SHARE = 0.3
SHOWN = 3
GIGA, TERA, HOUR = 1e9, 1e12, 3600.0


class SearchCost(NamedTuple):
    """An exact search for the queries of one source."""

    source: str
    queries: int
    passages: int
    jobs: int
    flops: float
    cpu_hours: float  # of one thread
    gpu_seconds: float


def search_costs(run: Run, *, tflops: float, results: str | Path = "results") -> list[SearchCost]:
    """Return what each searched source costs whose stanza states its counts, the dearest first.

    `tflops` is what a GPU multiplies. Empty where the width of the retriever's vectors is not known.
    """
    width = _width(run, results)
    costs = [_cost(source, run, width, tflops) for source in run.sources if width and _is_searched(source)]
    return sorted(costs, key=lambda cost: -cost.flops)


def format_search(costs: list[SearchCost], *, tflops: float) -> str:
    """Return the costs as lines for a person; an empty text for none."""
    if not costs:
        return ""
    hours, seconds = sum(cost.cpu_hours for cost in costs), sum(cost.gpu_seconds for cost in costs)
    lines = [
        f"search       {hours:,.1f} h of one CPU thread at {CPU_GFLOPS:.0f} GFLOP/s (measured), {seconds:,.1f} s of "
        f"a GPU at {GPU_SHARE:.0%} of {tflops:,.4g} TFLOP/s (an assumption); the largest:"
    ]
    for cost in costs[:SHOWN]:
        jobs = f"{cost.jobs} job{'s' if cost.jobs > 1 else ''}"
        size = f"{cost.queries:,} queries x {cost.passages:,} passages"
        lines.append(f"  {cost.source:<23} {size}: {cost.cpu_hours:,.2f} h or {cost.gpu_seconds:,.1f} s, {jobs}")
    return "\n".join(lines)


def _is_searched(source: Source) -> bool:
    expected = source.expected
    stated = expected.queries is not None and expected.passages is not None
    return source.task == "retrieval" and not source.ready and stated


def _cost(source: Source, run: Run, width: int, tflops: float) -> SearchCost:
    queries, passages = source.stated_queries, source.stated_passages
    flops = 2.0 * queries * passages * width
    cpu = flops / (CPU_GFLOPS * GIGA) + queries * CPU_SECONDS_A_QUERY
    gpu = flops / (tflops * TERA * GPU_SHARE)
    return SearchCost(source.name, queries, passages, mine_jobs(source, run.mine), flops, cpu / HOUR, gpu)


def _width(run: Run, results: str | Path) -> int:
    """Return the length of the retriever's vectors, 0 where it is not known yet."""
    if run.retriever.geometry:
        return run.retriever.geometry.hidden
    return vector_length(Path(results, "models", run.retriever.name, "model")) or 0
