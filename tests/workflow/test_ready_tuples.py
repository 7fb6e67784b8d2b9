"""Tuples made elsewhere enter after mining, decontaminated like all others, and ours can be compared with them."""

import json

import pyarrow.parquet as pq
import yaml

from f2llm.records.files import read_json

STANZA = {
    "name": "toy_ready", "task": "retrieval", "ready": True, "held_out": False,
    "fetch": [{"kind": "local", "path": "data/ready.jsonl"}], "adapter": "pairs",
    "options": {"query": "query", "positive": "passage", "negatives": ["negative_1", "negative_2", "negative_3"]},
    "instruction": "Solve it.", "licence": {"id": "CC0-1.0", "commercial": "yes"}, "reference": "made up",
    "group": "row",
}  # fmt: skip


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def test_ready_tuples_are_decontaminated_trained_on_and_compared(fresh):
    rows = [json.loads(line) for line in (fresh.folder / "data/pairs.jsonl").read_text().splitlines()][:40]
    ready = [
        {
            "query": row["query"], "passage": row["positive"], "negative_1": rows[at - 1]["positive"],
            "negative_2": rows[at - 2]["positive"],
            "negative_3": row["positive"],  # a copy of the positive: never a negative
        }
        for at, row in enumerate(rows)
    ]  # fmt: skip
    (fresh.folder / "data/ready.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ready))
    (fresh.folder / "config/sources/toy_ready.yaml").write_text(yaml.safe_dump(STANZA))
    fresh.configure(sources=["toy_pairs", "toy_ready"], compare={"toy_pairs": "toy_ready"}, benchmark="toy-alone")
    tasks = [
        {"name": "ToyPairs", "type": "retrieval", "source": "toy_pairs", "split": "test", "queries": 10, "passages": 60}
    ]
    (fresh.folder / "config/benchmarks/toy-alone.yaml").write_text(
        yaml.safe_dump({"name": "toy-alone", "tasks": tasks})
    )
    fresh.run("compare", "results/runs/toy/plan.parquet")

    made = pq.read_table(only(fresh.folder, "results/mined/*/toy_ready/tuples.parquet")).to_pylist()
    assert all(row["negative_kinds"] == ["given"] * 2 and row["positive_score"] is None for row in made)
    manifest = read_json(only(fresh.folder, "results/lineage/jobs/curate_source/*/toy_ready.json"))
    assert 0 < len(made) < len(ready), manifest["counts"]  # held-out questions of toy_pairs are gone
    plan = pq.read_table(fresh.folder / "results/runs/toy/plan.parquet", columns=["source"])
    assert "toy_ready" in plan["source"].to_pylist()

    figures = read_json(only(fresh.folder, "results/mined/*/toy_pairs/released.json"))
    ours = pq.read_table(only(fresh.folder, "results/mined/*/toy_pairs/tuples.parquet")).num_rows
    assert figures["common"] + figures["ours_only"] == ours
    assert figures["common"] + figures["theirs_only"] == len(ready)
    assert figures["same_positive"] == figures["common"] > 0
