"""A run that an older commit made (the toy DAG, kept as it was): it is read, and nothing of it is made again."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from f2llm.records.files import read_json

# Made at commit b315e7a: config, data, models, results and what snakemake noted of its jobs.
KEPT = "run_before.tar.xz"


@pytest.fixture(scope="module")
def old(toy_at, tmp_path_factory):
    """The run of before under the code of today, accepted once."""
    toy = toy_at(tmp_path_factory.mktemp("before") / "checkout")
    with tarfile.open(Path(__file__).with_name(KEPT)) as kept:
        kept.extractall(toy.folder, filter="tar")
    assert toy.planned()  # the code is another
    assert verb(toy, "accept", "the same results by code that is arranged anew").returncode == 0
    return toy


def verb(toy, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "f2llm", *arguments],
        cwd=toy.folder, env=toy.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_after_one_accept_nothing_is_made_again(old):
    assert old.planned() == {}


def test_it_is_verified(old):
    done = verb(old, "verify", "toy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 changed" in done.stdout


def test_a_tuple_of_it_is_traced(old):
    tuples = pq.read_table(old.folder / next((old.folder / "results/mined").glob("*/toy_pairs/tuples.parquet")))
    done = verb(old, "trace", tuples["tuple_id"][0].as_py().hex())
    assert done.returncode == 0, done.stderr
    assert "of source toy_pairs" in done.stdout and "pairs.jsonl" in done.stdout


def test_its_report_shows_its_losses(old):
    done = verb(old, "report", "toy")
    assert done.returncode == 0, done.stderr
    curves = pq.read_table(old.folder / "results/report/toy/tables/curves.parquet").to_pylist()
    assert {"toy_pairs", "toy_kinds", "toy_topics"} == {row["source"] for row in curves}
    assert all(row["loss"] > 0 for row in curves)
    assert "CC0-1.0" in (old.folder / "results/report/toy/index.html").read_text()


def test_its_stored_vectors_are_used(old):
    (manifest,) = (old.folder / "results/vectors").glob("tiny-retriever-*/*/toy_pairs.json")
    target = str(manifest.relative_to(old.folder))
    old.run("--forcerun", "embed_source", "--allowed-rules", "embed_source", "--", target)
    (job,) = (old.folder / "results/lineage/jobs/embed_source").rglob("toy_pairs.json")
    assert read_json(job)["counts"]["encoded"] == 0
