import json
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.config.build import digest
from f2llm.jobs.code import code_digest
from f2llm.lineage.verify.caches import cache_checks, check_checkpoint, check_log, check_shard
from f2llm.lineage.verify.code import _digests_in, code_findings, scripts_of
from f2llm.lineage.verify.findings import CHANGED, INTACT, UNCHECKED, UNHASHED, Finding, finding_lines, has_changed
from f2llm.lineage.verify.sample import HashSample, hash_sample
from f2llm.lineage.verify.verify import verify_files
from f2llm.records.errors import InputError
from f2llm.records.files import bytes_of, sha256_file, sha256_path, write_json
from f2llm.records.schemas.train import METRICS
from f2llm.runs.manifests import Job, read_jobs
from f2llm.vectors.store import VectorStore


class Results:
    """A results folder of a run "r": a source, its table, a plan, a report; each made by a job with a manifest."""

    def __init__(self, folder):
        self.folder = folder / "results"
        self.write("sources/a/raw/a.jsonl", "{}")
        write_json(
            self.folder / "sources/a/manifest.json",
            {"files": [{"name": "a.jsonl", "sha256": self.sha("sources/a/raw/a.jsonl")}]},
        )
        self.write("sources/a/corpus.parquet", "table")
        self.write("runs/r/run.json", "{}")
        self.write("runs/r/plan.parquet", "plan")
        self.write("report/index.html", "page")
        (folder / "data").mkdir()
        (folder / "data/a.jsonl").write_text("{}")
        self.job(
            "fetch_source",
            "a",
            {"data/a.jsonl": sha256_file(folder / "data/a.jsonl")},
            ["sources/a/raw", "sources/a/manifest.json"],
        )
        self.job("normalise_source", "a", ["sources/a/raw"], ["sources/a/corpus.parquet"], stanza={"adapter": "pairs"})
        self.job("plan_run", "r", ["sources/a/corpus.parquet"], ["runs/r/plan.parquet", "runs/r/run.json"])
        self.job("build_report", "r", ["runs/r/plan.parquet", "lineage/jobs/plan_run/r.json"], ["report/index.html"])

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def sha(self, name):
        return sha256_path(self.folder / name)

    def job(self, rule, unit, inputs, outputs, **params):
        def hashes(names):
            return names if isinstance(names, dict) else {f"results/{name}": self.sha(name) for name in names}

        content = {
            "rule": rule, "inputs": hashes(inputs), "outputs": hashes(outputs), "params": params, "code": "c", "wildcards": {"unit": unit},
            "versions": {}, "counts": {}, "seconds": 1.0, "bytes": {f"results/{name}": bytes_of(self.folder / name) for name in outputs},
        }  # fmt: skip
        write_json(self.folder / f"lineage/jobs/{rule}/{unit}.json", content)

    def found(self, **options):
        findings = verify_files(self.folder, "r", **options)
        return {one.path: (one.state, one.what) for one in findings if one.state != INTACT}


@pytest.fixture
def made(tmp_path):
    return Results(tmp_path)


def test_what_is_as_it_was_made_is_intact(made):
    assert made.found() == {}
    assert len(verify_files(made.folder, "r")) == 8


def test_a_changed_table_is_named_with_the_job_that_recorded_it(made):
    made.write("sources/a/corpus.parquet", "other")
    assert made.found() == {"results/sources/a/corpus.parquet": (CHANGED, "is not what normalise_source a recorded")}


def test_a_changed_raw_file_and_the_file_it_came_from_are_named(made):
    made.write("sources/a/raw/a.jsonl", "[]")
    (made.folder.parent / "data/a.jsonl").write_text("[]")
    found = made.found()
    assert found["results/sources/a/raw"][1].endswith("recorded: a.jsonl")
    assert found["data/a.jsonl"][0] == CHANGED


def test_a_manifest_is_sealed_by_the_report(made):
    path = made.folder / "lineage/jobs/plan_run/r.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"seconds": 2.0}))
    assert made.found()["results/lineage/jobs/plan_run/r.json"][0] == CHANGED


def test_a_reader_that_had_other_bytes_is_named(made):
    made.write("sources/a/corpus.parquet", "again")
    made.job("normalise_source", "a", ["sources/a/raw"], ["sources/a/corpus.parquet"])
    assert made.found() == {
        "results/sources/a/corpus.parquet": (CHANGED, "plan_run r read other bytes than normalise_source a wrote")
    }


