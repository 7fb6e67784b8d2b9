"""The whole run before it runs: rows, disk, memory, time by stage; against what a run of the embedded default took."""

import dataclasses
from pathlib import Path

import pytest

from f2llm.config.load import load_run_file
from f2llm.estimate.counts import ExpectedRows
from f2llm.estimate.machine import Machine, check_run, describe_machine, stages_of
from f2llm.estimate.printed import changed_line, stage_lines
from f2llm.estimate.sizing import Sizes
from f2llm.estimate.stages import ERRORS, STAGES, as_json, estimate, estimate_changed
from f2llm.jobs.slurm import Partition
from f2llm.records.errors import InputError
from f2llm.records.files import write_json

ROOT = Path(__file__).parents[3]
RUN = load_run_file(ROOT / "config" / "config.yaml")
COUNTS = ExpectedRows(RUN, results="nowhere", lock=ROOT / "config" / "counts.lock.json")
SIZES = Sizes(COUNTS)
MACHINE = Machine(cores=2, memory_mb=16_000, free_disk_mb=50_000, gpus=0, slurm=False, bfloat16=True, tflops=300.0)


@pytest.fixture(scope="module")
def found():
    return estimate(SIZES, cores=2)


def test_all_stages_are_there_in_their_order(found):
    assert tuple(stage.stage for stage in found.stages) == STAGES
    assert (found.unknown, found.guessed) == ((), ())


def test_rows_of_the_embedded_default_are_those_of_its_record(found):
    rows = {stage.stage: stage.rows for stage in found.stages}
    assert (rows["normalise"], rows["curate"], rows["mine"]) == (148_796, 10_200, 9_202)


def test_time_on_more_cores_is_shorter_but_no_job_is_cut(found):
    many = estimate(SIZES, cores=64)
    assert SIZES.training().seconds / RUN.train.threads <= many.wall_seconds < found.wall_seconds
    assert many.cpu_seconds == found.cpu_seconds


def test_jobs_that_have_run_are_counted(tmp_path):
    for name in ("normalise_source/news", "evaluate_run_first/embedded", "evaluate_run_first/other"):
        write_json(tmp_path / f"lineage/jobs/{name}.json", {})
    expected = ExpectedRows(RUN, results=tmp_path, lock=ROOT / "config" / "counts.lock.json")
    there = {stage.stage: stage.there for stage in estimate(Sizes(expected), cores=1).stages}
    assert (there["normalise"], there["evaluate"], there["fetch"]) == (1, 1, 0)


def test_a_person_reads_the_stages_and_the_stated_errors(found):
    said = "\n".join(stage_lines(found, cores=2))
    assert said.splitlines()[0].split()[:2] == ["stage", "jobs"]
    assert "stated errors of the whole: rows 5%, disk 25%, memory 25%, cpu 50%" in said
    assert "on 2 idle cores" in said


def test_sources_of_which_nothing_is_known_are_named():
    expected = ExpectedRows(RUN, results="nowhere", lock="nowhere")
    said = "\n".join(stage_lines(estimate(Sizes(expected), cores=2), cores=2))
    assert "not counted  icd_term, hpo_def" in said
    assert estimate(Sizes(expected), cores=2).cpu_seconds < 600  # nothing is made up for them


def test_it_is_kept_as_plain_values(found, tmp_path):
    write_json(tmp_path / "e.json", as_json(found))
    assert as_json(found)["errors"] == ERRORS


def changed(**changes):
    run = dataclasses.replace(RUN, **changes)
    return Sizes(ExpectedRows(run, results="nowhere", lock=ROOT / "config" / "counts.lock.json"))


def test_a_changed_run_is_estimated_by_what_it_does_not_share():
    more = estimate_changed(SIZES, [changed(run="embedded-fewer", sources=RUN.sources[1:])], cores=2)
    jobs = {stage.stage: stage.jobs for stage in more.stages}
    batches = len({task.batch for task in RUN.benchmark.tasks if RUN.evaluate.tier in task.tiers})
    assert jobs == dict.fromkeys(STAGES, 0) | {"train": 2, "evaluate": batches, "report": 1}
    assert "1 changed runs: " in changed_line(more, runs=1, cores=2)


