"""A results folder of one generated run, as large as the paper's: tables with the real schemas, made-up words."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from f2llm.config.check import load_schema, with_defaults
from f2llm.records.files import sha256_file, write_json
from f2llm.records.ids import doc_id, query_id, tuple_id
from f2llm.records.schemas.curate import REMOVED
from f2llm.records.schemas.mine import REJECTED, TUPLES
from f2llm.records.schemas.plan import PLAN
from f2llm.records.schemas.sources import CORPUS, ORIGINS, QUERIES
from f2llm.records.tables import ROWS_PER_GROUP, write_table

TASK, NEGATIVES, DRAWN, BATCH = "retrieval", 24, 7, 512
VARIANTS = {"curated": "c-1", "mined": "m-1", "tokens": "t-1", "vectors": "v-1"}
WORDS = [
    f"{first}{second}{third}" for first in "bdfgklmnprst" for second in "aeiou" for third in ("n", "r", "st", "lo")
]


def write_run(results: Path, *, sources: int, tuples: int, passages: int) -> dict[str, int]:
    """Write the tables of a run "large": `tuples` and `passages` are of each source; return its sizes."""
    names = [f"source{number:02d}" for number in range(sources)]
    ids = [_source(results, name, tuples=tuples, passages=passages) for name in names]
    write_table(results / "runs/large/plan.parquet", schema=PLAN, rows=_plan(names, ids))
    plan_sha256 = sha256_file(results / "runs/large/plan.parquet")
    write_json(results / "runs/large/model/f2llm.json", {"digests": {"plan": plan_sha256}})
    run = {"settings": _settings(names), "variants": VARIANTS, "plan_sha256": plan_sha256}
    write_json(results / "runs/large/run.json", run)
    (results / "runs/large/checkpoints/1/step_000001").mkdir(parents=True, exist_ok=True)
    return {"sources": sources, "tuples": sources * tuples, "passages": sources * passages}


def _source(results: Path, name: str, *, tuples: int, passages: int) -> tuple[list[bytes], Any, Any, Any]:
    draw = random.Random(name)
    texts = _sorted(doc_id, (f"{name} {_words(draw, 24)} {row}" for row in range(passages)))
    asked = _sorted(lambda text: query_id(TASK, text), (f"{_words(draw, 12)} {name} {row}?" for row in range(tuples)))
    rows = np.random.default_rng(len(name) + draw.randrange(10**6))
    positive = rows.integers(0, passages, tuples, np.int32)
    made = [tuple_id(name, asked[0][row], texts[0][at]) for row, at in enumerate(positive.tolist())]
    order = np.argsort(np.array([int.from_bytes(one[:8]) for one in made], np.uint64))
    negatives = rows.integers(0, passages, (tuples, NEGATIVES), np.int32)
    _write_texts(results, name, texts, asked, positives=[[texts[0][at]] for at in positive.tolist()])
    _write_origins(results, name, texts[0], asked[0])
    write_table(
        results / "mined/m-1" / name / "tuples.parquet",
        schema=TUPLES,
        rows=_tuples(made, order, asked[0], positive, negatives),
    )
    write_table(results / "mined/m-1" / name / "rejected.parquet", schema=REJECTED, rows=[])
    removed = [{"id": texts[0][0], "role": "passage", "stage": "near", "reason": "a copy", "kept_id": texts[0][1]}]
    write_table(
        results / "curated/c-1" / name / "removed.parquet",
        schema=REMOVED,
        rows=[pa.Table.from_pylist(removed, schema=REMOVED)],
    )
    return [made[at] for at in order.tolist()], order.astype(np.int32), positive[order], negatives[order, :DRAWN]


def _tuples(made: list[bytes], order: Any, asked: list[bytes], positive: Any, negatives: Any) -> Any:
    for first in range(0, len(made), ROWS_PER_GROUP):
        part = order[first : first + ROWS_PER_GROUP]
        count = len(part)
        scores = pa.array(np.linspace(0.8, 0.3, NEGATIVES, dtype=np.float32).tolist() * count, pa.float32())
        offsets = pa.array(np.arange(count + 1, dtype=np.int32) * NEGATIVES)
        ranks = pa.array(list(range(6, 6 + NEGATIVES)) * count, pa.int32())
        kinds = pa.array(["mined"] * (NEGATIVES * count))
        lists = [pa.array(negatives[part].ravel()), scores, ranks, kinds]
        yield pa.table(
            [
                pa.array([made[at] for at in part.tolist()], pa.binary(16)),
                pa.array([asked[at] for at in part.tolist()], pa.binary(16)),
                pa.array(part.astype(np.int32)),
                pa.array(positive[part]),
                pa.array(np.full(count, 0.9, np.float32)),
                pa.array(np.ones(count, np.int32)),
                *(pa.ListArray.from_arrays(offsets, values) for values in lists),
            ],
            names=TUPLES.names,
        )


def _write_texts(results: Path, name: str, texts: Any, asked: Any, *, positives: list[list[bytes]]) -> None:
    for folder in ("sources", "curated/c-1"):
        corpus = {"doc_id": texts[0], "text": texts[1], "content_key": [one.hex() for one in texts[0]]}
        write_table(results / folder / name / "corpus.parquet", schema=CORPUS, rows=[_table(CORPUS, corpus)])
        count = len(asked[0])
        queries = {
            "query_id": asked[0], "text": asked[1], "positives": positives, "negatives": [[]] * count,
            "label": [None] * count, "grade": [None] * count, "group": ["row"] * count, "split": ["train"] * count,
        }  # fmt: skip
        write_table(results / folder / name / "queries.parquet", schema=QUERIES, rows=[_table(QUERIES, queries)])
    file = {"name": f"{name}.jsonl", "bytes": 10, "sha256": "a" * 64}
    write_json(
        results / "sources" / name / "manifest.json",
        {"source": name, "task": TASK, "licence": _licence(name), "files": [file]},
    )


def _write_origins(results: Path, name: str, texts: list[bytes], asked: list[bytes]) -> None:
    size = len(texts) + len(asked)
    columns = {
        "file": [f"{name}.jsonl"] * size, "row": list(range(size)), "field": ["text"] * size,
        "role": ["passage"] * len(texts) + ["query"] * len(asked), "id": [*texts, *asked],
    }  # fmt: skip
    write_table(results / "sources" / name / "origins.parquet", schema=ORIGINS, rows=[_table(ORIGINS, columns)])


def _plan(names: list[str], ids: list[Any]) -> Any:
    """Yield the plan: batches of one source each, the sources in turn."""
    count = len(ids[0][0])
    step = 0
    for first in range(0, count, BATCH):
        for name, (made, query_rows, positive, negatives) in zip(names, ids, strict=True):
            size = min(BATCH, count - first)
            at = np.arange(first, first + size, dtype=np.int32)
            offsets = pa.array(np.arange(size + 1, dtype=np.int32) * DRAWN)
            zeros = np.zeros(size, np.int32)
            drawn = pa.array(np.tile(np.arange(DRAWN, dtype=np.int16), size))
            columns = [
                zeros, zeros + step, np.arange(size, dtype=np.int32), zeros.astype(np.int16), [name] * size,
                pa.array(made[first : first + size], pa.binary(16)), at, query_rows[at], positive[at],
                pa.ListArray.from_arrays(offsets, drawn),
                pa.ListArray.from_arrays(offsets, pa.array(negatives[at].ravel())),
                zeros + 300, ["main"] * size,
            ]  # fmt: skip
            yield pa.table([pa.array(one) for one in columns], names=PLAN.names)
            step += 1


def _sorted(identify: Any, texts: Any) -> tuple[list[bytes], list[str]]:
    pairs = sorted((identify(text), text) for text in texts)
    return [one for one, _ in pairs], [text for _, text in pairs]


def _words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count))


def _table(schema: pa.Schema, columns: dict[str, Any]) -> pa.Table:
    return pa.table(columns, schema=schema)


def _licence(name: str) -> dict[str, str]:
    return {"id": "CC0-1.0" if name.endswith("0") else "MIT", "commercial": "yes", "note": ""}


def _settings(names: list[str]) -> dict[str, Any]:
    stage = {
        "mine": {"max_length": 8, "window": 10, "skip": 1, "negatives": NEGATIVES},
        "train": {"steps": 2, "batch_size": BATCH, "negatives": DRAWN, "learning_rate": 0.1, "warmup_steps": 0},
    }
    filled = {key: with_defaults(value, load_schema("config")["properties"][key]) for key, value in stage.items()}
    sources = [with_defaults(_stanza(name), load_schema("source")) for name in names]
    models = {role: with_defaults(_model(role), load_schema("model")) for role in ("backbone", "retriever")}
    return {"sources": sources, "barred": [], **filled, **models}


def _stanza(name: str) -> dict[str, Any]:
    return {
        "name": name, "task": TASK, "fetch": [], "adapter": "pairs", "options": {}, "instruction": "Find it.",
        "licence": _licence(name), "reference": "made up", "group": "row",
    }  # fmt: skip


def _model(name: str) -> dict[str, Any]:
    return {
        "name": name, "fetch": {"kind": "local", "path": name}, "format": "folder", "member": "", "pooling": "last",
        "append_eos": True, "query_prompt": "", "licence": _licence(name), "reference": "made up",
    }  # fmt: skip
