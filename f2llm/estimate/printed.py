"""The estimate of a run as lines for a person."""

import math
from collections import Counter

from f2llm.config.geometry import activation_bytes, state_bytes
from f2llm.estimate.rates import SEARCH_GFLOPS, SEARCH_SECONDS_A_QUERY
from f2llm.estimate.sizing import Sizes
from f2llm.estimate.stages import ERRORS, Estimate

SEARCHES_SHOWN = 3
HOUR, GB, MB = 3600.0, 1e9, 1e6


def stage_lines(whole: Estimate, *, cores: int) -> list[str]:
    """Lines of all stages as a table, with the stated errors."""
    lines = [f"{'stage':<10}{'jobs':>6}{'there':>7}{'rows':>13}{'disk MB':>11}{'memory MB':>11}{'hours':>11}"]
    for stage in whole.stages:
        lines.append(
            f"{stage.stage:<10}{stage.jobs:>6}{stage.there:>7}{stage.rows or '':>13}{stage.disk_mb:>11,.1f}"
            f"{stage.memory_mb:>11,.0f}{stage.cpu_seconds / HOUR:>11,.3f}"
        )
    total, hours = sum(stage.jobs for stage in whole.stages), whole.cpu_seconds / HOUR
    lines.append(f"{'all':<10}{total:>6}{'':>20}{whole.disk_mb:>11,.1f}{whole.memory_mb:>11,.0f}{hours:>11,.3f}")
    stated = ", ".join(f"{figure} {share:.0%}" for figure, share in ERRORS.items())
    time = _duration(whole.wall_seconds)
    lines.append(f"time         {time} on {cores} idle cores; stated errors of the whole: {stated}")
    lines.append("             there: jobs that have run before; hours: of a thread, or of a GPU for models")
    if whole.probed:
        lines.append(f"probed       {', '.join(whole.probed)}: bytes and rows as results/probe.json has them")
    if whole.guessed:
        lines.append(f"a guide only {', '.join(whole.guessed)}: counted with other files or settings")
    if whole.unknown:
        lines.append(
            f"not counted  {', '.join(whole.unknown)}: nothing is known of their rows (`expected` in a stanza)"
        )
    return lines


def changed_line(whole: Estimate, *, runs: int, cores: int) -> str:
    """Line of what the changed runs of an ablation add to their run."""
    jobs, hours = sum(stage.jobs for stage in whole.stages), whole.cpu_seconds / HOUR
    return (
        f"ablate       {runs} changed runs: {jobs} more jobs, {whole.disk_mb:,.1f} MB, {hours:,.3f} hours, "
        f"{_duration(whole.wall_seconds)} on {cores} idle cores; what runs share is made once"
    )


def gpu_lines(sizes: Sizes, *, peak_tflops: float, share: float) -> list[str]:
    """Lines of what `sizes` on GPUs says of the whole run, whatever this machine has; none where no rows are known.

    Hours are those of all GPUs together, of which each reaches `share` of `peak_tflops`.
    """
    run, work, geometry = sizes.run, sizes.training_work(), sizes.expected.geometry(sizes.run.backbone)
    rows = [source_rows for source in run.sources if (source_rows := sizes.expected.curated(source))]
    if not rows and not work:
        return []
    world = run.train.processes * run.train.nodes
    queries, passages = sum(each.queries for each in rows), sum(each.passages for each in rows)
    lines = [
        f"run          {run.run}: {run.backbone.name} on {world} process{'es' if world > 1 else ''}",
        f"sources      {len(rows)} of {len(run.sources)} sources are counted: {queries:,} queries, "
        f"{passages:,} passages",
    ]
    if work:
        how = "expected" if work.balance is None else "exact, from the plan"
        means = f"{work.tokens / work.rows:,.0f} a tuple, {work.tokens / work.steps:,.0f} a step"
        lines.append(f"training     {work.steps:,} steps, {work.tokens:,.0f} tokens ({means}; {how})")
    if work and work.balance is not None:
        worst, padded = max(work.balance.values(), default=1.0), work.padded_over_useful
        lines.append(f"padding      none; in one padded tensor a batch {padded} x; max / mean of processes <= {worst}")
    rate = f"at {share:.0%} of {peak_tflops:,.4g} TFLOP/s"
    training = sizes.training()
    for name, seconds in (
        ("embedding", sizes.embedding_seconds()),
        ("train time", training.seconds if training.known else 0.0),
    ):
        if seconds:
            together, side_by_side = _hours(seconds), _hours(seconds / world)
            lines.append(f"{name:<12} {together} GPU-hours, {side_by_side} hours on {world} ({rate}, an assumption)")
    if geometry:
        state_gb = state_bytes(geometry, processes=world) / GB
        token = f"{activation_bytes(geometry, precision='bfloat16') / MB:.2f} MB of activations a token (bfloat16)"
        lines.append(f"memory       {state_gb:,.1f} GB of weights and optimiser a process, about {token}")
    rights = Counter(source.licence.commercial for source in run.sources)
    answers = ", ".join(f"{count} {answer}" for answer, count in sorted(rights.items()))
    lines.append(f"licences     commercial use: {answers}")
    return lines + _search_lines(sizes, rate=rate)


def _search_lines(sizes: Sizes, *, rate: str) -> list[str]:
    """Lines of the search for negatives, on one CPU thread and on a GPU: the sum and the largest sources."""
    cpu, lines, cpu_total, gpu_total = Sizes(sizes.expected), [], 0.0, 0.0
    for search in sizes.searches():
        cpu_seconds = cpu.search_seconds(queries=search.queries, flops=search.flops)
        gpu_seconds = sizes.search_seconds(queries=search.queries, flops=search.flops)
        cpu_total, gpu_total = cpu_total + cpu_seconds, gpu_total + gpu_seconds
        jobs = f"{search.jobs} job{'s' if search.jobs > 1 else ''}"
        size = f"{search.queries:,} queries x {search.passages:,} passages"
        lines.append(f"  {search.source:<23} {size}: {_hours(cpu_seconds)} h or {gpu_seconds:,.1f} s, {jobs}")
    if not lines:
        return []
    together = (
        f"search       {_hours(cpu_total)} h of one CPU thread at {SEARCH_GFLOPS:.0f} GFLOP/s (measured), "
        f"{gpu_total:,.1f} s of a GPU {rate} (an assumption), {SEARCH_SECONDS_A_QUERY * 1000:.2g} ms a query in "
        "either; the largest:"
    )
    return [together, *lines[:SEARCHES_SHOWN]]


def _hours(seconds: float) -> str:
    hours = seconds / HOUR
    return f"{hours:,.2f}" if hours >= 0.1 else f"{hours:.4f}"


def _duration(seconds: float) -> str:
    if seconds < 2 * HOUR:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / HOUR:,.1f} h" if seconds < 48 * HOUR else f"{seconds / HOUR / 24:,.1f} days"
