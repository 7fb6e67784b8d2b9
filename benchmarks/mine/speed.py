"""Time the miner against sentence-transformers' on real vectors: processor time, memory, output, growth.

    python -m benchmarks.mine.speed --out benchmarks/results/mine.json

Vectors are those of the embedded default (`make run TARGETS=mine` makes them), with points between two real ones as
fill. Every run is a process of its own on one thread; arms take turns (A B A B). Memory is the most that a run held
over what it held with imports and inputs in place: the peer is given vectors and texts in memory, ours reads its tables
from disk.
Both search with faiss; what a miner takes beyond that is its work after the search. faiss's own choice of matrix
kernels is years old and slow on new processors; ours names better ones when it loads faiss, `ours_as_peer` does not.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.machine import commit, machine, versions
from benchmarks.mine.data import Mined, enlarged, peer_mine, read_sources, write_tables
from benchmarks.mine.rules import paper_rule
from benchmarks.train.host import in_fresh_process, memory_mb

BOUNDS = {"range_min": 5, "range_max": 100, "max_score": 0.8, "relative_margin": 0.05, "num_negatives": 24}
ARMS = ("ours", "peer_faiss", "ours_as_peer", "peer_torch")
GROWTH = [(5_000, 50_000), (10_000, 50_000), (20_000, 50_000), (20_000, 12_500), (20_000, 25_000), (20_000, 100_000)]
SINGLE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def main() -> None:
    """Run all arms, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--passages", type=int, default=50_000, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    os.environ.update(SINGLE_THREAD)  # before any process is started
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit()}
    found["compared"] = compared(options.results, options.queries, options.passages, rounds=options.rounds)
    found["growth"] = [grown(options.results, *size) for size in GROWTH]
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def compared(results: Path, queries: int, passages: int, *, rounds: int) -> dict[str, Any]:
    """Return every run of every arm at one size, and the ratios."""
    with TemporaryDirectory() as name:
        in_fresh_process(prepare, (results, Path(name), queries, passages))
        runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
        for _ in range(rounds):
            for arm in ARMS:
                runs[arm].append(in_fresh_process(run_arm, (arm, Path(name))))
                print(queries, passages, arm, runs[arm][-1], flush=True)
    ratios = {
        "ours / peer faiss, CPU": _ratio(runs, "ours", "peer_faiss", "cpu_seconds"),
        "ours / peer torch, CPU": _ratio(runs, "ours", "peer_torch", "cpu_seconds"),
        "ours / peer faiss, memory": _ratio(runs, "ours", "peer_faiss", "memory_mb"),
        "ours / peer torch, memory": _ratio(runs, "ours", "peer_torch", "memory_mb"),
        "ours with the peer's kernels / peer faiss, CPU": _ratio(runs, "ours_as_peer", "peer_faiss", "cpu_seconds"),
        "ours / peer faiss, CPU after search": [
            _after(mine) / _after(theirs) for mine, theirs in zip(runs["ours"], runs["peer_faiss"], strict=True)
        ],
    }
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    print(json.dumps(medians, indent=1), flush=True)
    return {"queries": queries, "passages": passages, "runs": runs, "ratios": ratios, "medians": medians}


def grown(results: Path, queries: int, passages: int) -> dict[str, Any]:
    """Return one run of ours and of the peer at one size."""
    with TemporaryDirectory() as name:
        in_fresh_process(prepare, (results, Path(name), queries, passages))
        runs = {arm: in_fresh_process(run_arm, (arm, Path(name))) for arm in ("ours", "peer_faiss")}
    print(queries, passages, {arm: (run["cpu_seconds"], run["memory_mb"]) for arm, run in runs.items()}, flush=True)
    return {"queries": queries, "passages": passages} | runs


def prepare(results: Path, folder: Path, queries: int, passages: int) -> None:
    """Write the inputs of all arms."""
    data = enlarged(list(read_sources(results).values()), queries=queries, passages=passages)
    write_tables(data, folder)
    np.savez(folder / "vectors.npz", queries=data.queries_QD, passages=data.passages_ND)
    texts = {name: getattr(data, name) for name in ("query_texts", "passage_texts", "positives")}
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def run_arm(arm: str, folder: Path) -> dict[str, Any]:
    """Run one arm in this process and return its cost."""
    if arm == "ours_as_peer":
        import faiss  # noqa: F401 - as the peer loads it, with the kernels that it picks by itself
    run = ours(folder) if arm.startswith("ours") else peer(arm, folder)
    next(run)  # imports and inputs are there
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    before, began = memory_mb("VmRSS"), time.process_time()
    counts = next(run)
    return {
        "cpu_seconds": time.process_time() - began,
        "memory_mb": memory_mb("VmHWM") - before,
        **counts,
    }


def ours(folder: Path) -> Any:
    """Mine from tables to tables."""
    from f2llm.config.rights import Licence
    from f2llm.config.sources import Source
    from f2llm.config.stanzas import filled
    from f2llm.mine.outcome import TuplePaths
    from f2llm.mine.source import MiningTables, mine_source
    from f2llm.vectors.faiss_search import Faiss, load_faiss

    licence = Licence(id="CC0-1.0", commercial="yes", note="")
    names = {"adapter": "", "instruction": "", "reference": "", "group": ""}
    source = filled(Source, name="toy", task="retrieval", fetch=(), licence=licence, **names)
    outputs = TuplePaths(folder / "tuples.parquet", folder / "rejected.parquet")
    tables = MiningTables(
        *(folder / name for name in ("corpus.parquet", "queries.parquet", "near.parquet", "vectors.json"))
    )
    load_faiss()
    search = timed(Faiss, "_knn")
    yield None
    counts = mine_source(tables, outputs, source=source, rule=paper_rule(), seed=0, threads=1)
    size = sum(Path(path).stat().st_size for path in outputs)
    kept = max(1, counts["tuples"])
    yield {"search_seconds": sum(search), "kept": kept, "output_bytes": size, "output_bytes_a_kept_query": size / kept}


def peer(arm: str, folder: Path) -> Any:
    """Mine with sentence-transformers, or search alone, from vectors and texts in memory."""
    import faiss
    import torch
    from sentence_transformers.util import mine_hard_negatives  # noqa: F401 - an import, not work

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with np.load(folder / "vectors.npz") as stored:
        vectors = stored["queries"], stored["passages"]
    data = Mined(*vectors, **json.loads((folder / "texts.json").read_text(encoding="utf-8")))
    search = timed(faiss.IndexFlatIP, "search")
    yield None
    settings = BOUNDS | {"sampling_strategy": "top", "output_format": "n-tuple", "output_scores": True}
    mined = peer_mine(data, use_faiss=arm == "peer_faiss", **settings)
    size, kept = mined.data.nbytes, max(1, len(mined))
    yield {"search_seconds": sum(search), "kept": kept, "output_bytes": size, "output_bytes_a_kept_query": size / kept}


def timed(kind: Any, method: str) -> list[float]:
    """Return a list that gets the processor seconds of every call of a method from now on."""
    real, seconds = getattr(kind, method), []

    def call(*arguments: Any, **settings: Any) -> Any:
        began = time.process_time()
        found = real(*arguments, **settings)
        seconds.append(time.process_time() - began)
        return found

    setattr(kind, method, call)
    return seconds


def _after(run: dict[str, Any]) -> float:
    return run["cpu_seconds"] - run["search_seconds"]


def _ratio(runs: dict[str, list[dict[str, Any]]], one: str, other: str, figure: str) -> list[float]:
    return [a[figure] / b[figure] for a, b in zip(runs[one], runs[other], strict=True)]


if __name__ == "__main__":
    main()
