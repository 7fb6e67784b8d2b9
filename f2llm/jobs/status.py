"""Where a run stands while it lives, why jobs failed, and where things are once it is done."""

import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from f2llm.jobs.lock import is_held
from f2llm.jobs.notes import SKIPPED, JobNote, is_gone, read_notes
from f2llm.jobs.slurm import ask
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.evaluate import GateVerdict

CALL = Path(".snakemake", "f2llm-call.json")  # names the runs of the latest call of snakemake
LAST_BYTES = 20_000  # of a log, read for its last lines
TAIL_LINES = 5
LOG_PREFIX = re.compile(r"^\S+ \S+ (INFO|WARNING) [\w.]+: ")  # time, level and module of a log line


class CallProgress(NamedTuple):
    """Jobs done and planned of the latest call of snakemake, when it began and when it last wrote to its log.

    Times are seconds since the epoch.
    """

    done: int
    planned: int
    began: float
    logged: float


def note_call(runs: Sequence[str], *, folder: str | Path = ".") -> None:
    """Write which runs a call of snakemake makes, the config's own first."""
    write_json(Path(folder) / CALL, {"runs": list(runs)})


def status_lines(folder: str | Path, *, run: str | None = None, now: float | None = None) -> str:
    """Lines on the latest call of snakemake in a checkout, and the closing lines of a finished run.

    Without a name the run is that of the latest call, or the only one that exists.

    Raises:
        InputError: nothing has run here yet, or no run of this name.
    """
    folder, now = Path(folder), time.time() if now is None else now
    steps = read_steps(folder / ".snakemake" / "log")
    called, known = _called_and_known_runs(folder)
    if steps is None and not known:
        raise InputError(f"{folder}: nothing has run here yet; `snakemake --cores all` (or `make run`) begins")
    if run is not None and run not in known:
        raise InputError(f"{folder}: there is no run {run!r} here; there are: {', '.join(known) or 'none'}")
    run = run or next(iter(called or (known if len(known) == 1 else ())), None)
    lines = []
    if steps:
        notes = [note for note in read_notes(folder / "logs") if note.started >= steps.began]
        lines.append(_step_line(steps, now, live=is_held(folder / "results" / ".lock")))
        if called and run not in called:
            lines.append(f"         of run {called[0]}")
        gone = gone_notes(notes)
        lines += running_lines([note for note in notes if note not in gone], folder=folder, now=now)
        lines += failure_lines(notes, folder=folder, gone=gone)
        lines += done_lines(notes)
    told = _told(folder / "results", run) if run else None
    lines += remark_lines(read_notes(folder / "logs"), told=told or ())  # of earlier calls, too
    if run and told is not None:
        lines.append(closing_lines(folder / "results", run=run))
    return "\n".join(lines)


def gone_notes(notes: Iterable[JobNote]) -> list[JobNote]:
    """Notes that say `running` of jobs that are gone: no such process here, no such job in the queue.

    If the scheduler does not answer, its jobs count as running.
    """
    running = [note for note in notes if note.state == "running"]
    elsewhere = {note.slurm_job for note in running if note.slurm_job and not is_gone(note)}
    queued = elsewhere
    if elsewhere and shutil.which("squeue"):
        try:
            queued = set(ask("squeue", "--me", "--noheader", "--format=%A").split())
        except (OSError, subprocess.SubprocessError):
            pass
    return [note for note in running if is_gone(note) or (note.slurm_job and note.slurm_job not in queued)]


def done_lines(notes: Iterable[JobNote]) -> list[str]:
    """A line that counts the finished jobs of each rule, with their mean time; none if no job is finished."""
    seconds: dict[str, list[float]] = {}
    for note in notes:
        if note.state == "done" and note.ended is not None:
            seconds.setdefault(note.rule, []).append(note.ended - note.started)
    counts = [f"{rule} {len(took)} ({_duration(sum(took) / len(took))} each)" for rule, took in sorted(seconds.items())]
    return ["done     " + ", ".join(counts)] if counts else []


def remark_lines(notes: Iterable[JobNote], *, told: Collection[str] = ()) -> list[str]:
    """A line for each source that jobs skipped or had a remark on: what the first of them said when it last ran.

    That sources were skipped is left out for those in `told`.
    """
    newest: dict[tuple[str, str], JobNote] = {}  # of a job that has logs under several variant keys
    for note in sorted(notes, key=lambda note: note.started):
        if note.state == "done":
            newest[note.rule, note.unit] = note
    said: dict[str, str] = {}
    for note in sorted(newest.values(), key=lambda note: note.started):
        source = note.unit.split(" ")[0]
        if note.said and not (source in told and note.said.startswith(SKIPPED)):
            said.setdefault(source, f"{source}: {' '.join(note.said.split())} ({note.rule})")
    return [f"remark   {text}" for _, text in sorted(said.items())]


def end_lines(results: str | Path, *, run: str, names: Collection[str]) -> str:
    """What a call of snakemake says at its end: remarks on the sources and tasks `names`, closing lines of a run."""
    told = _told(Path(results), run)
    lines = remark_lines(_notes_on(names, Path(results).parent), told=told or ())
    return "\n".join(lines if told is None else [*lines, closing_lines(results, run=run)])


def failure_end_lines(began: float, *, names: Collection[str], folder: str | Path = ".") -> str:
    """What a call that failed says at its end: its failures since `began`, and remarks on the sources `names`."""
    remarks = remark_lines(_notes_on(names, Path(folder)))
    return "\n".join([*filter(None, [failures_since(began, folder=folder)]), *remarks])


def _told(results: Path, run: str) -> list[str] | None:
    """The sources that the verdict on a run names as skipped; None for a run that has not passed its gate."""
    gate = results / "runs" / run / "gate.json"
    return [lost.source for lost in GateVerdict.read(gate).sources_skipped.sources] if gate.is_file() else None


