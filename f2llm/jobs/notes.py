"""A note beside each job's log: where it runs, since when, and how it ended. `f2llm status` reads them.

A job writes its own note, so it works on a laptop and on a cluster alike, and a job that was killed
leaves one that says `running` of a process that no longer exists.
"""

import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import psutil

from f2llm.jobs.lock import is_alive
from f2llm.records.files import read_json, write_json

SUFFIX = ".job.json"
SKIPPED = "skipped: "  # begins what a job said that left its source out
State = Literal["running", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class JobNote:
    """Where a job runs and how it ended. Times are seconds since the epoch, `ended` is None while it runs."""

    rule: str
    unit: str  # values of the wildcards
    log: str
    state: State
    started: float
    ended: float | None
    host: str
    process: int
    process_started: float
    slurm_job: str | None
    said: str | None  # message of a failed job; of one that is done, that its source was skipped, or a remark on it


def start_note(*, rule: str, unit: str, log: str | Path) -> JobNote:
    """Write that a job runs in this process, and return the note to end it with."""
    note = JobNote(
        rule=rule,
        unit=unit,
        log=str(log),
        state="running",
        started=round(time.time(), 3),
        ended=None,
        host=platform.node(),
        process=os.getpid(),
        process_started=round(psutil.Process().create_time(), 2),
        slurm_job=os.environ.get("SLURM_JOB_ID"),
        said=None,
    )
    write_json(note_path(log), asdict(note))
    return note


def end_note(note: JobNote, *, state: State, said: str | None = None) -> None:
    """Write how a job ended; `said` is its message if it failed, or a remark."""
    ended = replace(note, state=state, ended=round(time.time(), 3), said=said)
    write_json(note_path(note.log), asdict(ended))


def read_notes(logs: str | Path) -> list[JobNote]:
    """All readable notes below a folder of logs, by start."""
    notes = []
    for path in Path(logs).rglob(f"*{SUFFIX}"):
        try:
            notes.append(JobNote(**read_json(path)))
        except (OSError, ValueError, TypeError, KeyError):
            continue  # removed meanwhile, or of another version of this project
    return sorted(notes, key=lambda note: (note.started, note.rule, note.unit))


def note_path(log: str | Path) -> Path:
    """Path of the note of the job with this log."""
    return Path(log).with_suffix(SUFFIX)


def is_gone(note: JobNote) -> bool:
    """Whether a note says `running` of a process of this host that no longer lives."""
    runs_here = note.state == "running" and note.host == platform.node()
    return runs_here and not is_alive(note.process, started=note.process_started)
