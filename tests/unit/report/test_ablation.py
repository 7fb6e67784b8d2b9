import re

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.records.files import read_json, write_json
from f2llm.report.ablation import write_comparison


def effect(run, task, points, low=None, high=None, real=None):
    return {"run": run, "task": task, "source": "toy", "before": 50.0, "after": 50.0 + points, "points": points, "low": low, "high": high, "real": real}  # fmt: skip


def test_runs_stand_beside_the_first_with_what_differs_and_what_it_did(results, tmp_path):
    content = read_json(results / "runs/toyrun/run.json")
    content["settings"]["train"]["learning_rate"] = 0.25
    write_json(results / "runs/toyrun-fast/run.json", content)
    (results / "runs/toyrun-fast/plan.parquet").write_bytes((results / "runs/toyrun/plan.parquet").read_bytes())
    rows = [
        effect("toyrun-fast", "<Task>", -3.25, -5.0, -1.0, True),
        effect("toyrun-fast", "Clusters", 1.0),
        effect("toyrun-fast", "mean of tasks", -1.25),
        effect("toyrun-fast", "mean of tasks with intervals", -3.25, -5.0, -1.0, True),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
    assert write_comparison(results, "toyrun", tmp_path / "scores.parquet", tmp_path / "index.html") == 1
    html = (tmp_path / "index.html").read_text()
    assert "settings: train.learning_rate: 0.1 -&gt; 0.25" in html
    assert html.count("-3.2* (-5.0 .. -1.0)") == 2
    assert '<tr class="mean"><td>mean of tasks</td>' in html and '<td class="n">-1.2</td>' in html
    assert "&lt;Task&gt;" in html and "<Task>" not in html
    assert "<script" not in html and "<svg" in html
    assert not re.search(r'(src|href)="(?!#)', html)
