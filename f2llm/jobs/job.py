"""Run a script as one job: its log, note, devices, and the manifest that says what made its outputs."""

import contextlib
import logging
import os
import platform
import re
import resource
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from f2llm.jobs.code import result_versions
from f2llm.jobs.devices import claimed
from f2llm.jobs.inputs import hashes_of_inputs, refuse_changed
from f2llm.jobs.notes import SKIPPED, end_note, note_path, start_note
from f2llm.records.errors import FULL, InputError
from f2llm.records.files import bytes_of, clear_asides, write_json
from f2llm.records.hashes import kept_sha256

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FORMAT = 2  # of manifests; `f2llm.runs.manifests` names those that it reads. Format 1 did not name itself.
# Wildcards that are variant keys: digests in paths, which mean nothing to a person or another run.
KEYS = ("curation", "evaluation_texts", "encoder", "mining", "tokens")
logger = logging.getLogger(__name__)


class JobContext(Protocol):
    """What the workflow engine tells a script about its job."""

    rule: str
    input: Any
    output: Any
    params: Any
    log: Any
    wildcards: Any
    resources: Any
    threads: int


class JobCounts(dict[str, Any]):
    """What a job counted: rows in, rows out, and why; written into its manifest."""


@contextlib.contextmanager
def job(context: JobContext) -> Iterator[JobCounts]:
    """Run the block as one job: log to the rule's log file, and write the manifest at its end.

    Nothing is read that is not what the job before it wrote (`f2llm.jobs.inputs`).
    The manifest goes to the output named `lineage`. Faults of the input end the process with
    one screen on stderr and exit code 1; every traceback goes to the log file. What a killed
    attempt left half-written is deleted first.
    """
    handlers = [logging.FileHandler(context.log[0], mode="w"), logging.StreamHandler()]
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, handlers=handlers, force=True)
    handlers[1].setFormatter(logging.Formatter(f"[{_unit(context)}] %(message)s"))
    for path in (*context.output, note_path(context.log[0])):
        clear_asides(path)
    counts, started = JobCounts(), time.monotonic()
    note = start_note(rule=context.rule, unit=" ".join(_wildcards(context)), log=context.log[0])
    try:
        inputs = hashes_of_inputs(context.input)
        with claimed(int(context.resources.get("device_slots", 0))) as devices:
            if devices:
                logger.info("devices: %s", ", ".join(devices))
            yield counts
        refuse_changed(inputs)
        _write_manifest(context, inputs, counts=counts, seconds=time.monotonic() - started)
    except Exception as error:
        handlers[0].stream.write(traceback.format_exc())
        handlers[0].flush()
        message = _message_of(error)
        sys.stderr.write(f"\n{_unit(context)} failed:\n{message}\n  log: {context.log[0]}\n\n")
        with contextlib.suppress(OSError):  # a full disk has no place for a note either
            end_note(note, state="failed", said=message)
        raise SystemExit(1) from None
    end_note(note, state="done", said=_remarks_of(counts))
    logger.info("done: %s", ", ".join(f"{key} {value}" for key, value in counts.items() if not isinstance(value, dict)))


def job_threads(context: JobContext) -> int:
    """Threads of a job: in a Slurm job its CPUs, since the login node's number of cores bounds `threads`."""
    if "SLURM_JOB_ID" in os.environ:
        return int(context.resources.get("cpus_per_task", context.threads))
    return context.threads


def _write_manifest(
    context: JobContext, inputs: Mapping[str, str], *, counts: Mapping[str, Any], seconds: float
) -> None:
    outputs = {str(path): kept_sha256(path) for path in context.output if str(path) != str(context.output.lineage)}
    write_json(
        context.output.lineage,
        {
            "format": FORMAT,
            "rule": context.rule,
            "wildcards": {key: value for key, value in context.wildcards.items() if key not in (*KEYS, "run")},
            "inputs": dict(inputs),
            "outputs": outputs,
            "bytes": {str(path): bytes_of(path) for path in (*context.input, *outputs)},
            "params": {key: value for key, value in context.params.items() if key != "code"},
            "code": context.params.get("code"),
            "versions": result_versions(),
            "counts": dict(counts),
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds(), 3),
            "peak_memory_mb": peak_memory_mb(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
    )


def peak_memory_mb() -> int:
    """Highest resident memory of this process so far, in MB of 2**20 bytes.

    Not `ru_maxrss`, which begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.is_file() else None
    return (int(peak[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) >> 10


def cpu_seconds() -> float:
    """Processor time of this process and of its ended children so far, imports included."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _remarks_of(counts: Mapping[str, Any]) -> str | None:
    """What a person has to know of a job that is done: that its source was skipped and why, or its remarks."""
    if isinstance(reason := counts.get("skipped"), str):
        return f"{SKIPPED}{reason}"
    return "; ".join(counts.get("remarks", ())) or None


def _message_of(error: Exception) -> str:
    """Message of an error for a person, one line a fault."""
    if isinstance(error, InputError):
        return "\n".join(f"  {fault}" for fault in error.faults)
    full = FULL.get(error.errno) if isinstance(error, OSError) else None
    if full:
        return f"  {error.filename or 'results'}: {full}; free some space and run the same command again"
    return f"  {type(error).__name__}: {error}; the traceback is in the log"


def _unit(context: JobContext) -> str:
    return " ".join([context.rule, *_wildcards(context)])


def _wildcards(context: JobContext) -> list[str]:
    return [str(value) for key, value in context.wildcards.items() if key not in KEYS]
