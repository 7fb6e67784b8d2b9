"""Files in a run's folders that no job declares, and undeclared ones that jobs name and that are gone."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from f2llm.lineage.verify.findings import UNCHECKED, Finding
from f2llm.runs.manifests import NAME, Job, local

STAGES = ("curated", "mined")
LEAST_DEPTH = 3  # parts of the path of a folder that is looked into: results, stage, variant or run
TIMESTAMP = ".snakemake_timestamp"


def unmade(folder: Path, own: Sequence[Job], every: Sequence[Job], *, results: Path) -> Iterator[Finding]:
    """Yield the files that no job declared: in a run's folder, among its scores, cards, curated and mined tables.

    `own` are the run's jobs, `every` those of all runs.
    """
    declared = {local(output, results=results) for job in own for output in job.outputs}
    for path in sorted(folder.iterdir()):
        if path not in declared and path.name != "checkpoints":
            yield Finding(UNCHECKED, str(Path(NAME, path.relative_to(results))), "no job declares it")
    known = {name for job in every for output in job.outputs for name in (output, *_above(output))}
    prefixes = tuple(f"{NAME}/{one}/" for one in (*STAGES, f"scores/{folder.name}", f"cards/{folder.name}"))
    outputs = {output for job in own for output in job.outputs if output.startswith(prefixes)}
    for inside in sorted({above for output in outputs for above in _above(output)}):
        place = local(inside, results=results)
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            name = f"{inside}/{path.name}"
            if name not in known and path.name != TIMESTAMP:
                yield Finding(UNCHECKED, name, "no job declares it")


def gone(folder: Path, own: Sequence[Job], *, results: Path) -> Iterator[Finding]:
    """Yield the folders of vectors and checkpoints that a run's jobs filled and that hold none any more."""
    stores = {job.params["store"]: job for job in own if isinstance(job.params.get("store"), str)}
    for name, job in sorted(stores.items()):
        if next(local(name, results=results).rglob("shard_*.json"), None) is None:
            yield Finding(UNCHECKED, name, f"its vectors are gone; {job.rule} put them there")
    trained = any(job.rule == "train_model" and f"{NAME}/runs/{folder.name}/model" in job.outputs for job in own)
    if trained and next((folder / "checkpoints").glob("*/step_*"), None) is None:
        yield Finding(
            UNCHECKED, f"{NAME}/runs/{folder.name}/checkpoints", "its checkpoints are gone; train_model saved them"
        )


def _above(output: str) -> list[str]:
    """Return the folders that an output lies in, down to those of a run or variant."""
    return [str(folder) for folder in PurePosixPath(output).parents if len(folder.parts) >= LEAST_DEPTH]
