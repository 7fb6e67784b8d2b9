"""How many tokens a layout computes for each useful one, and how evenly processes share them; nothing is trained.

Over F2LLM's mixture: every source is drawn some batches and counts by its tuples.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.train.lengths import SIGMA, Lengths, draw_lengths, read_sources

TUPLES_PER_PROCESS = 32
PROCESSES = (2, 16, 32)
TOKENS_PER_CHUNK = 4096  # the default of f2llm's settings


def shares(*, seed: int, draws: int = 2, sigma: float = SIGMA) -> list[dict[str, Any]]:
    """Return one row for each number of processes: token ratios and the heaviest process over the mean.

    `upstream` pads the sequences of each process to its longest and leaves tuples where they were drawn;
    `ours` deals the sequences of the whole batch. Ratios are to useful tokens; `waiting` counts every
    process as long as the slowest.
    """
    rows = []
    for processes in PROCESSES:
        totals: dict[str, float] = {}
        for source in read_sources():
            for number in range(draws):
                lengths = draw_lengths(
                    source, tuples=TUPLES_PER_PROCESS * processes, seed=seed, number=number, sigma=sigma
                )
                for key, value in _batch(lengths, processes=processes).items():
                    totals[key] = totals.get(key, 0.0) + value * source.tuples / draws
        rows.append({"processes": processes, "tuples_per_process": TUPLES_PER_PROCESS, **_ratios(totals)})
    return rows


def _batch(lengths: Lengths, *, processes: int) -> dict[str, float]:
    """Return tokens per tuple of one global batch: useful, padded, and those of the heaviest process."""
    from f2llm.models.packing import deal

    every = lengths.sequences()
    parts = [_part(lengths, processes=processes, process=process) for process in range(processes)]
    padded = [part.max() * len(part) for part in parts]
    dealt = deal(every.tolist(), processes=processes, tokens_per_chunk=TOKENS_PER_CHUNK)
    loads = [sum(int(every[place]) for chunk in chunks for place in chunk) for chunks in dealt]
    dummies = sum(not chunk for chunks in dealt for chunk in chunks)
    per_tuple = {
        "useful": every.sum(), "padded": sum(padded), "padded_waiting": max(padded) * processes,
        "drawn_waiting": max(part.sum() for part in parts) * processes,
        "ours": sum(loads) + dummies, "ours_waiting": max(loads) * processes,
    }  # fmt: skip
    return {key: float(value) / len(lengths.query_B) for key, value in per_tuple.items()}


def _ratios(totals: dict[str, float]) -> dict[str, float]:
    return {
        "upstream_computed_per_useful": totals["padded"] / totals["useful"],
        "upstream_waiting_per_useful": totals["padded_waiting"] / totals["useful"],
        "upstream_heaviest_per_mean": totals["padded_waiting"] / totals["padded"],
        "undealt_heaviest_per_mean": totals["drawn_waiting"] / totals["useful"],
        "ours_computed_per_useful": totals["ours"] / totals["useful"],
        "ours_heaviest_per_mean": totals["ours_waiting"] / totals["ours"],
    }


def _part(lengths: Lengths, *, processes: int, process: int) -> NDArray[np.int64]:
    """Return the lengths of the sequences whose tuples one process drew."""
    own = slice(process * TUPLES_PER_PROCESS, (process + 1) * TUPLES_PER_PROCESS)
    return Lengths(lengths.query_B[own], lengths.candidate_BK[own]).sequences()
