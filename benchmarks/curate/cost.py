"""What removing near copies costs: ours beside datasketch, datatrove and text-dedup, and how cost grows.

Cost is processor time, user and system, without importing. Ours is the whole job on one source: reading, exact and near
copies, exact Jaccard, guard, all tables written. The peers sign and look up buckets, and verify nothing.
"""

import json
import math
import os
import resource
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.curate.rows import cpu_seconds, curate, write_source
from benchmarks.train.host import in_fresh_process, memory_mb

PERMUTATIONS, BANDS, SHINGLE = 120, 20, 5


def peers(texts: Sequence[str], *, rounds: int, datatrove: str | None, text_dedup: str | None) -> dict[str, Any]:
    """Return CPU seconds of each tool on the same texts, round by round in turns, and the ratios to ours."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_source(folder / "ours", texts)
        write_plain(folder / "passages.parquet", texts)
        arms: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": lambda: _cost(curate(folder / "ours")),
            "datasketch": lambda: in_fresh_process(run_datasketch, (str(folder / "passages.parquet"),)),
        }
        if datatrove:
            arms["datatrove"] = lambda: run_datatrove(datatrove, folder)
        if text_dedup:
            arms["text-dedup"] = lambda: run_text_dedup(text_dedup, folder)
        runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
        for _ in range(rounds):
            for arm, run in arms.items():
                runs[arm].append(run())
                print(arm, runs[arm][-1], flush=True)
    ours = [run["cpu_seconds"] for run in runs["ours"]]
    ratios = {
        arm: [run["cpu_seconds"] / own for run, own in zip(found, ours, strict=True)] for arm, found in runs.items()
    }
    return {
        "passages": len(texts),
        "runs": runs,
        "us_a_passage": 1e6 * median(ours) / len(texts),
        "ratios": {
            arm: {"median": median(found), "least": min(found), "most": max(found)} for arm, found in ratios.items()
        },
    }


def growth(texts: Sequence[str], *, sizes: Sequence[int]) -> dict[str, Any]:
    """Return cost and peak memory on nested samples, the growth exponent of the cost and the slope of the memory."""
    found = []
    for size in sizes:
        with TemporaryDirectory() as folder:
            write_source(Path(folder), texts[:size])
            run = curate(Path(folder))
        found.append({"passages": size, **_cost(run), "candidates": run["counts"]["near_candidates"]})
        print(found[-1], flush=True)
    first, last = found[0], found[-1]
    times = last["passages"] / first["passages"]
    steps = [
        math.log(b["cpu_seconds"] / a["cpu_seconds"]) / math.log(b["passages"] / a["passages"])
        for a, b in zip(found, found[1:], strict=False)
    ]
    return {
        "runs": found,
        "exponent": math.log(last["cpu_seconds"] / first["cpu_seconds"]) / math.log(times),
        "exponents_of_steps": steps,
        "memory_gb_a_million": (last["peak_memory_mb"] - first["peak_memory_mb"])
        / 1024 / ((last["passages"] - first["passages"]) / 1e6),
        "memory_bound_gb": [0.6 + 1.5 * run["passages"] / 1e6 for run in found],
    }  # fmt: skip


def write_plain(path: Path, texts: Sequence[str]) -> None:
    """Write what the peers read."""
    ids = [f"d{at:07d}" for at in range(len(texts))]
    pq.write_table(pa.table({"id": ids, "text": list(texts)}), path)


def run_datasketch(path: str) -> dict[str, Any]:
    """Sign character 5-grams of the same comparable form and look each text up before it is inserted."""
    from datasketch import MinHash, MinHashLSH

    from f2llm.records.text_keys import e2_text

    texts = pq.read_table(path, columns=["text"])["text"].to_pylist()
    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, PERMUTATIONS // BANDS))
    began, dropped = cpu_seconds(), 0
    for at, text in enumerate(texts):
        form = e2_text(text)
        shingles = {form[place : place + SHINGLE] for place in range(max(1, len(form) - SHINGLE + 1))}
        signed = MinHash(num_perm=PERMUTATIONS)
        signed.update_batch([shingle.encode() for shingle in shingles])
        if index.query(signed):
            dropped += 1
        else:
            index.insert(at, signed)
    return {"cpu_seconds": cpu_seconds() - began, "peak_memory_mb": memory_mb("VmHWM"), "dropped": dropped}


def run_datatrove(python: str, folder: Path) -> dict[str, Any]:
    """Run benchmarks.curate.datatrove with the interpreter that has datatrove."""
    with TemporaryDirectory() as work:
        os.link(folder / "passages.parquet", Path(work, "passages.parquet"))
        # As a module: run by its path, it would itself be what `import datatrove` finds.
        printed = _outside([python, "-m", "benchmarks.curate.datatrove", work]).stdout
        line = next(line for line in printed.splitlines() if line.startswith("RESULT"))
        return json.loads(line.removeprefix("RESULT"))


def run_text_dedup(python: str, folder: Path) -> dict[str, Any]:
    """Run text-dedup's command line; what it takes to start, measured with its help, is subtracted."""
    starting = _children(lambda: _outside([python, "-m", "text_dedup.minhash", "--help"]))
    with TemporaryDirectory() as work:
        command = [
            python, "-m", "text_dedup.minhash", "--path", "parquet", "--data_files",
            str(folder / "passages.parquet"), "--split", "train", "--column", "text", "--ngram", str(SHINGLE),
            "--num_perm", str(PERMUTATIONS), "--b", str(BANDS), "--r", str(PERMUTATIONS // BANDS), "--hash_func",
            "xxh3", "--batch_size", "10000", "--num_proc", "1", "--cache_dir", f"{work}/cache", "--output",
            f"{work}/out",
        ]  # fmt: skip
        whole = _children(lambda: _outside(command))
    return {"cpu_seconds": whole - starting, "start": starting}


def _cost(run: dict[str, Any]) -> dict[str, Any]:
    return {"cpu_seconds": run["cpu_seconds"], "peak_memory_mb": run["peak_memory_mb"]}


def _children(work: Callable[[], object]) -> float:
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


def _outside(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    one = {name: "1" for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **one})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done
