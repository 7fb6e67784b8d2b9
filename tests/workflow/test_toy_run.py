"""The whole DAG on toy data with a tiny random model: it runs, it is done, it is the same again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from f2llm.records.files import read_json, sha256_file

TABLES = ("corpus", "queries", "origins", "removed", "near", "tuples", "rejected", "plan")


def tables(folder: Path) -> dict[str, str]:
    found = sorted(
        path for path in (folder / "results").rglob("*.parquet") if path.stem in TABLES and "report" not in path.parts
    )
    return {str(path.relative_to(folder)): sha256_file(path) for path in found}


def test_a_run_ends_with_model_scoreboard_report_and_gain(finished):
    results = finished.folder / "results"
    assert (results / "runs/toy/model/model.safetensors").is_file()
    assert (results / "scores/scoreboard.parquet").is_file()
    assert "<html" in (results / "report/index.html").read_text()
    assert read_json(results / "runs/toy/gate.json")["passed"] is True


def test_a_finished_run_has_nothing_to_do(finished):
    assert finished.planned() == {}
    assert "Nothing to be done" in finished.run().stderr


def test_every_job_left_a_manifest(finished):
    manifests = list((finished.folder / "results/lineage/jobs").rglob("*.json"))
    rules = {read_json(path)["rule"] for path in manifests}
    assert {"fetch_source", "normalise_source", "curate_source", "mine_source", "plan_run", "train_model"} <= rules
    for path in manifests:
        manifest = read_json(path)
        assert manifest["code"], path
        assert all(len(digest) == 64 for digest in manifest["outputs"].values())


def test_the_exported_model_loads_and_its_prompts_name_the_sources(finished):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(finished.folder / "results/runs/toy/model"), device="cpu")
    assert "toy_pairs" in model.prompts
    assert model.encode(["where is the apple?"], prompt_name="toy_pairs").shape == (1, 32)


def test_killed_jobs_and_a_killed_workflow_end_with_the_same_tables(finished, fresh):
    process = subprocess.Popen(
        fresh.command("train"), cwd=fresh.folder, env=fresh.environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((fresh.folder / "results").rglob("tuples.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    subprocess.run(["pkill", "-9", "-s", str(process.pid)], check=False)
    assert process.wait() == -signal.SIGKILL

    fresh.run("train")

    assert not list((fresh.folder / "results").rglob("*.part"))
    assert tables(fresh.folder) == tables(finished.folder)
    weights = "results/runs/toy/model/model.safetensors"
    assert sha256_file(fresh.folder / weights) == sha256_file(finished.folder / weights)


def test_a_comment_re_runs_nothing_and_a_changed_line_what_depends_on_it(copied):
    rule = copied.folder / "f2llm/mine/select.py"
    rule.write_text("# a comment\n" + rule.read_text())
    assert copied.planned() == {}

    rule.write_text(rule.read_text() + "\nANOTHER_CONSTANT = 1\n")
    planned = copied.planned()
    assert planned["mine_source"] == 3
    assert {"plan_run", "train_model", "build_report"} <= set(planned)
    assert not {"fetch_source", "normalise_source", "curate_source", "prepare_model", "build_task"} & set(planned)


def test_changing_one_stanza_re_runs_that_source_and_what_follows(copied):
    stanza = copied.folder / "config/sources/toy_topics.yaml"
    stanza.write_text(stanza.read_text() + "max_queries: 30\n")
    planned = copied.planned()
    assert planned["curate_source"] == 1
    assert planned["mine_source"] == 1


def test_a_data_file_replaced_by_an_older_one_is_read_again(copied):
    data = copied.folder / "data/pairs.jsonl"
    older = data.with_name("older.jsonl")
    older.write_text(data.read_text().replace(" is ", " was "))
    os.utime(older, (1_700_000_000, 1_700_000_000))
    os.replace(older, data)
    planned = copied.planned()
    assert planned["fetch_source"] == 1
    assert {"normalise_source", "curate_source", "train_model"} <= set(planned)


def test_a_data_file_edited_in_place_with_its_size_and_date_kept_is_read_again(copied):
    data, model = copied.folder / "data/pairs.jsonl", copied.folder / "models/tiny/config.json"
    for path, before, after in ((data, "apple", "maple"), (model, "0.02", "0.03")):
        stat, text = path.stat(), path.read_text()
        assert before in text
        with open(path, "r+") as file:
            file.write(text.replace(before, after))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    planned = copied.planned()
    assert (planned["fetch_source"], planned["prepare_model"]) == (1, 1)


def test_a_data_file_that_is_only_touched_re_runs_nothing(copied):
    for path in ("data/pairs.jsonl", "data/topics.jsonl", "models/tiny/model.safetensors"):
        (copied.folder / path).touch()
    assert copied.planned() == {}


def test_flipped_bytes_are_refused_by_the_next_job_and_made_anew_as_its_message_says(copied, finished):
    [table] = (copied.folder / "results/curated").glob("*/toy_pairs/queries.parquet")
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    done = copied.run("mine", check=False)
    name = str(table.relative_to(copied.folder))
    assert done.returncode != 0
    assert f"{name}: is not what curate_source toy_pairs wrote" in done.stderr
    assert f"make it anew with `snakemake --cores all --force {name}`" in done.stderr
    copied.run("--force", name)
    assert tables(copied.folder)[name] == tables(finished.folder)[name]


def test_accepted_outputs_are_not_made_again_and_that_is_on_record(copied):
    rule = copied.folder / "f2llm/mine/select.py"
    rule.write_text(rule.read_text() + "\nANOTHER_CONSTANT = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "f2llm", "accept", "a constant that nobody reads"],
        cwd=copied.folder, env=copied.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert copied.planned() == {}
    assert "a constant that nobody reads" in (copied.folder / "results/lineage/accepted.jsonl").read_text()


@pytest.mark.parametrize("board", ["scoreboard", "models/scoreboard"])
def test_published_results_are_inputs_of_a_scoreboard(fresh, board):
    for path in ("org__a/r/ToyPairs.json", "org__b/r/ToyTopics.json", "org__b/r/Other.json"):
        (fresh.folder / "lb" / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh.folder / "lb" / path).write_text("{}")
    gate = {"over_base_last": -100, "over_base_mean": -100}
    fresh.configure(evaluate={"max_length": 40, "precision": "float32", "gate": gate, "leaderboard": "lb"})
    planned = fresh.run("-n", f"results/scores/{board}.parquet").stdout
    assert {path for path in planned.replace(",", " ").split() if path.startswith("lb/")} == {
        "lb/org__a/r/ToyPairs.json",
        "lb/org__b/r/ToyTopics.json",
    }


def test_settings_that_decide_no_score_score_nothing_anew(copied):
    path = copied.folder / "config/benchmarks/toy.yaml"
    stanza = yaml.safe_load(path.read_text())
    for task in stanza["tasks"]:
        task["tiers"] = ["full"]
    path.write_text(yaml.safe_dump(stanza))
    assert not [rule for rule in copied.planned() if rule.startswith("evaluate")]


def test_a_model_with_its_own_length_is_not_scored_anew_for_that_of_the_others(copied):
    scored = {"models": [{"model": "tiny-retriever", "max_length": 40, "precision": "float32"}], "precision": "float32"}
    gate = {"over_base_last": -100, "over_base_mean": -100}
    copied.configure(evaluate=scored | {"max_length": 32, "gate": gate})
    planned = {rule for rule in copied.planned() if rule.startswith("evaluate")}
    assert planned == {"evaluate_run_small", "evaluate_base_small"}
