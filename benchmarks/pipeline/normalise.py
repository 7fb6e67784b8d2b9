"""Normalise generated sources of a million rows: rows a second, peak memory, and the same bytes whatever the limits.

    python -m benchmarks.pipeline.normalise --out benchmarks/results/normalise.json

Two sources: questions with a passage and two negatives each, and labelled texts. A tenth of the rows repeat an
earlier text. Each run is a process of its own, and peak memory is what the whole process ever held (VmHWM), imports
included. Rows are written and read as streams.
"""

import argparse
import hashlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.machine import commit, machine, versions
from benchmarks.train.host import in_fresh_process, memory_mb

WORDS = [f"word{number}" for number in range(5000)]
TABLES = ("corpus", "queries", "origins")


class Case(NamedTuple):
    """A generated source."""

    task: str
    adapter: str


CASES = {"pairs": Case("retrieval", "pairs"), "labelled": Case("clustering", "labelled")}


class Limits(NamedTuple):
    """What may not change the bytes: the engine's memory and the rows written at once."""

    memory_mb: int
    batch_rows: int


def main() -> None:
    """Measure each source under each limit, and print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit(), "rows": options.rows}
    from f2llm.sources.normalise import MEMORY_MB

    for name, case in CASES.items():
        with TemporaryDirectory() as folder:
            write_rows(Path(folder, "raw", "rows.jsonl"), name=name, rows=options.rows)
            runs = [
                in_fresh_process(normalise, (folder, name, case, limits))
                for limits in (Limits(MEMORY_MB, 4096), Limits(2 * MEMORY_MB, 1000))
            ]
        found[name] = {"runs": runs, "same_bytes": runs[0]["sha256"] == runs[1]["sha256"]}
        for run in runs:
            print(name, {key: value for key, value in run.items() if key != "sha256"}, flush=True)
        print(name, "same bytes:", found[name]["same_bytes"], flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def write_rows(path: Path, *, name: str, rows: int) -> None:
    """Write so many rows of a source, and the manifest that fetching would have written."""
    path.parent.mkdir(parents=True)
    with open(path, "w", encoding="utf-8") as file:
        for row in _rows(name, rows):
            file.write(json.dumps(row) + "\n")
    content = {"files": [{"name": path.name}]}
    path.parent.with_name("manifest.json").write_text(json.dumps(content), encoding="utf-8")


def normalise(folder: str, name: str, case: Case, limits: Limits) -> dict[str, Any]:
    """Normalise in this process and return its cost and the hashes of the tables."""
    from f2llm.sources import staging
    from f2llm.sources.normalise import Reading, normalise_source

    staging.BATCH_ROWS = limits.batch_rows
    began, spent = time.monotonic(), time.process_time()
    counts = normalise_source(
        Reading(name=name, task=case.task, adapter=case.adapter),
        raw=Path(folder, "raw"), manifest=Path(folder, "manifest.json"), folder=Path(folder, "out"),
        on_error="fail", memory_mb=limits.memory_mb,
    )  # fmt: skip
    seconds, cpu = time.monotonic() - began, time.process_time() - spent
    hashes = {table: hashlib.sha256(Path(folder, "out", f"{table}.parquet").read_bytes()) for table in TABLES}
    return {
        **limits._asdict(),
        "peak_memory_mb": memory_mb("VmHWM"),
        "cpu_seconds": cpu,
        "seconds": seconds,
        "rows_per_cpu_second": counts["queries_read"] / cpu,
        "queries_kept": counts["queries_kept"],
        "passages_kept": counts["passages_kept"],
        "sha256": {table: digest.hexdigest() for table, digest in hashes.items()},
    }


def _rows(name: str, rows: int) -> Iterator[dict[str, Any]]:
    generator = random.Random(0)
    for number in range(rows):
        own = generator.randrange(max(1, number)) if number % 10 == 0 else number  # a tenth repeat an earlier row
        text = _text(own, length=40)
        if name == "pairs":
            wrong = [_text(generator.randrange(rows), length=40) for _ in range(2)]
            yield {"query": f"question {own} {text[:60]}", "positive": text, "negatives": wrong}
        else:
            yield {"text": text, "label": f"class {own % 50}"}


def _text(number: int, *, length: int) -> str:
    generator = random.Random(number)
    return f"{number} " + " ".join(generator.choices(WORDS, k=length))


if __name__ == "__main__":
    main()
