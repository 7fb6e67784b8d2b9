"""The manifests of jobs, results/lineage/jobs/**.json: which job made a file, out of what, and for which run."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from f2llm.records.errors import InputError
from f2llm.records.files import read_json

FOLDER = Path("lineage", "jobs")
RESULTS = "results"  # how manifests, which are written in the checkout, name the results folder
FORMATS = (1, 2)  # that this version reads; those of format 1 do not name it
REPORTS = ("build_report", "write_crate")  # rules whose outputs are those of the run that was made last
STAGE_OF_RULE = MappingProxyType(
    {
        "fetch_source": "fetch", "prepare_model": "models", "normalise_source": "normalise", "curate_source": "curate",
        "index_texts": "curate", "check_splits": "curate", "find_shared": "curate", "audit_folder": "curate",
        "embed_part": "embed", "embed_source": "embed", "mine_part": "mine", "mine_source": "mine",
        "tokenise_source": "tokenise", "plan_run": "train", "train_model": "train", "build_report": "report",
    }
)  # fmt: skip
OTHER_STAGE = "evaluate"  # rules of evaluation have names that depend on the benchmark


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
        """The part of its rule that it made: the values of the wildcards."""
        return " ".join(self.wildcards.values())


class Manifests(NamedTuple):
    """The files in a folder of manifests, by path."""

    jobs: list[Job]
    newer: dict[Path, InputError]  # of formats that this version does not read
    foreign: list[Path]  # no manifests


def read_jobs(results: str | Path) -> list[Job]:
    """All jobs of a results folder, by the path of their manifest; foreign files are passed over.

    Raises:
        InputError: manifests are of formats that this version does not read; names them.
    """
    manifests = read_manifests(results)
    if manifests.newer:
        raise InputError([fault for error in manifests.newer.values() for fault in error.faults])
    return manifests.jobs


def read_manifests(results: str | Path) -> Manifests:
    """Read all manifests of a results folder, and name the files among them that cannot be read."""
    manifests = Manifests([], {}, [])
    for path in sorted(path for path in Path(results, FOLDER).rglob("*") if path.is_file()):
        try:
            manifests.jobs.append(read_job(path))
        except InputError as error:
            manifests.newer[path] = error
        except (ValueError, KeyError, TypeError):
            manifests.foreign.append(path)
    return manifests


def read_job(path: Path) -> Job:
    """Read one manifest.

    Raises:
        InputError: it is of a format that this version does not read.
        ValueError, KeyError, TypeError: it is no manifest.
    """
    content = read_content(path)
    return Job(path, *(content[name] for name in Job._fields[1:-1]), bytes=dict(content.get("bytes", {})))


def read_content(path: str | Path) -> dict[str, Any]:
    """Read one manifest as JSON, with the keys that a `Job` leaves out.

    Raises:
        InputError: it is of a format that this version does not read.
    """
    content: dict[str, Any] = read_json(path)
    number = content.get("format", 1) if isinstance(content, dict) else 1
    if number not in FORMATS:
        raise InputError(
            f"{path}: is a manifest of format {number}, and this version reads formats "
            f"{' and '.join(map(str, FORMATS))}; use the version of this project that wrote it, or delete it and run "
            "`snakemake --cores all` in the checkout"
        )
    return content


def unit_of(manifest: Mapping[str, Any]) -> str:
    """`Job.unit` of a manifest as it was read."""
    return " ".join(str(value) for value in manifest.get("wildcards", {}).values())


def peak_memory_of(manifest: Mapping[str, Any]) -> int:
    """Peak memory of a job or of the processes that it started, in MB of 2**20 bytes."""
    children = [value for key, value in manifest["counts"].items() if "peak_memory_mb" in key]
    return int(max([manifest["peak_memory_mb"], *children]))


def stage_of(rule: str) -> str:
    """The stage of the pipeline that a rule belongs to."""
    return STAGE_OF_RULE.get(rule, OTHER_STAGE)


def newest(manifests: Iterable[str | Path]) -> datetime:
    """When the last of some jobs ended, in UTC: the time of its manifest, or SOURCE_DATE_EPOCH where that is set.

    Manifests hold no dates, so that two runs give equal bytes.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    seconds = int(given) if given else max((int(Path(path).stat().st_mtime) for path in manifests), default=0)
    return datetime.fromtimestamp(seconds, UTC)


def local(path: str, *, results: str | Path) -> Path:
    """Where a path of a manifest lies, given where the results folder is now."""
    parts = Path(path).parts
    return Path(results, *parts[1:]) if parts[:1] == (RESULTS,) else Path(results).parent / path


def named(path: Path, *, results: Path) -> str:
    """How manifests name a path below the results folder, wherever that is now."""
    return str(Path(RESULTS, path.relative_to(results)))


def upstream(jobs: Iterable[Job], wanted: Iterable[str]) -> list[Job]:
    """The jobs that the files `wanted` came from, and those that theirs came from, nearest first."""
    makers = {output: job for job in jobs for output in job.outputs}
    waiting, chain = list(wanted), []
    while waiting:
        job = makers.get(waiting.pop(0))
        if job is not None and job not in chain:
            chain.append(job)
            waiting += job.inputs
    return chain


def jobs_of(jobs: Sequence[Job], run: str) -> list[Job]:
    """The jobs of a run: those that made its own files, those that theirs came from, and its report."""
    folders = tuple(f"{RESULTS}/{kind}/{run}/" for kind in ("runs", "scores", "cards"))
    # Any run may have made the scoreboard that lies there now: it is of the run whose scores it read.
    candidates = [
        job
        for job in jobs
        if job.rule != "build_scoreboard" or any(path.startswith(f"{RESULTS}/scores/{run}/") for path in job.inputs)
    ]
    last = [job for job in jobs if any(output.startswith(folders) for output in job.outputs)]
    last += [job for job in jobs if job.rule == "build_scoreboard" and any(p.startswith(folders) for p in job.inputs)]
    last += [job for job in jobs if job.rule in REPORTS and job.path.stem == run]
    # What the report read the manifest of is of the run, though no file of the run came from it.
    read = {
        path.removeprefix(RESULTS) for job in last for path in job.inputs if path.startswith(f"{RESULTS}/{FOLDER}/")
    }
    last += [job for job in candidates if any(str(job.path).endswith(path) for path in read)]
    behind = upstream(candidates, [path for job in last for path in job.inputs])
    return list({job.path: job for job in [*last, *behind]}.values())


def jobs_beside(jobs: Sequence[Job], run: str) -> list[Job]:
    """The jobs that passed a run's scores on, which nothing of the run came from: its export, its ablation."""
    model = f"{RESULTS}/runs/{run}/model"
    return [
        job
        for job in jobs
        if (job.rule == "export_scores" and model in job.inputs)
        or (job.rule == "compare_changes" and job.path.stem == run)
    ]
