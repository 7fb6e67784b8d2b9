"""Verify and trace over a real toy run."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from f2llm.lineage.trace.question import Question, answer
from f2llm.lineage.verify.findings import CHANGED, INTACT, UNCHECKED
from f2llm.lineage.verify.verify import verify_files
from f2llm.records.tables import read_table

# Caches of no content, and the manifests that nothing after them seals.
UNSEALED = (".lock", ".snakemake_timestamp") + tuple(
    f"{rule}/toy.json" for rule in ("check_gate", "build_report", "write_crate", "compare_estimate", "estimate_run")
)


def f2llm(toy, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "f2llm", *arguments], cwd=toy.folder, env=toy.environment(), capture_output=True, text=True, check=False
    )  # fmt: skip


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def results(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verified") / "results"
    shutil.copytree(finished.folder / "results", folder, symlinks=True)
    for name in ("data", "models", "config"):
        shutil.copytree(finished.folder / name, folder.parent / name)
    return folder


def test_an_untouched_run_is_intact(results):
    findings = verify_files(results, "toy")
    assert {one.path for one in findings if one.state == CHANGED} == set()
    assert {one.path for one in findings if one.state == UNCHECKED} == {"results/runs/toy/tensorboard"}
    assert sum(one.state == INTACT for one in findings) > 100


def test_a_flipped_byte_in_any_file_is_found_and_named(results):
    files = [path for path in sorted(results.rglob("*")) if path.is_file() and path.stat().st_size]
    files = [path for path in files if not str(path).endswith(UNSEALED) and "tensorboard" not in path.parts]
    crate = [path for path in files if "ro-crate" in path.parts]
    unnoticed = []
    for path in [path for path in files if path not in crate] + crate[:3]:  # its files have one hash
        before = path.read_bytes()
        flip(path)
        changed = [Path(one.path) for one in verify_files(results, "toy") if one.state == CHANGED]
        path.write_bytes(before)
        name = Path("results", path.relative_to(results))
        named = [
            one for one in changed if one == name or one in name.parents or one.with_suffix("") == name.with_suffix("")
        ]
        unnoticed += [] if named else [str(name)]
    assert len(files) > 150
    assert unnoticed == []


def test_local_files_that_a_run_read_are_checked_too(results):
    path = results.parent / "data/pairs.jsonl"
    before = path.read_bytes()
    flip(path)
    changed = {one.path for one in verify_files(results, "toy") if one.state == CHANGED}
    path.write_bytes(before)
    assert changed == {"data/pairs.jsonl"}


def test_a_deleted_table_and_a_foreign_file_are_told_apart(results):
    table = next((results / "curated").rglob("queries.parquet"))
    aside = table.rename(results.parent / "aside")
    foreign = results / "runs/toy/notes.txt"
    foreign.write_text("mine")
    findings = {one.path: one.state for one in verify_files(results, "toy")}
    foreign.unlink()
    aside.rename(table)
    assert findings[str(Path("results", table.relative_to(results)))] == CHANGED
    assert findings["results/runs/toy/notes.txt"] == UNCHECKED


def test_verify_makes_a_sample_again_out_of_the_raw_files(finished):
    done = f2llm(finished, "verify", "toy", "--sample", "50", "--removed", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 changed" in done.stdout
    assert "0 differ" in done.stdout


def test_verify_says_what_changed_and_its_exit_code_does_too(copied):
    flip(copied.folder / "results/runs/toy/model/config.json")
    done = f2llm(copied, "verify", "toy")
    assert done.returncode == 1
    assert "changed            results/runs/toy/model: is not what train_model" in done.stdout


def test_other_code_is_no_damage_but_is_told(copied):
    rule = copied.folder / "f2llm/mine/select.py"
    rule.write_text(rule.read_text() + "\nANOTHER_CONSTANT = 1\n")
    done = f2llm(copied, "verify", "toy")
    assert done.returncode == 0
    assert "cannot be checked  code of mine_source" in done.stdout
    assert "code of curate_source" not in done.stdout


def test_every_tuple_of_the_plan_is_followed_to_rows_and_to_the_model(finished):
    results = finished.folder / "results"
    plan = read_table(results / "runs/toy/plan.parquet").to_pylist()
    for row in plan[:: len(plan) // 5]:
        (found,) = answer(results, Question(id=row["tuple_id"].hex()), run="toy", most=5)
        assert row["step"] in found.finding.steps
        assert all(text.places for text in found.finding.texts)
        assert found.finding.seen.models == ["runs/toy/model"]
        assert len(found.finding.seen.scores) == 3


def test_nothing_that_is_published_tells_of_this_machine_its_user_or_a_token(finished):
    results = finished.folder / "results"
    secrets = ["zq-somebody", "hf_zqSecretOfSomebody", str(finished.folder), str(Path.home()), platform.node()]
    secrets = [secret.encode() for secret in secrets if len(secret) > 5]
    folders = (results / "lineage", results / "report", results / "runs", results / "scores", results / "sources")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files = [
        path for path in files if path.suffix not in (".safetensors", ".distcp") and "tensorboard" not in path.parts
    ]
    assert len(files) > 80
    assert [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)] == []


def test_two_results_folders_with_runs_of_one_name_are_told_apart(finished, copied):
    done = f2llm(copied, "diff", "toy", "toy", "--other-results", str(finished.folder / "results"))
    assert (done.returncode, done.stdout.strip()) == (0, "nothing differs")
    assert f2llm(copied, "diff", "toy", "toy").returncode == 1


def test_a_run_that_is_half_done_is_followed_as_far_as_it_is(copied):
    results = copied.folder / "results"
    shutil.rmtree(results / "runs/toy/model")
    shutil.rmtree(results / "scores")
    row = read_table(results / "runs/toy/plan.parquet").to_pylist()[0]
    (found,) = answer(results, Question(id=row["tuple_id"].hex()), run="toy", most=5)
    assert row["step"] in found.finding.steps and found.finding.seen.models == []
    done = f2llm(copied, "verify", "toy")
    assert done.returncode == 1
    assert "results/runs/toy/model: is missing; train_model" in done.stdout
