"""Hashes along the whole chain of a run, computed again: what is intact, changed, or cannot be checked.

Every job recorded the sha256 of what it read and wrote. An artefact is intact if it has the hash that its
maker recorded, and every reader read just that. Checkpoints and vectors are no declared outputs: they carry
hashes of their own. The manifests of what led to the scores are inputs of the report and of the crate, whose manifests
seal them; nothing seals those of jobs that come after, nor of parts of jobs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from f2llm.lineage.verify.caches import cache_checks
from f2llm.lineage.verify.code import code_findings
from f2llm.lineage.verify.findings import CHANGED, INTACT, UNCHECKED, UNHASHED, Finding
from f2llm.lineage.verify.sample import EVERYTHING, HashSample
from f2llm.lineage.verify.unmade import gone, unmade
from f2llm.records.files import bytes_of, read_json, sha256_file, sha256_path
from f2llm.runs.layout import run_folder
from f2llm.runs.manifests import REPORTS, Job, jobs_beside, jobs_of, local, read_jobs, unread_manifests

TEMPORARY = ("embed_part", "mine_part")  # rules whose outputs are deleted once they were read
THREADS = 4
SCOREBOARD = (
    "results/scores/scoreboard.json",
    "results/scores/scoreboard.parquet",
    "results/scores/costs.json",
    "results/lineage/jobs/build_scoreboard.json",
)


class _Hash(NamedTuple):
    """A hash that the file or folder at `path` should have, and who says so."""

    name: str  # as manifests have it
    path: Path
    sha256: str
    said_by: str
    size: int | None  # in bytes; None if nobody says


def verify_run(
    results: str | Path, run: str, *, commit: str | None = None, sample: HashSample = EVERYTHING
) -> list[Finding]:
    """Return one finding for each artefact, reader and piece of code in the chain of a run.

    `commit` names the commit whose code is compared with that of the jobs, instead of the checkout's.
    What `sample` does not take is not hashed, but its size is compared.

    Raises:
        InputError: there is no such run, or no such commit.
    """
    every = read_jobs(results)
    own = [*jobs_of(every, run), *jobs_beside(every, run)]
    found = verify_files(results, run, sample=sample) + code_findings(own, commit=commit)
    return sorted(found, key=lambda one: (one.path, one.what))


def verify_files(results: str | Path, run: str, *, sample: HashSample = EVERYTHING) -> list[Finding]:
    """Return the same but for the code.

    Raises:
        InputError: there is no such run.
    """
    results, folder = Path(results), run_folder(results, run)
    every = read_jobs(results)
    own, beside = jobs_of(every, run), jobs_beside(every, run)
    makers, shared = _makers([*own, *beside]), _shared(every, own)
    reports = [job for job in every if job.rule in REPORTS and job not in own]
    hashes = [_Hash(name, local(name, results=results), *said) for name, said in _expected(own, makers, shared).items()]
    checks: list[Callable[[], list[Finding]]] = [
        (lambda one=one: _compare(one, results, makers, reports))
        if sample.takes(one.name)
        else (lambda one=one: _compare_size(one, makers))
        for one in hashes
    ]
    checks += cache_checks(folder, stores=_stores(own, results), results=results, sample=sample)
    with ThreadPoolExecutor(THREADS) as pool:
        found = [finding for findings in pool.map(lambda check: check(), checks) for finding in findings]
    found += _readers(own, makers, made={output for job in every for output in job.outputs}, shared=shared)
    found += _readers_beside(beside, makers, _makers(every))
    found += unmade(folder, own, every, results=results)
    found += gone(folder, own, results=results)
    found += [
        Finding(UNCHECKED, str(Path("results", path.relative_to(results))), "no manifest that this version reads")
        for path in unread_manifests(results)
    ]
    return found


def _stores(jobs: Sequence[Job], results: Path) -> list[Path]:
    """Return the folders of vectors that jobs read or wrote."""
    named = {job.params["store"] for job in jobs if isinstance(job.params.get("store"), str)}
    return [local(name, results=results) for name in sorted(named)]


def _makers(jobs: Iterable[Job]) -> dict[str, Job]:
    return {output: job for job in jobs for output in job.outputs}


def _expected(
    jobs: Sequence[Job], makers: Mapping[str, Job], shared: set[str]
) -> dict[str, tuple[str, str, int | None]]:
    """Return path -> (hash, who says so, bytes): what makers recorded, or readers of files that no job made."""
    found = {name: (job.outputs[name], _name(job), job.bytes.get(name)) for name, job in makers.items()}
    for job in jobs:
        for name, sha256 in job.inputs.items():
            if name not in found and name not in shared:
                found[name] = (sha256, _name(job), job.bytes.get(name))
    return found


def _shared(every: Sequence[Job], own: Sequence[Job]) -> set[str]:
    """Return the files that every run writes anew, where another run wrote them last: they tell nothing of this one."""
    boards = [job for job in every if job.rule == "build_scoreboard"]
    return set(SCOREBOARD) if boards and not any(job in own for job in boards) else set()


def _compare(one: _Hash, results: Path, makers: Mapping[str, Job], reports: Sequence[Job]) -> list[Finding]:
    if not one.path.exists():
        return [_missing(one, makers.get(one.name))]
    sha256 = sha256_path(one.path)
    if sha256 == one.sha256:
        return [Finding(INTACT, one.name, f"as {one.said_by} recorded")]
    other = next((report for report in reports if report.outputs.get(one.name) == sha256), None)
    if other is not None:
        return [Finding(UNCHECKED, one.name, f"is that of run {other.path.stem}, which was made since")]
    inside = _inside(one, results)
    return [Finding(CHANGED, one.name, f"is not what {one.said_by} recorded{inside}")]


def _compare_size(one: _Hash, makers: Mapping[str, Job]) -> list[Finding]:
    if not one.path.exists():
        return [_missing(one, makers.get(one.name))]
    if one.size is None:
        return [Finding(UNHASHED, one.name, f"is there; {one.said_by} recorded no size")]
    if bytes_of(one.path) != one.size:
        return [Finding(CHANGED, one.name, f"has another size than {one.said_by} recorded")]
    return [Finding(UNHASHED, one.name, f"has the size that {one.said_by} recorded")]


def _missing(one: _Hash, job: Job | None) -> Finding:
    if job is not None and job.rule in TEMPORARY:
        return Finding(UNCHECKED, one.name, "temporary, deleted after it was read")
    if job is not None and job.rule == "fetch_source" and one.path.name == "raw":
        return Finding(UNCHECKED, one.name, "the fetched files were deleted; their hashes are in manifest.json")
    return Finding(CHANGED, one.name, f"is missing; {one.said_by} recorded it")


def _inside(one: _Hash, results: Path) -> str:
    """Name the fetched files of a source that are not as its manifest has them."""
    manifest = one.path.parent / "manifest.json"
    if one.path.name != "raw" or not manifest.is_file():
        return ""
    files = {file["name"]: file["sha256"] for file in read_json(manifest)["files"]}
    wrong = [
        name for name, sha256 in files.items() if not (path := one.path / name).is_file() or sha256_file(path) != sha256
    ]
    return f": {', '.join(wrong)}" if wrong else ": a file was added"


def _readers(jobs: Sequence[Job], makers: Mapping[str, Job], *, made: set[str], shared: set[str]) -> Iterator[Finding]:
    """Yield what each job read that is not what its maker wrote."""
    for job in jobs:
        for name, sha256 in job.inputs.items():
            maker = makers.get(name)
            if maker is not None and maker.outputs[name] != sha256:
                yield Finding(CHANGED, name, f"{_name(job)} read other bytes than {_name(maker)} wrote")
            elif name in shared:
                yield Finding(UNCHECKED, name, f"read by {_name(job)}, written anew by another run since")
            elif maker is None and name in made:
                yield Finding(UNCHECKED, name, f"read by {_name(job)}, made for another run")


def _readers_beside(beside: Sequence[Job], own: Mapping[str, Job], every: Mapping[str, Job]) -> Iterator[Finding]:
    """Yield what was passed on and is not what its maker wrote; another run may be made anew without damage."""
    for job in beside:
        for name, sha256 in job.inputs.items():
            if name in own and own[name].outputs[name] != sha256:
                yield Finding(CHANGED, name, f"{_name(job)} read other bytes than {_name(own[name])} wrote")
            elif name not in own and name in every and every[name].outputs[name] != sha256:
                yield Finding(UNCHECKED, name, f"read by {_name(job)}, written anew since")


def _name(job: Job) -> str:
    return " ".join([job.rule, *job.wildcards.values()])
