"""Time the encoder against sentence-transformers' `encode` on real passages and queries, with its deviation.

    python -m benchmarks.mine.encode --out benchmarks/results/mine-encode.json

The retriever of the embedded default encodes passages of its sources (`make run TARGETS=mine` makes both), in
turns (A B A B), one thread, processor time of the process. Ours includes what mining does: tokenising, fixed shapes,
pooling and normalisation in float32. Deviation is 1 - cosine to the peer's float32 vectors.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import commit, machine, versions
from benchmarks.mine.data import read_sources
from f2llm.models.device import resolve_precision

MODEL = "all-minilm-l6-v2"
POOLING = "mean"


def main() -> None:
    """Run all arms on passages and queries, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: %(default)s")
    parser.add_argument("--texts", type=int, default=1536, help="of each kind; default: %(default)s")
    parser.add_argument("--max-length", type=int, default=256, help="tokens; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
    import torch

    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit(), "cases": {}}
    sources = read_sources(options.results)
    kinds = {
        "functions": sources["code"].passage_texts,
        "articles": sources["news"].passage_texts,
        "terms": sources["icd_term"].passage_texts,
    }
    arms = encoders(options.results / "models" / MODEL / "model", max_length=options.max_length)
    for kind, texts in kinds.items():
        found["cases"][kind] = compared(arms, texts[: options.texts], rounds=options.rounds)
        print(kind, json.dumps(found["cases"][kind], indent=1), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def encoders(folder: Path, *, max_length: int) -> dict[str, Callable[[Sequence[str]], np.ndarray]]:
    """Return ours and the peer's in float32, and in bfloat16 where the processor computes in it."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    from f2llm.models.encoder import Encoder

    def ours(precision: str) -> Callable[[Sequence[str]], np.ndarray]:
        encoder = Encoder.load(folder, pooling=POOLING, max_length=max_length, precision=precision, device="cpu")
        return lambda texts: encoder.encode(texts, what="texts")

    def peer(dtype: Any) -> Callable[[Sequence[str]], np.ndarray]:
        body = Transformer(str(folder), max_seq_length=max_length)
        model = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), POOLING)], device="cpu")
        model.to(dtype)
        return lambda texts: model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    arms = {"ours float32": ours("float32"), "peer float32": peer(torch.float32)}
    if resolve_precision("auto", device="cpu") == "bfloat16":
        arms |= {"ours bfloat16": ours("bfloat16"), "peer bfloat16": peer(torch.bfloat16)}
    return arms


def compared(
    arms: dict[str, Callable[[Sequence[str]], np.ndarray]], texts: Sequence[str], *, rounds: int
) -> dict[str, Any]:
    """Return the seconds of every arm and round, the ratios to the peer's float32, and the deviations from it."""
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    vectors = {arm: encode(texts[:64]) for arm, encode in arms.items()}  # warm-up
    for _ in range(rounds):
        for arm, encode in arms.items():
            began = time.process_time()
            vectors[arm] = np.asarray(encode(texts), np.float32)
            seconds[arm].append(time.process_time() - began)
    base = vectors["peer float32"]
    away = {arm: float(1 - (rows * base).sum(1).min() / 1) for arm, rows in vectors.items()}
    names = {
        "float32": ("peer float32", "ours float32"), "bfloat16": ("peer float32", "ours bfloat16"),
        "bfloat16, both": ("peer bfloat16", "ours bfloat16"),
    }  # fmt: skip
    faster = {
        name: statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))
        for name, (one, other) in names.items()
        if other in arms
    }
    difference = float(np.abs(vectors["ours float32"] - base).max())
    return {
        "texts": len(texts), "characters": statistics.mean(map(len, texts)), "cpu_seconds": seconds,
        "faster_by": faster, "largest_deviation_of_cosine": away, "largest_difference_float32": difference,
    }  # fmt: skip


if __name__ == "__main__":
    main()
