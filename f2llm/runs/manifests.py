"""The manifests of all jobs in a results folder: what made which file, out of what."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from f2llm.records.files import read_json

FOLDER = Path("lineage", "jobs")
NAME = "results"  # how manifests, which are written in the checkout, name the results folder


class Job(NamedTuple):
    """One job as its manifest has it. Paths are relative to the checkout, hashes are sha256."""

    path: Path
    rule: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    params: Mapping[str, Any]
    code: str | None
    wildcards: Mapping[str, str]
    versions: Mapping[str, str]
    counts: Mapping[str, Any]
    seconds: float
    bytes: Mapping[str, int] = MappingProxyType({})  # of inputs and outputs; older versions recorded none

    @property
    def unit(self) -> str:
        """What of its rule it made: the values of the wildcards."""
        return " ".join(self.wildcards.values())


def unit_of(manifest: Mapping[str, Any]) -> str:
    """Return the same of a manifest as it was read."""
    return " ".join(str(value) for value in manifest.get("wildcards", {}).values())


def peak_memory_of(manifest: Mapping[str, Any]) -> int:
    """Return the peak memory of a job or of the processes that it started, in MB of 2**20 bytes."""
    children = [value for key, value in manifest["counts"].items() if "peak_memory_mb" in key]
    return int(max([manifest["peak_memory_mb"], *children]))


def read_jobs(results: str | Path) -> list[Job]:
    """Return all jobs whose manifest can be read, by path; foreign files are passed over."""
    paths = sorted(Path(results, FOLDER).rglob("*.json"))
    return [job for path in paths if (job := _read(path)) is not None]


def unread_manifests(results: str | Path) -> list[Path]:
    """Return the files among the manifests that are none, or none that this version reads."""
    return [path for path in sorted(Path(results, FOLDER).rglob("*")) if path.is_file() and _read(path) is None]


def _read(path: Path) -> Job | None:
    try:
        content = read_json(path)
        return Job(path, *(content[name] for name in Job._fields[1:-1]), bytes=dict(content.get("bytes", {})))
    except (ValueError, KeyError, TypeError):
        return None


def upstream(jobs: Iterable[Job], wanted: Iterable[str]) -> list[Job]:
    """Return the jobs that the files `wanted` came from, and those that theirs came from, nearest first."""
    made = {output: job for job in jobs for output in job.outputs}
    waiting, seen = list(wanted), []
    while waiting:
        job = made.get(waiting.pop(0))
        if job is not None and job not in seen:
            seen.append(job)
            waiting += job.inputs
    return seen


def local(path: str, *, results: str | Path) -> Path:
    """Return where a path of a manifest lies, given where the results folder is now."""
    parts = Path(path).parts
    return Path(results, *parts[1:]) if parts[:1] == (NAME,) else Path(results).parent / path
