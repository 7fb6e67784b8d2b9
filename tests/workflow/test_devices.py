"""A machine with GPUs and no scheduler: one job a device at a time. The devices are pretended."""

import re
from itertools import combinations

import yaml

from f2llm.jobs.notes import read_notes


def held(toy):
    """Return (device, began, ended) of every job that took one."""
    found = []
    for note in read_notes(toy.folder / "logs"):
        log = toy.folder / note.log
        for device in re.findall(r"devices: (\S+)$", log.read_text(), re.MULTILINE):
            found.append((device, note.started, note.ended, note.rule))
    return found


def test_two_devices_are_shared_by_jobs_that_use_one_and_nobody_else_waits(fresh, monkeypatch, tmp_path):
    # Claimed a moment after the note says that a job has begun, so compare with what they overlap by.
    environment = fresh.environment() | {"CUDA_VISIBLE_DEVICES": "0,1", "TMPDIR": str(tmp_path)}
    monkeypatch.setattr(fresh, "environment", lambda: environment)
    monkeypatch.setattr(
        fresh, "command", lambda *arguments: [*type(fresh).command(fresh)[:3], "--cores", "4", *arguments]
    )
    fresh.run("mine", "score_models")
    jobs = held(fresh)
    assert {rule.partition("_")[0] for *_, rule in jobs} == {"embed", "mine", "evaluate"}
    assert {device for device, *_ in jobs} == {"0", "1"}
    for (one, began, ended, _), (other, later, _, _) in combinations(sorted(jobs, key=lambda job: job[1]), 2):
        assert one != other or later >= ended - 0.5, (began, ended, later)
    assert len(jobs) == sum(
        note.rule.startswith(("embed", "mine", "evaluate")) for note in read_notes(fresh.folder / "logs")
    )


def test_training_takes_as_many_devices_as_it_has_processes(fresh, monkeypatch):
    fresh.configure(train=fresh_train(fresh) | {"processes": 2})
    environment = fresh.environment() | {"CUDA_VISIBLE_DEVICES": "0,1,2"}
    monkeypatch.setattr(fresh, "environment", lambda: environment)
    said = fresh.run("-n", "train").stdout
    block = said[said.index("rule train_model:") :]
    assert (
        "device_slots=2" in block[: block.index("\nrule ", 1)] if "\nrule " in block[1:] else "device_slots=2" in block
    )


def fresh_train(toy):
    return yaml.safe_load((toy.folder / "config/config.yaml").read_text())["train"]