def test_a_missing_table_is_changed_and_deleted_raw_files_cannot_be_checked(made):
    (made.folder / "sources/a/corpus.parquet").unlink()
    (made.folder / "sources/a/raw/a.jsonl").unlink()
    (made.folder / "sources/a/raw").rmdir()
    found = made.found()
    assert found["results/sources/a/corpus.parquet"] == (CHANGED, "is missing; normalise_source a recorded it")
    assert found["results/sources/a/raw"][0] == UNCHECKED


NOTHING_BUT = HashSample(share=0.0, seed=1)


def test_what_is_not_hashed_is_said_and_never_intact(made):
    found = made.found(sample=NOTHING_BUT)
    assert found == {
        "results/sources/a/raw": (UNHASHED, "has the size that fetch_source a recorded"),
        "results/sources/a/manifest.json": (UNHASHED, "has the size that fetch_source a recorded"),
        "results/sources/a/corpus.parquet": (UNHASHED, "has the size that normalise_source a recorded"),
        "data/a.jsonl": (UNHASHED, "is there; fetch_source a recorded no size"),
    }
    assert finding_lines(verify_files(made.folder, "r", sample=NOTHING_BUT))[-1] == (
        "4 intact, 0 changed, 0 cannot be checked, 4 not hashed"
    )


def test_without_hashes_another_size_is_found_other_bytes_of_one_size_are_not(made):
    made.write("sources/a/corpus.parquet", "tible")
    assert made.found(sample=NOTHING_BUT)["results/sources/a/corpus.parquet"][0] == UNHASHED
    made.write("sources/a/corpus.parquet", "tables")
    assert made.found(sample=NOTHING_BUT)["results/sources/a/corpus.parquet"] == (
        CHANGED, "has another size than normalise_source a recorded",
    )  # fmt: skip
    (made.folder / "sources/a/corpus.parquet").unlink()
    assert made.found(sample=NOTHING_BUT)["results/sources/a/corpus.parquet"][0] == CHANGED


def test_the_runs_own_files_are_hashed_in_every_sample(made):
    made.write("runs/r/plan.parquet", "plax")
    assert made.found(sample=NOTHING_BUT)["results/runs/r/plan.parquet"][0] == CHANGED