def _notes_on(names: Collection[str], folder: Path) -> list[JobNote]:
    """The notes on jobs of some sources and tasks, of this call and those before it."""
    return [note for note in read_notes(folder / "logs") if note.unit.split(" ")[0] in names]


def running_lines(notes: Iterable[JobNote], *, folder: Path, now: float) -> list[str]:
    """A line for each live job: rule and unit, time so far, node, and the last line of its log."""
    lines = []
    for note in notes:
        if note.state == "running":
            where = f", Slurm job {note.slurm_job} on {note.host}" if note.slurm_job else ""
            last = "".join(_tail(folder / note.log, lines=1))
            lines.append(f"running  {note.rule} {note.unit}, {_duration(now - note.started)}{where}: {last}")
    return lines


def failure_lines(notes: Iterable[JobNote], *, folder: str | Path, gone: Collection[JobNote] = ()) -> list[str]:
    """Message and last lines of the log of each failed job; for those in `gone` the last lines alone."""
    lines = []
    for note in notes:
        if note.state == "failed":
            message = note.said or ""
            lines += [f"failed   {note.rule} {note.unit} ({note.log})", *message.splitlines()]
            tail = _tail(Path(folder, note.log), lines=TAIL_LINES)
            lines += [f"  log: {line}" for line in tail if line.strip() not in message]
        elif note in gone:
            lines.append(f"killed   {note.rule} {note.unit} ({note.log}): no word (memory? a time limit?); last lines:")
            lines += [f"  {line}" for line in _tail(Path(folder, note.log), lines=TAIL_LINES)]
    return lines


def failures_since(began: float, *, folder: str | Path = ".") -> str:
    """Failures of all jobs since `began` (seconds since the epoch), for the end of a failed run."""
    notes = [note for note in read_notes(Path(folder, "logs")) if note.started >= began]
    return "\n".join(failure_lines(notes, folder=folder, gone=gone_notes(notes)))


def read_steps(logs: Path) -> CallProgress | None:
    """Progress of the latest call of snakemake, read from its log; None without a log."""
    newest = max(logs.glob("*.snakemake.log"), default=None)
    if newest is None:
        return None
    text = newest.read_text(encoding="utf-8", errors="replace")
    planned = re.findall(r"^total +(\d+)", text, re.MULTILINE)
    done = re.findall(r"^(\d+) of (\d+) steps", text, re.MULTILINE)
    began = datetime.strptime(newest.name.split(".")[0], "%Y-%m-%dT%H%M%S").astimezone().timestamp()
    steps_done, steps_planned = done[-1] if done else (0, planned[-1] if planned else 0)
    return CallProgress(int(steps_done), int(steps_planned), began, newest.stat().st_mtime)


def closing_lines(results: str | Path, *, run: str) -> str:
    """A few lines for a person: model, scoreboard, report, the gain in points, and what the run went on without.

    Raises:
        InputError: the run has not passed its gate yet.
    """
    results = Path(results)
    gate = results / "runs" / run / "gate.json"
    if not gate.is_file():
        raise InputError(f"{gate}: run {run!r} is not finished; `snakemake --cores all` goes on with it")
    verdict = GateVerdict.read(gate)
    unscored = ", ".join(verdict.tasks_skipped)
    return "\n".join(
        [
            f"model       {results / 'runs' / run / 'model'}",
            f"scoreboard  {results / 'scores' / 'scoreboard.parquet'}",
            f"report      {results / 'report' / 'index.html'}",
            f"gain        mean over all tasks {verdict.mean:.1f}: {verdict.gain_over_last:+.1f} points over the base "
            f"with last-token pooling ({verdict.base_last:.1f}), {verdict.gain_over_mean:+.1f} over the base with "
            f"mean pooling ({verdict.base_mean:.1f})",
            *([f"not scored  {unscored}: no rows"] if unscored else []),
            *_labelled("skipped", verdict.sources_skipped.lines()),
        ]
    )


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    """Lines under one label, as the closing lines have it."""
    return [
        f"{label if first else '':<10}  {line}"
        for first, line in zip((True, *[False] * len(lines)), lines, strict=False)
    ]


def _tail(path: Path, *, lines: int) -> list[str]:
    """The last lines of a log without their time, level and module."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - LAST_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    messages = [LOG_PREFIX.sub("", line) for line in text.splitlines() if line.strip()]
    return messages[-lines:]


def _called_and_known_runs(folder: Path) -> tuple[list[str], list[str]]:
    """Runs of the latest call, and all runs of this checkout."""
    called = read_json(folder / CALL)["runs"] if (folder / CALL).is_file() else []
    with_results = [path.name for path in sorted((folder / "results" / "runs").glob("*")) if path.is_dir()]
    return called, list(dict.fromkeys([*called, *with_results]))


def _step_line(steps: CallProgress, now: float, *, live: bool) -> str:
    began = f"begun {_duration(now - steps.began)} ago"
    if live:
        return f"steps    {steps.done} of {steps.planned} done, {began}{_pace(steps, now)}"
    done = f"{steps.done} of {steps.planned} done" if steps.planned else "nothing was to be done"
    return f"steps    {done}, {began}, ended {_duration(max(0, now - steps.logged))} ago"


def _pace(steps: CallProgress, now: float) -> str:
    """Rate and ETA, on the assumption that the rest takes as long as the jobs that are done."""
    left, took = steps.planned - steps.done, now - steps.began
    if not steps.done or left <= 0 or took <= 0:
        return ""
    return (
        f", {60 * steps.done / took:.3g} a minute, ETA {_duration(took / steps.done * left)} if the rest takes as long"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
