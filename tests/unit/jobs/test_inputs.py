"""No job reads what the job before it did not write."""

import pytest

from f2llm.jobs import inputs
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path, write_json


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A table, a folder of fetched files, and the manifests of the jobs that made them."""
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    raw = results / "sources" / "toy" / "raw"
    raw.mkdir(parents=True)
    (raw / "a.jsonl").write_text("row")
    write_json(raw.parent / "manifest.json", {"files": [{"name": "a.jsonl", "sha256": sha256_path(raw / "a.jsonl")}]})
    (results / "corpus.parquet").write_text("rows")
    manifest("fetch_source", "results/sources/toy/raw")
    manifest("curate_source", "results/corpus.parquet")
    return results


def manifest(rule, *outputs, name="toy"):
    content = {"rule": rule, "wildcards": {"source": name}, "outputs": {path: sha256_path(path) for path in outputs}}
    write_json(inputs.MANIFESTS / rule / f"{name}.json", content)


def faults(*paths):
    with pytest.raises(InputError) as refused:
        inputs.hashes_of_inputs(paths)
    return list(refused.value.faults)


def test_what_was_written_is_read_and_what_nobody_made_is_hashed(made, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    paths = ["results/corpus.parquet", "results/sources/toy/raw", "mine.txt"]
    assert inputs.hashes_of_inputs(paths) == {path: sha256_path(path) for path in paths}


def test_flipped_bytes_are_named_all_at_once_with_the_command_that_makes_them_anew(made):
    (made / "corpus.parquet").write_text("rowz")
    (made / "sources/toy/raw/a.jsonl").write_text("raw")
    assert faults("results/corpus.parquet", "results/sources/toy/raw") == [
        "results/corpus.parquet: is not what curate_source toy wrote (results/lineage/jobs/curate_source/toy.json has "
        "another sha256); make it anew with `snakemake --cores all --force results/corpus.parquet` (and your --configfile), "
        "then run the same command again",
        "results/sources/toy/raw: is not what fetch_source toy wrote: a.jsonl (results/lineage/jobs/fetch_source/toy.json "
        "has another sha256); make it anew with `snakemake --cores all --force results/sources/toy/raw` (and your "
        "--configfile), then run the same command again",
    ]


def test_a_file_made_anew_is_read_again_and_manifests_are_read_once(made, monkeypatch):
    inputs.hashes_of_inputs(["results/corpus.parquet"])
    (made / "corpus.parquet").write_text("other rows")
    manifest("curate_source", "results/corpus.parquet")
    read = []
    monkeypatch.setattr(inputs, "read_json", lambda path: (read.append(str(path)), read_json(path))[1])
    inputs.hashes_of_inputs(["results/corpus.parquet"])
    assert read == [".cache/makers.json", "results/lineage/jobs/curate_source/toy.json"]


def test_a_file_that_several_runs_write_in_turn_is_that_of_any_of_them(made):
    first = (made / "corpus.parquet").read_text()
    (made / "corpus.parquet").write_text("rows of another run")
    manifest("curate_source", "results/corpus.parquet", name="other")
    assert inputs.hashes_of_inputs(["results/corpus.parquet"])
    (made / "corpus.parquet").write_text(first)
    assert inputs.hashes_of_inputs(["results/corpus.parquet"])


@pytest.mark.parametrize("damage", ["{", "[]", '{"results/lineage/jobs/curate_source/toy.json": 7}'])
def test_a_damaged_index_and_foreign_files_among_the_manifests_refuse_nothing(made, damage):
    paths = ["results/corpus.parquet"]
    inputs.hashes_of_inputs(paths)
    (inputs.MANIFESTS / "notes.json").write_text("[1]")
    inputs.INDEX.write_text(damage)
    assert inputs.hashes_of_inputs(paths)
    inputs.INDEX.write_text(inputs.INDEX.read_text().replace(sha256_path(paths[0]), "0" * 64))
    assert inputs.hashes_of_inputs(paths)


def test_an_input_that_changes_while_a_job_reads_it_is_refused(made):
    hashes = inputs.hashes_of_inputs(["results/corpus.parquet"])
    inputs.refuse_changed(hashes)
    (made / "corpus.parquet").write_text("other")
    with pytest.raises(InputError, match=r"corpus\.parquet: was changed while this job read it"):
        inputs.refuse_changed(hashes)
