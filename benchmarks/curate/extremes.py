"""What inputs that are built to hurt cost: very long texts, very many spellings of one, only short ones, only one."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.curate.rows import curate, write_source

LONG_CHARACTERS, SPELLINGS, SHORT = 10_000_000, 50_000, 200_000


def extremes(texts: Sequence[str]) -> dict[str, Any]:
    """Return cost, memory and what is left of each input, made of real passages."""
    long = "\n".join(texts)[:LONG_CHARACTERS]
    words = next(text for text in texts if len(text.split()) >= 40).split()[:40]
    cases = {
        "two texts of 10 MB, one of them with a word more": [long, long + " again"],
        "50,000 spellings of one text": [
            "".join(word + (", " if at >> place & 1 else " ") for place, word in enumerate(words))
            for at in range(SPELLINGS)
        ],
        "200,000 texts of four words": sorted({" ".join(text.split()[:4]) + f" {at}" for at, text in enumerate(texts)})[
            :SHORT
        ],
        "one text in 1,000 spacings": [
            " ".join(words[:2]) + " " * (1 + at) + " ".join(words[2:]) for at in range(SPELLINGS // 50)
        ],
    }
    return {name: _one(rows) for name, rows in cases.items()}


def _one(texts: Sequence[str]) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        write_source(Path(folder), texts)
        run = curate(Path(folder))
    counts = run["counts"]
    found = {
        "texts": counts["passages_in"],
        "characters": sum(map(len, texts)),
        "kept": counts["passages_out"],
        "candidates": counts["near_candidates"],
        "cpu_seconds": run["cpu_seconds"],
        "peak_memory_mb": run["peak_memory_mb"],
    }
    print(found, flush=True)
    return found