def test_a_sample_is_drawn_by_the_seed_of_the_run(tmp_path):
    names = [f"results/sources/s{number}/corpus.parquet" for number in range(1000)]

    def drawn(seed, share=0.1):
        write_json(tmp_path / "run.json", {"settings": {"seed": seed}})
        return [name for name in names if hash_sample(tmp_path, share=share).takes(name)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 60 < len(drawn(1)) < 140
    assert (drawn(1, 0.0), drawn(1, 1.0)) == ([], names)
    with pytest.raises(InputError, match="not between 0 and 1"):
        drawn(1, 1.5)


def test_shards_and_checkpoints_that_are_not_hashed_are_told_by_size(tmp_path):
    VectorStore(tmp_path / "store", key="k").put([b"a" * 16], np.ones((1, 2), np.float32), precision="float32")
    (tmp_path / "runs/r/checkpoints/c/step_000001").mkdir(parents=True)

    def states():
        checks = cache_checks(tmp_path / "runs/r", stores=[tmp_path / "store"], results=tmp_path, sample=NOTHING_BUT)
        return [check().state for check in checks]

    assert states() == [UNHASHED, UNHASHED]
    (ids,) = (tmp_path / "store").glob("*.ids")
    ids.write_bytes(ids.read_bytes() + b"x")
    assert states() == [UNHASHED, CHANGED]


def test_a_report_of_another_run_is_told_from_a_changed_one(made):
    made.write("report/index.html", "another page")
    made.job("build_report", "other", [], ["report/index.html"])
    assert made.found()["results/report/index.html"] == (UNCHECKED, "is that of run other, which was made since")
    made.write("report/index.html", "forged")
    assert made.found()["results/report/index.html"][0] == CHANGED


def test_foreign_files_and_manifests_are_named_but_no_damage(made):
    made.write("runs/r/notes.txt", "mine")
    made.write("lineage/jobs/old.json", '{"rule": "of another version"}')
    found = made.found()
    assert found == {
        "results/runs/r/notes.txt": (UNCHECKED, "no job declares it"),
        "results/lineage/jobs/old.json": (UNCHECKED, "no manifest that this version reads"),
    }


def test_a_manifest_of_a_newer_format_cannot_be_checked_and_says_what_is_read(made):
    made.write("lineage/jobs/new.json", '{"format": 3}')
    state, what = made.found()["results/lineage/jobs/new.json"]
    assert state == UNCHECKED
    assert what.startswith("is a manifest of format 3, and this version reads formats 1 and 2; use the version")


def test_exported_scores_and_ablations_that_changed_are_found(made):
    made.write("runs/r/model", "weights")
    made.write("submission/r/Task.json", "{}")
    made.write("ablations/r/scores.parquet", "effects")
    made.job("convert_model", "r", [], ["runs/r/model"])
    made.job("export_scores", "export_scores", ["runs/r/model"], ["submission"])
    made.job("compare_changes", "r", ["runs/r/plan.parquet"], ["ablations/r/scores.parquet"])
    assert made.found() == {}
    made.write("submission/r/Task.json", "[]")
    made.write("ablations/r/scores.parquet", "effecte")
    changed = {path for path, (state, _) in made.found(sample=NOTHING_BUT).items() if state == CHANGED}
    assert changed == {"results/submission", "results/ablations/r/scores.parquet"}


def test_another_run_that_was_made_anew_after_an_ablation_is_no_damage_of_this_one(made):
    made.write("ablations/r/scores.parquet", "effects")
    made.write("runs/changed/plan.parquet", "plan of the change")
    made.job("compare_changes", "r", ["runs/changed/plan.parquet"], ["ablations/r/scores.parquet"])
    made.write("runs/changed/plan.parquet", "another")
    made.job("plan_run", "changed", [], ["runs/changed/plan.parquet"])
    assert made.found() == {
        "results/runs/changed/plan.parquet": (UNCHECKED, "read by compare_changes r, written anew since")
    }


@pytest.mark.parametrize("folder", ["scores/r", "cards/r", "curated/c-1/a", "curated/c-1", "mined/m-1/a"])
def test_foreign_files_beside_what_jobs_of_the_run_made_are_named(made, folder):
    tables = ["curated/c-1/a/corpus.parquet", "mined/m-1/a/tuples.parquet", "scores/r/Task.json", "cards/r/card.md"]
    for name in (*tables, "curated/c-1/b/corpus.parquet"):
        made.write(name, "made")
    made.job("make", "r", [], tables)
    made.job("curate_source", "b", [], ["curated/c-1/b/corpus.parquet"])  # for another run
    made.job("build_report", "r", ["runs/r/plan.parquet", *tables], ["report/index.html"])
    assert made.found() == {}
    made.write(f"{folder}/Fake.json", "{}")
    assert made.found() == {f"results/{folder}/Fake.json": (UNCHECKED, "no job declares it")}


def test_vectors_and_checkpoints_that_are_gone_are_told(made):
    made.write("runs/r/model", "weights")
    made.job("train_model", "r", [], ["runs/r/model"], store="results/vectors/store/finder")
    assert made.found() == {
        "results/vectors/store/finder": (UNCHECKED, "its vectors are gone; train_model put them there"),
        "results/runs/r/checkpoints": (UNCHECKED, "its checkpoints are gone; train_model saved them"),
    }


def test_an_unknown_run_is_refused_with_those_that_are_there(made):
    with pytest.raises(InputError, match="runs here: r"):
        verify_files(made.folder, "s")


def test_a_checkpoint_is_checked_by_its_own_hashes(tmp_path):
    folder = digest({"plan": "p"})
    path, model = tmp_path / f"runs/r/checkpoints/{folder}/step_000002", tmp_path / "runs/r/model/f2llm.json"
    path.mkdir(parents=True)
    (path / "0.distcp").write_bytes(b"state")
    about = {"step": 2, "files": {"0.distcp": sha256_file(path / "0.distcp")}, "identity": {"plan": "p"}}
    write_json(path / "checkpoint.json", about)
    write_json(model, {"digests": {"plan": "p"}})

    def state():
        return check_checkpoint(path, model=model, results=tmp_path)

    assert state().state == INTACT
    write_json(model, {"digests": {"plan": "q"}})
    assert state().state == UNCHECKED
    write_json(path / "checkpoint.json", about | {"identity": {"plan": "q"}})
    assert state().state == CHANGED
    write_json(path / "checkpoint.json", about | {"step": 3})
    assert state().state == CHANGED
    write_json(path / "checkpoint.json", about)
    (path / "0.distcp").write_bytes(b"stage")
    assert state()[:2] == (CHANGED, f"results/runs/r/checkpoints/{folder}/step_000002/0.distcp")
    (path / "checkpoint.json").write_text("{")
    assert state().state == CHANGED


@pytest.mark.parametrize("suffix", [".f16", ".ids", ".json"])
def test_a_shard_is_checked_by_the_hash_in_its_name(tmp_path, suffix):
    VectorStore(tmp_path, key="k").put([b"a" * 16], np.ones((1, 2), np.float32), precision="float32")
    (about,) = tmp_path.glob("*.json")
    assert check_shard(about, results=tmp_path).state == INTACT
    path = about.with_suffix(suffix)
    content = bytearray(path.read_bytes())
    content[content.index(b"k") if suffix == ".json" else 0] ^= 1
    path.write_bytes(content)
    assert check_shard(about, results=tmp_path).state == CHANGED


def job(rule, code, **params):
    return Job(None, rule, {}, {}, params, code, {}, {"duckdb": "0"}, {}, 1.0)


def test_the_scripts_of_rules_are_known():
    assert scripts_of(job("evaluate_run_first", "")) == ("workflow/scripts/evaluate_batch.py",)
    assert scripts_of(job("normalise_source", "", stanza={"adapter": "pairs"}))[1] == "f2llm/sources/adapters/pairs.py"
    assert scripts_of(job("train_model", ""))[1] == "f2llm/train/__main__.py"


def test_code_of_the_checkout_is_told_from_other_code():
    own = code_digest("workflow/scripts/check_gate.py")
    same, other = code_findings([job("check_gate", own), job("check_gate", "0" * 16)], commit=None)[::-1]
    assert (same.state, other.state) == (INTACT, UNCHECKED)
    assert "duckdb 0 then" in other.what


def test_an_unknown_commit_is_refused():
    with pytest.raises(InputError, match="commit nonsense: cannot be read"):
        code_findings([job("check_gate", "c")], commit="nonsense")


def test_code_is_compared_with_a_commit():
    if subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    (found,) = code_findings([job("check_gate", "c")], commit="HEAD")
    assert "in commit HEAD" in found.what


@pytest.mark.parametrize("module", ["jobs/code", "code_files", "provenance"])
def test_code_of_older_commits_gives_its_own_digests(tmp_path, module):
    for name in ("f2llm", "workflow/scripts"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "f2llm/__init__.py").write_text("")
    (tmp_path / "f2llm/jobs").mkdir()
    (tmp_path / f"f2llm/{module}.py").write_text("def code_digest(*paths):\n    return f'own of {len(paths)}'\n")
    (tmp_path / "workflow/scripts/a.py").write_text("")
    assert _digests_in(tmp_path, [("workflow/scripts/a.py",), ("workflow/scripts/b.py",)]) == ["own of 1", None]


def test_what_is_not_intact_is_listed_and_all_is_counted():
    findings = [Finding(INTACT, "a", "x"), Finding(UNCHECKED, "b", "y"), Finding(CHANGED, "c", "z")]
    assert finding_lines(findings) == [
        "changed            c: z", "cannot be checked  b: y", "1 intact, 1 changed, 1 cannot be checked",
    ]  # fmt: skip
    assert has_changed(findings) and not has_changed(findings[:2])
    assert len(finding_lines(findings, everything=True)) == 4


def test_manifests_that_are_none_are_passed_over(made):
    made.write("lineage/jobs/x.json", "[1]")
    assert len(read_jobs(made.folder)) == 4


@pytest.mark.parametrize("long", [True, False], ids=["a row a term", "a column a term, as in older runs"])
def test_the_rows_that_training_appended_are_compared_with_its_table(tmp_path, long):
    log, table = tmp_path / "checkpoints/c/metrics.jsonl", tmp_path / "metrics.parquet"
    log.parent.mkdir(parents=True)
    line = {"step": 0, "batch": 0, "source": "toy", "loss": 0.1, "loss_hard": None}
    log.write_text(json.dumps(line) + "\n")
    if long:
        rows = pa.Table.from_pylist(
            [{"step": 0, "batch": 0, "source": "toy", "term": "loss", "value": 0.1}], schema=METRICS
        )
    else:
        types = {
            "step": pa.int32(),
            "batch": pa.int16(),
            "source": pa.string(),
            "loss": pa.float32(),
            "loss_hard": pa.float32(),
        }
        rows = pa.Table.from_pylist([line], schema=pa.schema(types))
    pq.write_table(rows, table)
    assert check_log(log, table, results=tmp_path).state == INTACT
    log.write_text(json.dumps(line | {"loss": 0.2}) + "\n")
    assert check_log(log, table, results=tmp_path).state == CHANGED
