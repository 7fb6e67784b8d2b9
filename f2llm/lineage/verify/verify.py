"""Hashes along the whole chain of a run, computed again: what is intact, changed, or cannot be checked.

Every job recorded the sha256 of what it read and wrote. An artefact is intact if it has the hash that its
maker recorded, and every reader read just that. Checkpoints and vectors are no declared outputs: they carry
hashes of their own. The manifests of what led to the scores are inputs of the report and of the crate, whose manifests
seal them; nothing seals those of jobs that come after, nor of parts of jobs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from f2llm.lineage.verify.caches import cache_checks, emptied_caches, undeclared_files
from f2llm.lineage.verify.code import code_findings
from f2llm.lineage.verify.findings import CHANGED, INTACT, UNCHECKED, UNHASHED, Finding
from f2llm.lineage.verify.sample import EVERYTHING, HashSample
from f2llm.records.files import bytes_of, sha256_path
from f2llm.records.hashes import changed_files
from f2llm.runs.layout import run_folder
from f2llm.runs.manifests import REPORTS, Job, jobs_beside, jobs_of, local, named, read_manifests

TEMPORARY = ("embed_part", "mine_part")  # rules whose outputs are deleted once they were read
THREADS = 4
SCOREBOARD = (
    "results/scores/scoreboard.json",
    "results/scores/scoreboard.parquet",
    "results/scores/costs.json",
    "results/lineage/jobs/build_scoreboard.json",
)


class _Recorded(NamedTuple):
    """A hash that the file or folder at `path` should have, and the job that recorded it."""

    name: str  # as manifests have it
    path: Path
    sha256: str
    by: str
    size: int | None  # in bytes; None where older versions recorded none


def verify_run(
    results: str | Path, run: str, *, commit: str | None = None, sample: HashSample = EVERYTHING
) -> list[Finding]:
    """One finding for each artefact, reader and piece of code in the chain of a run, by path.

    `commit` names the commit whose code is compared with that of the jobs, instead of the checkout's.
    What `sample` does not take is not hashed, but its size is compared.

    Raises:
        InputError: there is no such run, or no such commit.
    """
    findings = verify_files(results, run, sample=sample)
    jobs = read_manifests(results).jobs
    findings += code_findings([*jobs_of(jobs, run), *jobs_beside(jobs, run)], commit=commit)
    return sorted(findings, key=lambda finding: (finding.path, finding.what))


def verify_files(results: str | Path, run: str, *, sample: HashSample = EVERYTHING) -> list[Finding]:
    """`verify_run` without the code.

    Raises:
        InputError: there is no such run.
    """
    results, folder = Path(results), run_folder(results, run)
    manifests = read_manifests(results)
    every = manifests.jobs
    own, beside = jobs_of(every, run), jobs_beside(every, run)
    makers, shared = _makers([*own, *beside]), _written_by_others(every, own)
    # Files first: they are hashed in threads, which takes nearly all of the time.
    reports = [job for job in every if job.rule in REPORTS and job not in own]
    checks: list[Callable[[], Finding]] = []
    for recorded in _recorded(own, makers, shared, results=results):
        hashed = sample.takes(recorded.name)
        checks.append(partial(_compare, recorded, hashed=hashed, maker=makers.get(recorded.name), reports=reports))
    filled = {job.params["store"]: job for job in own if isinstance(job.params.get("store"), str)}
    stores = [local(name, results=results) for name in sorted(filled)]
    checks += cache_checks(folder, stores=stores, results=results, sample=sample)
    with ThreadPoolExecutor(THREADS) as pool:
        findings = list(pool.map(lambda check: check(), checks))
    # Then what follows from the manifests alone: who read other bytes, and files that no manifest names.
    findings += _readers(own, makers, made={output for job in every for output in job.outputs}, shared=shared)
    findings += _readers_beside(beside, makers, _makers(every))
    findings += undeclared_files(folder, own, every, results=results)
    findings += emptied_caches(folder, own, stores=filled, results=results)
    # And the files among the manifests that tell this version nothing.
    unread = dict.fromkeys(manifests.foreign, "no manifest that this version reads")
    unread |= {path: error.faults[0].removeprefix(f"{path}: ") for path, error in manifests.newer.items()}
    return [*findings, *(Finding(UNCHECKED, named(path, results=results), what) for path, what in unread.items())]


def _makers(jobs: Iterable[Job]) -> dict[str, Job]:
    return {output: job for job in jobs for output in job.outputs}


def _recorded(
    jobs: Sequence[Job], makers: Mapping[str, Job], shared: set[str], *, results: Path
) -> Iterator[_Recorded]:
    """Yield what makers recorded of their outputs, then what readers recorded of files that no job made."""
    known = set(makers)
    for name, job in makers.items():
        yield _Recorded(name, local(name, results=results), job.outputs[name], _name(job), job.bytes.get(name))
    for job in jobs:
        for name, sha256 in job.inputs.items():
            if name not in known and name not in shared:
                known.add(name)
                yield _Recorded(name, local(name, results=results), sha256, _name(job), job.bytes.get(name))


def _written_by_others(every: Sequence[Job], own: Sequence[Job]) -> set[str]:
    """The files that every run writes anew, where another run wrote them last: they tell nothing of this one."""
    boards = [job for job in every if job.rule == "build_scoreboard"]
    return set(SCOREBOARD) if boards and not any(job in own for job in boards) else set()


def _compare(recorded: _Recorded, *, hashed: bool, maker: Job | None, reports: Sequence[Job]) -> Finding:
    """Compare the hash of a file or folder, or else its size; `reports` of other runs write the same pages."""
    if not recorded.path.exists():
        return _missing(recorded, maker)
    if not hashed:
        if recorded.size is None:
            return Finding(UNHASHED, recorded.name, f"is there; {recorded.by} recorded no size")
        if bytes_of(recorded.path) != recorded.size:
            return Finding(CHANGED, recorded.name, f"has another size than {recorded.by} recorded")
        return Finding(UNHASHED, recorded.name, f"has the size that {recorded.by} recorded")
    sha256 = sha256_path(recorded.path)
    if sha256 == recorded.sha256:
        return Finding(INTACT, recorded.name, f"as {recorded.by} recorded")
    later = next((report for report in reports if report.outputs.get(recorded.name) == sha256), None)
    if later is not None:
        return Finding(UNCHECKED, recorded.name, f"is that of run {later.path.stem}, which was made since")
    return Finding(CHANGED, recorded.name, f"is not what {recorded.by} recorded{changed_files(recorded.path)}")


def _missing(recorded: _Recorded, maker: Job | None) -> Finding:
    if maker is not None and maker.rule in TEMPORARY:
        return Finding(UNCHECKED, recorded.name, "temporary, deleted after it was read")
    if maker is not None and maker.rule == "fetch_source" and recorded.path.name == "raw":
        return Finding(UNCHECKED, recorded.name, "the fetched files were deleted; their hashes are in manifest.json")
    return Finding(CHANGED, recorded.name, f"is missing; {recorded.by} recorded it")


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
