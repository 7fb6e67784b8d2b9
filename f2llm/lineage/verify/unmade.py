"""Files of a run that no job declares, and caches that its jobs filled and that hold nothing any more."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from f2llm.lineage.verify.findings import UNCHECKED, Finding
from f2llm.records.files import TIMESTAMP
from f2llm.runs.manifests import RESULTS, Job, local, named

STAGES = ("curated", "mined")
LEAST_DEPTH = 3  # parts of the path of a folder that is looked into: results, stage, variant or run


def undeclared_files(folder: Path, own: Sequence[Job], every: Sequence[Job], *, results: Path) -> Iterator[Finding]:
    """Yield the files that no job declared: in a run's folder, among its scores, cards, curated and mined tables.

    `own` are the run's jobs, `every` those of all runs.
    """
    declared = {local(output, results=results) for job in own for output in job.outputs}
    for path in sorted(folder.iterdir()):
        if path not in declared and path.name != "checkpoints":
            yield Finding(UNCHECKED, named(path, results=results), "no job declares it")
    known = {name for job in every for output in job.outputs for name in (output, *_folders_of(output))}
    looked_into = (*STAGES, f"scores/{folder.name}", f"cards/{folder.name}")
    prefixes = tuple(f"{RESULTS}/{stage}/" for stage in looked_into)
    outputs = {output for job in own for output in job.outputs if output.startswith(prefixes)}
    for holder in sorted({holder for output in outputs for holder in _folders_of(output)}):
        place = local(holder, results=results)
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            name = f"{holder}/{path.name}"
            if name not in known and path.name != TIMESTAMP:
                yield Finding(UNCHECKED, name, "no job declares it")


def emptied_caches(folder: Path, own: Sequence[Job], *, stores: Mapping[str, Job], results: Path) -> Iterator[Finding]:
    """Yield the folders of vectors and checkpoints that a run's jobs filled and that hold none any more.

    `stores` maps the folders of vectors, as manifests name them, to a job that filled them.
    """
    for name, job in sorted(stores.items()):
        if next(local(name, results=results).rglob("shard_*.json"), None) is None:
            yield Finding(UNCHECKED, name, f"its vectors are gone; {job.rule} put them there")
    trained = any(job.rule == "train_model" and f"{RESULTS}/runs/{folder.name}/model" in job.outputs for job in own)
    if trained and next((folder / "checkpoints").glob("*/step_*"), None) is None:
        yield Finding(
            UNCHECKED, f"{RESULTS}/runs/{folder.name}/checkpoints", "its checkpoints are gone; train_model saved them"
        )


def _folders_of(output: str) -> list[str]:
    """The folders that an output lies in, up to that of its run or variant."""
    return [str(folder) for folder in PurePosixPath(output).parents if len(folder.parts) >= LEAST_DEPTH]
