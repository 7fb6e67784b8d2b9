"""Each bad input ends with one screen that says where, what and what to do; exit code not 0."""

import json
import os
import shutil

import psutil
import yaml


def refused(toy, *targets, **changes):
    if changes:
        toy.configure(**changes)
    done = toy.run(*targets, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


def test_an_unknown_key(fresh):
    assert "unknown key 'colour'" in refused(fresh, colour="red")


def test_a_learning_rate_that_yaml_reads_as_text(fresh):
    path = fresh.folder / "config/config.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.01", "learning_rate: 1e-5"))
    assert "train.learning_rate: '1e-5' is text in YAML, not a number" in refused(fresh)


def test_an_unknown_source(fresh):
    assert "sources/toy_pears.yaml: there is no such stanza" in refused(fresh, sources=["toy_pears"])


def test_an_unknown_adapter(fresh):
    stanza = fresh.folder / "config/sources/toy_pairs.yaml"
    stanza.write_text(stanza.read_text().replace("adapter: pairs", "adapter: pears"))
    screen = refused(fresh)
    assert "toy_pairs" in screen
    assert "pears" in screen


def test_a_missing_file(fresh):
    (fresh.folder / "data/pairs.jsonl").unlink()
    screen = refused(fresh, "fetch")
    assert "toy_pairs" in screen
    assert "data/pairs.jsonl" in screen


def test_a_wrong_hash_names_both(fresh):
    stanza = fresh.folder / "config/sources/toy_pairs.yaml"
    stanza.write_text(
        stanza.read_text().replace("path: data/pairs.jsonl", f"path: data/pairs.jsonl\n  sha256: '{'0' * 64}'")
    )
    screen = refused(fresh, "fetch")
    assert "0" * 64 in screen
    assert "toy_pairs" in screen
    assert not (fresh.folder / "results/sources/toy_pairs/corpus.parquet").exists()


def test_an_empty_source(fresh):
    (fresh.folder / "data/pairs.jsonl").write_text("")
    assert "toy_pairs" in refused(fresh, "fetch")


def test_a_source_whose_mining_keeps_nothing(fresh):
    fresh.configure(mine={"max_length": 16, "negatives": 3, "max_score": -1.0})
    screen = refused(fresh, "mine")
    assert "toy_pairs" in screen
    assert "max_score" in screen.partition("what failed, once more: failed mine_source")[2]
    assert not list((fresh.folder / "results").rglob("toy_pairs/tuples.parquet"))


def test_a_second_live_run(fresh):
    (fresh.folder / "results").mkdir()
    owner = {"host": os.uname().nodename, "process": os.getpid(), "started": psutil.Process().create_time()}
    (fresh.folder / "results/.lock").write_text(json.dumps(owner))
    assert "is running on these results" in refused(fresh)


def test_a_run_below_its_gate_fails_but_leaves_its_report(copied):
    copied.configure(evaluate={"max_length": 40, "precision": "float32", "gate": {"over_base_last": 100}})
    screen = refused(copied)
    assert "gate" in screen
    assert (copied.folder / "results/report/index.html").is_file()
    assert not (copied.folder / "results/runs/toy/gate.json").exists()


def test_no_slurm_on_the_path(fresh, monkeypatch, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "bash", "which", "env"):  # of these alone the PATH is made
        (tools / name).symlink_to(shutil.which(name))
    environment = fresh.environment() | {"PATH": str(tools)}
    monkeypatch.setattr(fresh, "environment", lambda: environment)
    done = fresh.run("--profile", "slurm", check=False)
    said = " ".join(done.stderr.split())
    assert done.returncode != 0
    assert "slurm: sbatch, srun, squeue, scancel, scontrol, sinfo not found; run on a login node" in said


def test_several_training_nodes_without_slurm(fresh):
    assert "train.nodes is 2, and this is one machine; run with --profile slurm, or set it to 1" in refused(
        fresh, train=fresh_train(fresh) | {"nodes": 2}
    )
    assert not (fresh.folder / "results/sources").exists()


def fresh_train(toy):
    return yaml.safe_load((toy.folder / "config/config.yaml").read_text())["train"]


def test_a_key_twice_in_the_config_in_a_profile_and_in_a_stanza(fresh):
    for path in ("config/config.yaml", "profiles/default/config.yaml"):
        file = fresh.folder / path
        file.write_text(
            "nolock: true\n" * ("profiles" in path)
            + file.read_text()
            + "train: {steps: 2}\n" * ("config/config" in path)
        )
    stanza = fresh.folder / "config/sources/toy_pairs.yaml"
    stanza.write_text(stanza.read_text() + "instruction: Another one.\n")
    screen = refused(fresh, "-n")
    assert "(3 to mend)" in screen
    assert screen.count("stands here a second time, first in line") == 3
    assert "config/config.yaml: line 34: train: stands" in screen


def test_norwegian_rows_are_not_left_out_by_a_truth_value(fresh):
    stanza = fresh.folder / "config/sources/toy_pairs.yaml"
    stanza.write_text(stanza.read_text() + "options:\n  only: {lang: [no, en]}\n")
    assert "options.only.lang.0: false is a truth value, as YAML reads no, off and false; put the text in quo" in (
        refused(fresh, "-n")
    )


def test_numbers_of_nested_settings_are_given_with_config(fresh):
    fresh.run("-n", "--config", 'train={"steps": 3, "warmup_steps": 0}', 'evaluate={"dimensions": [8, 16]}')
    fresh.run("results/sources/toy_pairs/manifest.json", "--config", 'train={"steps": 3}')
    done = fresh.run("-n", "--config", 'train={"steps": "three"}', check=False)
    assert "train.steps: 'three' is not of type 'integer', 'null'" in done.stdout
