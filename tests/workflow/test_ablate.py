"""Ablations of a toy run: what they share, and what they say."""

import subprocess
import sys

import yaml

from f2llm.evaluate.ablation import MEAN
from f2llm.records.files import read_json, sha256_file
from f2llm.records.tables import read_table


def times(folder, pattern):
    return {path: path.stat().st_mtime_ns for path in (folder / "results").glob(pattern)}


def test_ablations_share_every_cached_stage_and_say_what_they_did(copied):
    config = copied.folder / "config/config.yaml"
    content = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(content | {"ablate": "leave_one_source_out"}))
    shared = times(copied.folder, "sources/**/*.parquet") | times(copied.folder, "mined/**/*.parquet")
    before = sha256_file(copied.folder / "results/runs/toy/model/model.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "f2llm", "ablate"], cwd=copied.folder, env=copied.environment(), capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert times(copied.folder, "sources/**/*.parquet") | times(copied.folder, "mined/**/*.parquet") == shared
    assert sha256_file(copied.folder / "results/runs/toy/model/model.safetensors") == before
    names = [f"toy-without-{name}" for name in content["sources"]]
    for name, source in zip(names, content["sources"], strict=True):
        trained = read_json(copied.folder / f"results/runs/{name}/run.json")["settings"]["sources"]
        assert source not in {one["name"] for one in trained}
    effects = read_table(copied.folder / "results/ablations/toy/scores.parquet").to_pylist()
    assert [(one["run"], one["task"]) for one in effects if one["task"] == MEAN] == [(name, MEAN) for name in names]
    assert len(effects) == len(names) * 4
    assert read_json(copied.folder / "results/scores/scoreboard.json")["run"] == "toy"
    assert "less toy" in done.stdout
    page = (copied.folder / "results/ablations/toy/index.html").read_text()
    assert "sources: toy_topics is left out" in page
    assert all(f"without-{name}" in page for name in content["sources"])
