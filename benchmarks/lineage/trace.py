"""Time `f2llm trace` on a generated run as large as the paper's: each question a process of its own.

    python -m benchmarks.lineage.trace --folder /tmp/large --out benchmarks/results/trace.json

Tables of 60 sources with 100,000 tuples of 24 negatives and 50,000 passages each, one epoch of 6 million places in
the plan with 7 negatives; 2 GB that are made first where they are not there. Seconds are wall time with the start of
Python, memory is the most that the process held. The index is only for `--like`; it is made once, by a process of its
own, of a quarter of the sources first: memory shall not grow with them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.lineage.trace_data import write_run
from benchmarks.machine import commit, machine, versions
from f2llm.records.ids import doc_id
from f2llm.records.sql import ask

RUN = "large"
FRESH = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
PART = 4  # of the sources, one in so many
INDEX = (
    "import sys; from pathlib import Path; from f2llm.lineage.trace.alike import write_index; "
    "write_index(Path(sys.argv[1]), [Path(one) for one in sys.argv[2:]])"
)


def main() -> None:
    """Make the tables, ask all questions, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the generated results")
    parser.add_argument("--sources", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--tuples", type=int, default=100_000, help="of each source; default: %(default)s")
    parser.add_argument("--passages", type=int, default=50_000, help="of each source; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--keep-index", action="store_true", help="do not make it anew, take its figures from --out")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    if not (options.folder / "runs" / RUN / "run.json").is_file():
        write_run(options.folder, sources=options.sources, tuples=options.tuples, passages=options.passages)
    asked = questions(options.folder)
    index = json.loads(options.out.read_text())["index"] if options.keep_index else make_index(options.folder, asked)
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit()}
    sizes = {"sources": options.sources, "tuples": options.sources * options.tuples}
    found |= sizes | {"passages": options.sources * options.passages, "index": index, "questions": {}}
    print("index", found["index"], flush=True)
    for name, question in asked.items():
        runs = [trace(options.folder, question) for _ in range(options.rounds)]
        seconds = sorted(run["seconds"] for run in runs)
        found["questions"][name] = {
            "median_seconds": statistics.median(seconds),
            "most_seconds": seconds[-1],
            "most_memory_mb": max(run["memory_mb"] for run in runs),
        }
        print(name, found["questions"][name], flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def make_index(results: Path, asked: dict[str, list[str]]) -> dict[str, Any]:
    """Return seconds, memory and bytes of making the index of texts, and what making that of fewer sources takes."""
    for old in results.glob("lineage/index/*.parquet"):
        old.unlink()
    names = sorted(path.name for path in results.glob("sources/*"))
    part = names[: max(1, len(names) // PART)]
    tables = [results / "sources" / name / f"{kind}.parquet" for kind in ("queries", "corpus") for name in part]
    with tempfile.TemporaryDirectory(dir=results) as aside:
        index = Path(aside, "part.parquet")
        fewer = measure([sys.executable, "-c", INDEX, str(index), *map(str, tables)])
        fewer |= {"sources": len(part), "bytes": index.stat().st_size}
    made = trace(results, asked["like"])
    size = sum(path.stat().st_size for path in results.glob("lineage/index/*.parquet"))
    return made | {"bytes": size, "of_fewer": fewer}


def questions(results: Path) -> dict[str, list[str]]:
    """Return name -> arguments of `f2llm trace`, about the last source, which is found last."""
    name = sorted(path.name for path in results.glob("sources/*"))[-1]
    tuples, corpus = results / f"mined/m-1/{name}/tuples.parquet", results / f"sources/{name}/corpus.parquet"
    identity, query = ask("SELECT tuple_id, query_id FROM read_parquet(?) LIMIT 1 OFFSET 777", [tuples])[0]
    text = ask("SELECT text FROM read_parquet(?) LIMIT 1 OFFSET 777", [corpus])[0][0]
    words = text.split()
    return {
        "tuple": [identity.hex()],
        "query id": [query.hex()],
        "passage id": [doc_id(text).hex()],
        "unknown id": [f"{'0' if identity.hex()[0] != '0' else '1'}{identity.hex()[1:]}"],
        "step": ["--step", "1234"],
        "row": ["--row", f"{name}.jsonl:777"],
        "text": ["--text", text],
        "like": ["--like", " ".join([*words[:5], "changed", *words[6:]])],
        "source": ["--source", name],
        "licence": ["--licence", "CC0-1.0"],
        "model": ["--model", str(results / "runs" / RUN / "model")],
    }


def trace(results: Path, question: list[str]) -> dict[str, float]:
    """Return seconds and peak memory of one question."""
    return measure([sys.executable, "-m", "f2llm", "trace", *question, "--results", str(results)])


def measure(command: list[str]) -> dict[str, float]:
    """Return seconds and peak memory of one process."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", FRESH, *command], check=True, capture_output=True, text=True)
    seconds = time.monotonic() - started
    return {"seconds": round(seconds, 3), "memory_mb": int(done.stdout.split()[-1]) >> 10}


if __name__ == "__main__":
    main()
