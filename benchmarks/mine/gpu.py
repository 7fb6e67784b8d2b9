"""Search hard negatives at the size of MS MARCO on one GPU, with the torch back end that mining uses.

    python -m benchmarks.mine.gpu --out mine.json       # one CUDA device with 24 GB or more, a few minutes
    python -m benchmarks.mine.gpu --smoke               # the same on the CPU, tiny, seconds

Needs this checkout, torch and numpy; nothing is downloaded. Without --out, the report goes to $OUT/mine.json where OUT
is set. Vectors are generated: unit vectors around cluster centres, float16, on the host as if read from disk. What is
timed is all that mining does between the files and the selection: copying blocks to the device, products, selection,
canonical scores, order, proof. The lists of a sample of queries are then made on the CPU in float64, and must be the
same bytes.
Shapes: Q queries, N passages, D dimensions.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from f2llm.vectors.search import SPARE, search
from f2llm.vectors.torch_search import Torch

WINDOW = 100
CENTRES = 4096
SPREAD = 1.2
GENERATED_AT_ONCE = 1 << 18


class Rows:
    """Vectors on the host, read as the vector store's view is."""

    def __init__(self, rows_ND: np.ndarray) -> None:
        self._rows, self.dim = rows_ND, rows_ND.shape[1]

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """Return some rows."""
        return self._rows[positions]

    def blocks(self, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first, rows)."""
        for first in range(0, len(self), rows):
            yield first, self._rows[first : first + rows]


def main() -> int:
    """Generate, search, check, report; return 1 where the sample differs."""
    options = parse_options()
    device = "cpu" if options.smoke else "cuda"
    corpus = generated(options.passages, options.dim, seed=1, device=device)
    queries = generated(options.queries, options.dim, seed=2, device=device)
    passages, backend = Rows(corpus), Torch(threads=os.cpu_count() or 1, device=device)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu (smoke: no figure of it means anything)",
        "torch": torch.__version__, "queries": len(queries), "passages": len(corpus), "dimensions": options.dim,
        "candidates": WINDOW + SPARE, "matmul_tflops": matmul_tflops(device, options.dim),
    }  # fmt: skip
    lists(queries[:256], passages, backend)  # warm-up
    found["rounds"] = []
    for _ in range(options.rounds):
        began = clock(device)
        scores, rows, searched = lists(queries, passages, backend)
        seconds = clock(device) - began
        flops = 2 * len(queries) * len(corpus) * options.dim
        spent = {"seconds": seconds, "tflops": flops / seconds / 1e12, "searches": searched}
        found["rounds"].append(spent | {"copy_corpus_seconds": copy_seconds(passages, backend, device)})
        print(found["rounds"][-1], flush=True)
    found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    sample = np.linspace(0, len(queries) - 1, options.sample).astype(np.int64)
    true = brute_force(queries[sample], corpus)
    found["sample"] = len(sample)
    found["sample_equal_bytes"] = bool(
        scores[sample].tobytes() == true[0].tobytes() and rows[sample].tobytes() == true[1].tobytes()
    )
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(not found["sample_equal_bytes"])


def lists(queries: np.ndarray, passages: Rows, backend: Torch) -> tuple[np.ndarray, np.ndarray, int]:
    """Return canonical scores and rows of the WINDOW nearest of every query, and how many batches were yielded."""
    scores, rows = np.empty((len(queries), WINDOW), np.float32), np.empty((len(queries), WINDOW), np.int64)
    count, wanted = 0, np.full(len(queries), WINDOW)
    for found in search(queries, passages, wanted_Q=wanted, backend=backend):
        scores[found.queries], rows[found.queries] = found.scores[:, :WINDOW], found.rows[:, :WINDOW]
        count += 1
    return scores, rows, count


def copy_seconds(passages: Rows, backend: Torch, device: str) -> float:
    """Return what copying the corpus to the device takes alone; a search does it twice."""
    began = clock(device)
    for _, block in passages.blocks(backend.block_rows):
        torch.from_numpy(block).to(device)
    return clock(device) - began


def generated(count: int, dim: int, *, seed: int, device: str) -> np.ndarray:
    """Return unit vectors around cluster centres, float16."""
    generator = torch.Generator(device=device).manual_seed(seed)
    shared = torch.Generator(device=device).manual_seed(0)
    centres_CD = torch.randn(CENTRES, dim, generator=shared, device=device)
    rows_ND = np.empty((count, dim), np.float16)
    for first in range(0, count, GENERATED_AT_ONCE):
        size = min(GENERATED_AT_ONCE, count - first)
        own = torch.randint(0, CENTRES, (size,), generator=generator, device=device)
        part = centres_CD[own] + SPREAD * torch.randn(size, dim, generator=generator, device=device)
        part /= part.norm(dim=1, keepdim=True)
        rows_ND[first : first + size] = part.half().cpu().numpy()
    return rows_ND


def brute_force(queries: np.ndarray, corpus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the WINDOW nearest of a few queries by float64 products on the CPU, ties by row."""
    asked = queries.astype(np.float64)
    scores = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for first in range(0, len(corpus), GENERATED_AT_ONCE):
        block = (asked @ corpus[first : first + GENERATED_AT_ONCE].astype(np.float64).T).astype(np.float32)
        places = np.broadcast_to(np.arange(first, first + block.shape[1]), block.shape)
        scores, rows = np.concatenate([scores, block], 1), np.concatenate([rows, places], 1)
        order = np.lexsort((rows, -scores), axis=1)[:, :WINDOW]
        scores, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
    return scores, rows


def matmul_tflops(device: str, dim: int) -> float | None:
    """Return what this device multiplies in float16, as large square matrices."""
    if device == "cpu":
        return None
    a = torch.randn(8192, 8192, device=device, dtype=torch.float16)
    times = []
    for _ in range(12):
        began = clock(device)
        a @ a
        times.append(clock(device) - began)
    return 2 * 8192**3 / min(times) / 1e12


def clock(device: str) -> float:
    """Return the time once all work of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def parse_options() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--queries", type=int, default=365_503, help="default: %(default)s, those of MS MARCO in F2LLM")
    add("--passages", type=int, default=4_472_684, help="default: %(default)s, likewise")
    add("--dim", type=int, default=1024, help="default: %(default)s, Qwen3-Embedding-0.6B")
    add("--rounds", type=int, default=3, help="default: %(default)s")
    add("--sample", type=int, default=64, help="queries whose lists are checked (default: %(default)s)")
    add("--out", type=Path, help="JSON report (default: $OUT/mine.json, if OUT is set)")
    add("--smoke", action="store_true", help="check the logic on the CPU; no figure of it means anything")
    options = parser.parse_args()
    if options.smoke:
        options.queries, options.passages, options.dim, options.rounds = 600, 40_000, 64, 1
    elif not torch.cuda.is_available():
        parser.error("there is no CUDA device; --smoke does without")
    if options.out is None and os.environ.get("OUT"):
        options.out = Path(os.environ["OUT"], "mine.json")
    return options


if __name__ == "__main__":
    sys.exit(main())
