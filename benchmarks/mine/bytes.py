"""Mine the sources of the embedded default in different ways and compare the tables byte by byte.

    python -m benchmarks.mine.bytes --out benchmarks/results/mine-bytes.json

Threads, block sizes, back ends, shares of the queries, and a run that is killed with SIGKILL in its middle and begun
again. `make run TARGETS=mine` makes the inputs.
"""

import argparse
import hashlib
import json
import multiprocessing
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import commit, machine, versions
from benchmarks.mine.rules import paper_rule
from benchmarks.train.host import in_fresh_process
from f2llm.config.rights import Licence
from f2llm.config.sources import Source
from f2llm.config.stanzas import filled
from f2llm.mine.outcome import TuplePaths
from f2llm.mine.source import MiningTables, mine_source
from f2llm.records.files import read_json
from f2llm.records.tables import Share

WAYS: dict[str, dict[str, Any]] = {
    "faiss, 1 thread, blocks of 16,384": {},
    "2 threads": {"threads": 2},
    "blocks of 777": {"block_rows": 777},
    "blocks of 100,000": {"block_rows": 100_000},
    "torch": {"backend": "torch"},
    "torch, 2 threads, blocks of 1,000": {"backend": "torch", "threads": 2, "block_rows": 1000},
    "5 shares of the queries": {"shares": 5},
    "killed and begun again": {"killed": True},
}


def main() -> None:
    """Mine every source in every way, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit(), "sources": {}}
    for manifest in sorted(options.results.glob("vectors/*/*/*.json")):
        about = read_json(manifest)
        if about["passages"]:
            curated = options.results / "curated" / manifest.parent.name / about["source"]
            digests = {way: digest(curated, manifest, way) for way in WAYS}
            found["sources"][about["source"]] = {
                "tuples": digests[next(iter(WAYS))][1],
                "same_bytes": {way: one == digests[next(iter(WAYS))] for way, one in digests.items()},
            }
            print(about["source"], json.dumps(found["sources"][about["source"]]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def digest(curated: Path, manifest: Path, way: str) -> tuple[str, int]:
    """Return the hash of both tables and the number of tuples."""
    with TemporaryDirectory() as folder:
        if WAYS[way].get("killed"):
            process = multiprocessing.get_context("spawn").Process(target=mine, args=(curated, manifest, way, folder))
            process.start()
            time.sleep(2.5)
            process.kill()
            process.join()
        return in_fresh_process(mine, (curated, manifest, way, folder))


def mine(curated: Path, manifest: Path, way: str, folder: str) -> tuple[str, int]:
    """Mine one source in one way."""
    settings = dict(WAYS[way])
    settings.pop("killed", None)
    threads, shares = settings.pop("threads", 1), settings.pop("shares", 1)
    names = {"adapter": "", "instruction": "", "reference": "", "group": ""}
    licence = Licence(id="CC0-1.0", commercial="yes", note="")
    source = filled(Source, name="toy", task="retrieval", fetch=(), licence=licence, **names)
    tables = MiningTables(*(curated / f"{name}.parquet" for name in ("corpus", "queries", "near")), manifest)
    about = {"source": source, "rule": paper_rule(**settings), "seed": 0, "threads": threads}
    parts = [
        TuplePaths(Path(folder, f"t{number}"), Path(folder, f"r{number}"))
        for number in range(shares if shares > 1 else 0)
    ]
    for number, part in enumerate(parts):
        mine_source(tables, part, share=Share(number, shares), **about)
    outputs = TuplePaths(Path(folder, "tuples.parquet"), Path(folder, "rejected.parquet"))
    counts = mine_source(tables, outputs, parts=parts, **about)
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in outputs)).hexdigest(), counts["tuples"]


if __name__ == "__main__":
    main()
