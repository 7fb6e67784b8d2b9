"""Time the evaluation's encoder against sentence-transformers' `encode` on retrieval tasks, with the scores of both.

    python -m benchmarks.evaluate.encode results/benchmarks/NAME/data --out benchmarks/results/evaluate-encode.json

Each folder is the data of a retrieval task as an evaluation reads it (JSON lines of queries, corpus and relevant
passages). Arms in turns (A B A B), one thread, processor time of the process, with tokenising, pooling and
normalisation. The peer sorts by length and takes 32 texts a batch, its default. Scores are nDCG at 10, computed here.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import commit, machine, versions
from f2llm.models.device import resolve_precision

POOLING = "mean"
PEER = "peer float32"
Encode = Callable[[Sequence[str]], np.ndarray]


class Retrieval(NamedTuple):
    """A retrieval task: texts by id, and the relevant passages of each query."""

    queries: dict[str, str]
    corpus: dict[str, str]
    relevant: dict[str, dict[str, int]]


def main() -> None:
    """Run all arms on every task, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="data of retrieval tasks")
    parser.add_argument("--model", type=Path, default=Path("results/models/all-minilm-l6-v2/model"))
    parser.add_argument("--max-length", type=int, default=256, help="tokens; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
    import torch

    torch.set_num_threads(1)
    arms = encoders(options.model, max_length=options.max_length)
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit(), "tasks": {}}
    for folder in options.folders:
        name = folder.parent.name
        found["tasks"][name] = compared(arms, read_task(folder), rounds=options.rounds)
        print(name, json.dumps(found["tasks"][name], indent=1), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def read_task(folder: Path) -> Retrieval:
    """Read a task's JSON lines; a part is a file, or the file in a folder, named after it."""

    def rows(part: str) -> list[dict[str, Any]]:
        path = next(path for path in sorted(folder.rglob("*.jsonl")) if part in f"{path.parent.name} {path.stem}")
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    relevant: dict[str, dict[str, int]] = {}
    for row in rows("qrels"):
        relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = row["score"]
    queries = {row["_id"]: row["text"] for row in rows("queries") if row["_id"] in relevant}
    corpus = {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in rows("corpus")}
    return Retrieval(queries, corpus, relevant)


def encoders(folder: Path, *, max_length: int) -> dict[str, Encode]:
    """Return ours and the peer's in float32, and ours in bfloat16 where the processor computes in it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    from f2llm.models.encoder import Encoder

    def ours(precision: str) -> Encode:
        encoder = Encoder.load(folder, pooling=POOLING, max_length=max_length, precision=precision)
        return lambda texts: encoder.encode(texts, what="texts")

    body = Transformer(str(folder), max_seq_length=max_length)
    peer = SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension(), POOLING)], device="cpu")
    arms = {PEER: lambda texts: peer.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)}
    arms["ours float32"] = ours("float32")
    if resolve_precision("auto", device="cpu") == "bfloat16":
        arms["ours bfloat16"] = ours("bfloat16")
    return arms


def compared(arms: dict[str, Encode], task: Retrieval, *, rounds: int) -> dict[str, Any]:
    """Return the seconds of every arm and round, the ratios to the peer, and how far scores and vectors are off."""
    texts = [*task.queries.values(), *task.corpus.values()]
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    vectors = {arm: encode(texts[:64]) for arm, encode in arms.items()}  # warm-up
    for _ in range(rounds):
        for arm, encode in arms.items():
            began = time.process_time()
            vectors[arm] = np.asarray(encode(texts), np.float32)
            seconds[arm].append(round(time.process_time() - began, 3))
    scores = {arm: ndcg_at_10(rows, task) for arm, rows in vectors.items()}
    own = [arm for arm in arms if arm != PEER]
    return {
        "texts": len(texts),
        "cpu_seconds": seconds,
        "faster_by": {
            arm: statistics.median(a / b for a, b in zip(seconds[PEER], seconds[arm], strict=True)) for arm in own
        },
        "ndcg_at_10": scores,
        "score_differs_by": {arm: abs(scores[arm] - scores[PEER]) for arm in own},
        "largest_deviation_of_cosine": {arm: float(1 - (vectors[arm] * vectors[PEER]).sum(1).min()) for arm in own},
    }


def ndcg_at_10(vectors: np.ndarray, task: Retrieval) -> float:
    """Return the mean nDCG at 10 over all queries."""
    queries, passages, total = list(task.queries), list(task.corpus), 0.0
    cosines = vectors[: len(queries)] @ vectors[len(queries) :].T
    for query, row in zip(queries, cosines, strict=True):
        gains = task.relevant[query]
        ranked = [passages[at] for at in np.argsort(-row, kind="stable")[:10]]
        found = sum(gains.get(passage, 0) / np.log2(rank + 2) for rank, passage in enumerate(ranked))
        ideal = sum(gain / np.log2(rank + 2) for rank, gain in enumerate(sorted(gains.values(), reverse=True)[:10]))
        total += found / ideal
    return total / len(queries)


if __name__ == "__main__":
    main()
