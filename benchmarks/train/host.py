"""What a step costs the host before the model runs, and whether its memory grows with the corpus.

Token rows and a plan like those of a run are written to a temporary folder, for a corpus and for one ten
times as large; a fresh process then reads all batches of the plan through f2llm's own reader and packs
them. Memory counted is anonymous memory: pages of the mapped files belong to the page cache, are shared
by all processes and given back when others need them.
"""

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.train.lengths import LONGEST, Source, draw_lengths, mixture, read_sources

TUPLES, STEPS, NEGATIVES = 32, 64, 7
PASSAGES = 20_000
MB = 2**20


def host_cost(*, seed: int) -> dict[str, Any]:
    """Return CPU milliseconds per 32 tuples and the growth of memory, for a corpus of 1 x and of 10 x."""
    found = {}
    for times in (1, 10):
        with TemporaryDirectory() as folder:
            write_run(Path(folder), passages=times * PASSAGES, seed=seed)
            found[f"corpus_{times}x"] = in_fresh_process(read_run, (folder,))
    return found


def write_run(folder: Path, *, passages: int, seed: int) -> None:
    """Write token rows of one source with the lengths of F2LLM's mixture, and a plan of STEPS batches."""
    from f2llm.records.ragged import write_rows
    from f2llm.records.schemas.plan import PLAN
    from f2llm.records.tables import write_table

    generator = np.random.default_rng(seed)
    drawn = [draw_lengths(source, tuples=32, seed=seed) for source in _retrieval(seed)]
    passage_lengths = np.concatenate([lengths.candidate_BK.ravel() for lengths in drawn])
    query_lengths = np.concatenate([lengths.query_B for lengths in drawn])
    pool = generator.integers(2, 100_000, passages + LONGEST, dtype=np.int32)
    queries = STEPS * TUPLES
    write_rows(folder / "passages", ([row] for row in _rows(pool, generator.choice(passage_lengths, passages))))
    write_rows(folder / "queries", ([row] for row in _rows(pool, generator.choice(query_lengths, queries))))
    positives = generator.integers(0, passages, queries, dtype=np.int32)
    write_rows(folder / "positives", ([[row]] for row in positives))
    table = pa.Table.from_pylist(_plan(positives, passages, generator, PLAN), schema=PLAN)
    write_table(folder / "plan.parquet", schema=PLAN, rows=[table])


def read_run(folder: str) -> dict[str, float]:
    """Read and pack every batch of the plan; return the CPU cost and the anonymous memory before and after."""
    from f2llm.models.packing import pack
    from f2llm.train.batches import Batches

    source = {"name": "mixed", "task": "retrieval", "tokens": folder}
    run = SimpleNamespace(
        settings=SimpleNamespace(sources=[SimpleNamespace(**source)]), sources=[SimpleNamespace(**source)]
    )
    batches = Batches(run, plan=Path(folder, "plan.parquet"))
    pack(batches[0][0].sequences)  # imports, and the plan's first row group
    before, read, packed = memory_mb("RssAnon"), 0.0, 0.0
    for step in range(STEPS):
        began = time.process_time()
        (batch,) = batches[step]
        middle = time.process_time()
        pack(batch.sequences)
        read, packed = read + middle - began, packed + time.process_time() - middle
    return {
        "token_rows_mb": Path(folder, "passages.bin").stat().st_size / MB,
        "build_ms_per_32_tuples": 1000 * read / STEPS,
        "pack_ms_per_32_tuples": 1000 * packed / STEPS,
        "anonymous_memory_mb_before": before,
        "anonymous_memory_mb_after": memory_mb("RssAnon"),
    }


def memory_mb(field: str) -> float:
    """Return a memory field of this process, in MB (Linux): VmHWM the most ever held, RssAnon without mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def in_fresh_process(function: Any, arguments: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever it returns
    """Return what a function gives in a new interpreter, whose memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _retrieval(seed: int) -> list[Source]:
    drawn = mixture(read_sources(), batches=64, seed=seed)
    return [source for source in drawn if source.task == "retrieval"]


def _rows(pool: NDArray[np.int32], lengths: NDArray[np.int64]) -> Any:  # noqa: ANN401 - a generator of arrays
    """Yield rows of the given lengths, each a stretch of the pool."""
    return (pool[place : place + length] for place, length in enumerate(lengths))


def _plan(
    positives: NDArray[np.int32], passages: int, generator: np.random.Generator, schema: pa.Schema
) -> list[dict[str, Any]]:
    """Return the rows of a plan; columns that a batch does not read are filled with a value of their type."""
    rows = []
    for number, positive in enumerate(positives.tolist()):
        negatives = generator.integers(0, passages, NEGATIVES).tolist()
        known = {
            "step": number // TUPLES, "batch": 0, "slot": number % TUPLES, "source": "mixed",
            "tuple_id": number.to_bytes(16, "big"), "query_row": number, "positive_row": positive,
            "negative_rows": negatives,
        }  # fmt: skip
        rows.append({field.name: known.get(field.name, _blank(field.type)) for field in schema})
    return rows


def _blank(kind: pa.DataType) -> int | str | list[int]:
    if pa.types.is_list(kind):
        return []
    return "" if pa.types.is_string(kind) else 0
