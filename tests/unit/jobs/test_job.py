"""Every job leaves a manifest, and says in one screen what stopped it."""

import errno
import functools
import os

import pytest

from f2llm.jobs import job
from f2llm.jobs.notes import read_notes
from f2llm.records.files import read_json, sha256_path


class Named(list):
    """Just enough of Snakemake's named lists."""

    def __init__(self, **named):
        super().__init__(named.values())
        self.__dict__.update(named)
        self._named = named

    def items(self):
        return self._named.items()

    def get(self, name):
        return self._named.get(name)


@pytest.fixture
def context(tmp_path):
    (tmp_path / "in").write_text("in")
    context = type("Context", (), {})()
    context.rule, context.wildcards = "mine_source", Named(source="toy")
    context.input, context.log = Named(table=tmp_path / "in"), [str(tmp_path / "log")]
    context.output = Named(table=tmp_path / "out", lineage=tmp_path / "lineage.json")
    context.params, context.resources = Named(code="abc", skip=5), {}
    return context


def test_a_job_leaves_a_manifest_with_hashes_params_and_counts(context, tmp_path):
    with job.job(context) as counts:
        (tmp_path / "out").write_text("out")
        counts.update(rows=3)

    manifest = read_json(tmp_path / "lineage.json")
    assert manifest["inputs"] == {str(tmp_path / "in"): sha256_path(tmp_path / "in")}
    assert list(manifest["outputs"]) == [str(tmp_path / "out")]
    assert manifest["counts"] == {"rows": 3}
    assert (manifest["code"], manifest["params"]) == ("abc", {"skip": 5})
    assert "torch" in manifest["versions"]


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        ({"skipped": "HTTP 404"}, "skipped: HTTP 404"),
        ({"remarks": ["partial-train: a part", "other"]}, "partial-train: a part; other"),
        ({"skipped": ["a task"], "rows": 3}, None),
        ({}, None),
    ],
)
def test_the_note_of_a_job_that_is_done_says_what_it_skipped_or_remarked(context, tmp_path, counted, said):
    with job.job(context) as counts:
        (tmp_path / "out").write_text("out")
        counts.update(counted)
    [note] = read_notes(tmp_path)
    assert (note.state, note.said) == ("done", said)


def test_a_manifest_names_what_a_job_made_without_variant_keys_and_the_run(context, tmp_path, capsys):
    context.wildcards = Named(run="toy", mining="tiny-1328f59c", source="toy_pairs")
    with job.job(context):
        (tmp_path / "out").write_text("out")
    assert read_json(tmp_path / "lineage.json")["wildcards"] == {"source": "toy_pairs"}
    assert "[mine_source toy toy_pairs] done" in capsys.readouterr().err


def test_what_a_killed_attempt_left_half_written_is_deleted(context, tmp_path):
    for name in (".lineage.json.host-1.part", ".out.host-2.part", ".log.job.json.host-3.part"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".other.json.host-1.part").write_text("another job's")
    with job.job(context):
        (tmp_path / "out").write_text("out")
    assert [path.name for path in tmp_path.glob(".*.part")] == [".other.json.host-1.part"]


def test_a_fault_of_the_input_ends_in_one_screen_without_a_traceback(context, tmp_path, capsys):
    with pytest.raises(SystemExit) as end, job.job(context):
        raise job.InputError(["toy: row 1: empty; fill it", "toy: row 2: empty; fill it"])

    screen = capsys.readouterr().err
    assert end.value.code == 1
    assert "mine_source toy failed:\n  toy: row 1: empty; fill it\n  toy: row 2: empty; fill it\n" in screen
    assert "Traceback" not in screen
    assert "Traceback" in (tmp_path / "log").read_text()
    assert not (tmp_path / "lineage.json").exists()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "your quota on this disk is used up"),
        (errno.EFBIG, "the file would be larger than this machine allows"),
    ],
)
def test_a_full_disk_is_said_in_words(context, capsys, number, said):
    with pytest.raises(SystemExit), job.job(context):
        raise OSError(number, "errno's own words", "results/x")

    assert f"results/x: {said}" in capsys.readouterr().err


def test_a_job_that_takes_a_device_sees_only_that_one(context, tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(job, "claimed", functools.partial(job.claimed, locks=tmp_path / "locks"))
    context.resources = {"device_slots": 1}
    with job.job(context):
        (tmp_path / "out").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    assert (tmp_path / "out").read_text() == "0"


def test_memory_and_processor_time_are_those_of_this_process():
    assert 20 < job.peak_memory_mb() < 20_000
    before = job.cpu_seconds()
    sum(range(2_000_000))
    assert 0 < job.cpu_seconds() - before < 60


@pytest.mark.parametrize(("slurm", "asked", "threads"), [(None, 4, 1), ("7", 4, 4), ("7", None, 1)])
def test_a_slurm_job_uses_the_cpus_that_it_asked_for(context, monkeypatch, slurm, asked, threads):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if slurm:
        monkeypatch.setenv("SLURM_JOB_ID", slurm)
    context.threads, context.resources = 1, {} if asked is None else {"cpus_per_task": asked}
    assert job.job_threads(context) == threads
