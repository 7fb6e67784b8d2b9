"""docs/your-data.md, followed word for word with a small model, ends with a trained and scored one."""

import json
import re
from pathlib import Path

import yaml

from f2llm.records.files import read_json

ROOT = Path(__file__).parents[2]
PLACES = {"source": "sources/faq", "benchmark": "benchmarks/faq", "model": "models/mine", "run": "faq"}
SMALL = {
    "backbone": "mine", "retriever": "tiny-retriever", "tokens": {"query_max_length": 40, "passage_max_length": 16},
    "mine": {"max_length": 16, "negatives": 4, "skip": 1, "max_score": 2.0, "relative_margin": 0.0, "window": 60},
    "evaluate": {"max_length": 40, "precision": "float32", "gate": {"over_base_last": -100, "over_base_mean": -100}},
}  # fmt: skip


def test_the_three_files_of_the_page_make_a_model(fresh):
    rows = [json.loads(line) for line in (fresh.folder / "data/pairs.jsonl").read_text().splitlines()]
    faq = [{"question": row["query"], "answer": row["positive"], "topic": "things"} for row in rows]
    (fresh.folder / "data/faq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in faq))
    (fresh.folder / "models/mine").symlink_to(fresh.folder / "models/tiny")
    page = (ROOT / "docs" / "your-data.md").read_text()
    for kind, text in re.findall(r"```yaml (\w+)\n(.*?)```", page, re.DOTALL):
        content = yaml.safe_load(text) | (SMALL if kind == "run" else {})
        (fresh.folder / "config" / f"{PLACES.pop(kind)}.yaml").write_text(yaml.safe_dump(content))
    assert not PLACES
    fresh.run("--configfile", "config/faq.yaml")
    counts = read_json(fresh.folder / "results/lineage/jobs/normalise_source/faq.json")["counts"]
    assert counts["queries_kept"] == len(rows)
    assert read_json(fresh.folder / "results/runs/faq/gate.json")["passed"] is True
    assert (fresh.folder / "results/runs/faq/model/model.safetensors").is_file()
    assert "FaqRetrieval" in (fresh.folder / "results/report/index.html").read_text()