def test_what_two_changed_runs_share_is_counted_once():
    fewer = dataclasses.replace(RUN.mine, negatives=RUN.mine.negatives - 1)
    one, other = (changed(run=f"embedded-{name}", mine=fewer, seed=seed) for name, seed in (("a", 1), ("b", 1)))
    first = SIZES
    single, both = (estimate_changed(first, runs, cores=2) for runs in ([one], [one, other]))
    jobs = [{stage.stage: stage.jobs for stage in found.stages} for found in (single, both)]
    assert jobs[0]["mine"] == jobs[1]["mine"] == len(RUN.sources)
    assert (jobs[0]["train"], jobs[1]["train"]) == (2, 4)


def test_a_change_of_nothing_but_its_name_takes_no_shared_stage_again():
    more = estimate_changed(SIZES, [SIZES], cores=2)
    assert more.cpu_seconds == more.disk_mb == 0


def check(machine=MACHINE, run=RUN, unreachable=()):
    counts = ExpectedRows(run, results="nowhere", lock=ROOT / "config" / "counts.lock.json")
    check_run(run, stages_of(counts, machine), machine, lock=ROOT / "requirements.lock", unreachable=unreachable)


def train(**changes):
    return dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, **changes))


def test_the_embedded_default_can_work_on_a_small_machine():
    check()


@pytest.mark.parametrize(
    ("machine", "run", "said"),
    [
        ({"free_disk_mb": 1000}, RUN, "disk: about 1.7 GB are still needed, 1.0 GB are free"),
        ({"memory_mb": 2000}, RUN, "memory: a job of the stage train needs about"),
        ({}, train(nodes=2), "train.nodes is 2, and there is no Slurm here"),
        (
            {"gpus": 1, "memory_mb": 10**6},
            train(processes=2),
            "train.processes is 2, this machine has 1 GPUs; lower it",
        ),
        ({}, dataclasses.replace(RUN, sources=()), "licences: policy 'any' keeps every source out"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(machine, run, said):
    with pytest.raises(InputError) as error:
        check(MACHINE._replace(**machine), run)
    assert [fault for fault in error.value.faults if said in fault], error.value.faults


@pytest.mark.parametrize(
    ("run", "memory_mb", "said"),
    [
        (train(nodes=2, processes=4), 64_000, None),
        (train(nodes=5), 64_000, "train_model: 5 nodes asked for, there are 2"),
        (train(processes=12), 64_000, "train_model: 24 CPUs a node asked for, a node has 16"),
        (RUN, 2000, "MB of memory asked for, a node has 2000"),
    ],
)
def test_the_cluster_behind_a_login_node_is_looked_at(run, memory_mb, said):
    counts, machine = (
        ExpectedRows(run, results="nowhere", lock=ROOT / "config" / "counts.lock.json"),
        MACHINE._replace(slurm=True),
    )
    nodes = {"cpu": Partition("cpu", True, 2, 0, 16, memory_mb, float("inf"))}
    try:
        check_run(run, stages_of(counts, machine), machine, lock=ROOT / "requirements.lock", partitions=nodes)
        faults = []
    except InputError as error:
        faults = error.faults
    assert bool(faults) == (said is not None)
    assert said is None or [fault for fault in faults if said in fault], faults


def test_behind_a_login_node_there_is_more_than_the_login_node():
    check(MACHINE._replace(slurm=True, memory_mb=2000), train(nodes=2))


def test_unreachable_sources_stop_it():
    with pytest.raises(InputError, match="source a: host does not answer"):
        check(unreachable=("source a: host does not answer",))


def test_this_machine_is_described():
    said = describe_machine(Machine.here("nowhere/results", tflops=1.0))
    assert "cores" in said and "GB disk free" in said
