import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.records.files import read_json, write_json
from f2llm.report.comparison import build_ablation


def effect(run, task, points, low=None, high=None, real=None):
    return {"run": run, "task": task, "source": "toy", "before": 50.0, "after": 50.0 + points, "points": points, "low": low, "high": high, "real": real}  # fmt: skip


def test_runs_stand_beside_the_first_with_what_differs_and_what_it_did(results, tmp_path):
    shutil.copytree(results / "runs/toyrun", results / "runs/toyrun-fast")
    content = read_json(results / "runs/toyrun/run.json")
    content["settings"]["train"]["learning_rate"] = 0.25
    write_json(results / "runs/toyrun-fast/run.json", content)
    rows = [
        effect("toyrun-fast", "<Task>", -3.25, -5.0, -1.0, True),
        effect("toyrun-fast", "Clusters", 1.0),
        effect("toyrun-fast", "mean of tasks", -1.25),
        effect("toyrun-fast", "mean of tasks with intervals", -3.25, -5.0, -1.0, True),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "scores.parquet")
    page = tmp_path / "index.html"
    assert build_ablation(results, run="toyrun", table=tmp_path / "scores.parquet", output=page) == 1
    html = (tmp_path / "index.html").read_text()
    assert "settings: train.learning_rate: 0.1 -&gt; 0.25" in html
    assert html.count("more than chance (-5.0 .. -1.0)") == 2 and html.count('<td class="n">-3.2</td>') == 4
    assert '<tr class="mean"><td>mean of tasks</td>' in html and '<td class="n">-1.2</td>' in html
    assert "<th>drawn from</th>" in html and "<td>toy</td>" in html
    assert "Missing" not in html
    assert "&lt;Task&gt;" in html and "<Task>" not in html
    assert "<script" not in html and "<svg" in html
    assert not re.search(r'(src|href)="(?!#)', html)
