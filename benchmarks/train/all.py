"""Compare training speed on the CPU, arm against arm, on batches with F2LLM's lengths.

    python -m benchmarks.train.all --out benchmarks/results/train-cpu.json
    python -m benchmarks.train.all --backbone results/models/smollm2-135m-8l/model --batches 4 --rounds 2 --out ...
    python -m benchmarks.train.all --upstream ../CodeFuse-Embeddings --arms ours,upstream

Arms take turns in one process (A B A B), each from the same weights over the same batches, with one
thread in float32; what counts is processor time. What the figures mean: docs/benchmarks.md.
"""

import argparse
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# One thread, said before numpy and torch start theirs.
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

import torch  # noqa: E402
from transformers.utils.logging import disable_progress_bar  # noqa: E402

from benchmarks.machine import commit, machine, versions  # noqa: E402
from benchmarks.train.arms import Job  # noqa: E402
from benchmarks.train.compare import ARMS, SAME_MATHEMATICS, agreement, compare, peak_memory  # noqa: E402
from benchmarks.train.host import host_cost  # noqa: E402
from benchmarks.train.shares import shares  # noqa: E402
from benchmarks.train.token_batches import draw_batches, with_tokenizer, write_random_qwen3  # noqa: E402

RANDOM = "random-qwen3-2x256"
DEFAULT_ARMS = "ours,upstream_like,sentence_transformers,sentence_transformers_cached"


def main() -> None:
    """Measure, print a table, and put the figures into the file under the model's name."""
    options = parse_options()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for noisy in ("sentence_transformers", "transformers", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    disable_progress_bar()
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        found = measure(options, scratch=Path(scratch))
    print(table(found))
    if options.out:
        known = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
        known[found["model"]] = found
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--backbone", type=Path, help=f"a plain transformers folder (default: {RANDOM}, written anew)")
    add("--arms", default=DEFAULT_ARMS, help=f"comma-separated, of {', '.join(ARMS)} (default: all but upstream)")
    add("--upstream", type=Path, help="a checkout of codefuse-ai/CodeFuse-Embeddings; adds the arm upstream")
    add("--batches", type=int, default=16, help="batches a round, of F2LLM's mixture (default: 16)")
    add("--tuples", type=int, default=12, help="tuples a batch (default: 12)")
    add("--rounds", type=int, default=3, help="times every arm takes its turn (default: 3)")
    add("--sigma", type=float, default=0.6, help="spread of the log-normal lengths (default: 0.6)")
    add("--seed", type=int, default=0, help="of lengths and tokens (default: 0)")
    add("--learning-rate", type=float, default=1e-4, help="constant (default: 1e-4)")
    add("--only-speed", action="store_true", help="leave out agreement, memory, shares and host cost")
    add("--out", type=Path, help="JSON file; other models' figures in it are kept")
    options = parser.parse_args(arguments)
    options.arms = options.arms.split(",") + (["upstream"] if options.upstream else [])
    options.arms = list(dict.fromkeys(options.arms))
    unknown = sorted(set(options.arms) - set(ARMS))
    if unknown or ("upstream" in options.arms and not options.upstream):
        parser.error(f"unknown arm {', '.join(unknown)}" if unknown else "the arm upstream needs --upstream")
    return options


def measure(options: argparse.Namespace, *, scratch: Path) -> dict[str, Any]:
    """Return all figures of one model."""
    if options.backbone:
        folder, name = with_tokenizer(options.backbone, scratch / "model"), options.backbone.resolve()
        name = name.parent.name if name.name == "model" else name.name
    else:
        folder, name = write_random_qwen3(scratch / "model"), RANDOM
    batches = draw_batches(batches=options.batches, tuples=options.tuples, seed=options.seed, sigma=options.sigma)
    job = Job(folder, batches, options.learning_rate, upstream=options.upstream)
    found: dict[str, Any] = {
        "model": name, "machine": machine(), "versions": versions(), "commit": commit(),
        "settings": {
            "batches": options.batches, "tuples_per_batch": options.tuples, "rounds": options.rounds,
            "sigma": options.sigma, "seed": options.seed, "learning_rate": options.learning_rate, "threads": 1,
            "precision": "float32",
        },
    }  # fmt: skip
    if not options.only_speed:
        same = [arm for arm in options.arms if arm in SAME_MATHEMATICS]
        found["agreement_with_ours"] = {arm: agreement(job, arm=arm) for arm in same}
        found["peak_memory"] = {arm: peak_memory(job, arm=arm) for arm in options.arms}
        found["shares"] = shares(seed=options.seed, sigma=options.sigma)
        found["host"] = host_cost(seed=options.seed)
    return found | compare(job, arms=options.arms, rounds=options.rounds)


def table(found: Mapping[str, Any]) -> str:
    """Return the figures of the arms as a few lines of text."""
    lines = [f"{'arm':30}{'tuples/CPU s':>14}{'ours is faster by':>26}{'computed/useful':>17}{'peak MB':>10}"]
    for arm, speed in found["arms"].items():
        ratio = speed.get("ours_times_faster")
        faster = f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
        peak = found.get("peak_memory", {}).get(arm, {}).get("peak_mb", float("nan"))
        lines.append(
            f"{arm:30}{speed['tuples_per_cpu_second']:14.2f}{faster:>26}{speed['computed_per_useful']:17.3f}{peak:10.0f}"
        )
    for arm, close in found.get("agreement_with_ours", {}).items():
        close = close | {"weights_difference_relative": found["weights_after_a_round_difference_relative"][arm]}
        lines.append(f"{arm} against ours: " + ", ".join(f"{key} {value:.1e}" for key, value in close.items()))
    for row in found.get("shares", ()):
        lines.append(", ".join(f"{key} {value:.4g}" for key, value in row.items()))
    for corpus, cost in found.get("host", {}).items():
        lines.append(f"{corpus}: " + ", ".join(f"{key} {value:.3g}" for key, value in cost.items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
