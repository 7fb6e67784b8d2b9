r"""Curation measured: cost beside peers, growth and memory, rightness, leaks found, the same bytes, bad input.

    python -m benchmarks.curate.passages --sources results/sources --out /tmp/passages.parquet
    python -m benchmarks.curate.all all --passages /tmp/passages.parquet --out benchmarks/results/curate.json \
        --datatrove /tmp/datatrove/bin/python --text-dedup /tmp/text-dedup/bin/python

datatrove and text-dedup do not go with this project's pins: they are run by interpreters of their own, and left out
where none is given. Parts can be run alone; the JSON keeps what the others found.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.machine import commit, machine, versions

PARTS = ("peers", "growth", "pairs", "planted", "leaks", "bytes", "extremes")


def main() -> None:
    """Run the parts asked for and merge what they found into the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=(*PARTS, "all"))
    parser.add_argument("--passages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--datatrove", help="interpreter that has datatrove")
    parser.add_argument("--text-dedup", help="interpreter that has text-dedup")
    parser.add_argument("--rounds", type=int, default=2, help="of the comparison; default: %(default)s")
    parser.add_argument("--size", type=int, help="passages of every part instead of its own number, for a trial")
    options = parser.parse_args()
    for part in PARTS if "all" in options.parts else options.parts:
        found = run_part(part, options)
        content = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
        packages = {name: version(name) for name in ("rensa", "datasketch", "duckdb", "scipy", "regex", "rapidfuzz")}
        content[part] = {"machine": machine(), "versions": versions() | packages, "commit": commit(), **found}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(part, json.dumps(found, indent=1), flush=True)


def run_part(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one part with its own number of passages."""
    from benchmarks.curate.bytes import same_bytes
    from benchmarks.curate.cost import growth, peers
    from benchmarks.curate.extremes import extremes
    from benchmarks.curate.leaks import leaks
    from benchmarks.curate.quality import all_pairs, planted
    from benchmarks.curate.rows import read_passages

    def texts(count: int | None, **chosen: bool) -> list[str]:
        return read_passages(options.passages, options.size or count, **chosen)

    if part == "peers":
        return peers(texts(100_000), rounds=options.rounds, datatrove=options.datatrove, text_dedup=options.text_dedup)
    if part == "growth":
        every = texts(None)
        return growth(every, sizes=[len(every) // 8, len(every) // 4, len(every) // 2, len(every)])
    if part == "pairs":
        return all_pairs(texts(46_000))
    if part == "planted":
        return planted(texts(100_000), origins=texts(100_000, prose=True), each=90, seed=11)
    if part == "leaks":
        return leaks(texts(80_000), drawn=texts(None, prose=True)[-40_000:], each=600, seed=5)
    if part == "extremes":
        return extremes(texts(200_000))
    return same_bytes(texts(50_000), kills=8, seed=3)


if __name__ == "__main__":
    main()
