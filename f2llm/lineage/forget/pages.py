"""Pages and their tables that a person had made beside a run: no job makes them again when its data change."""

import shutil
from pathlib import Path

from f2llm.runs.manifests import local, read_jobs

# Below results: `f2llm report` and `compare` write there undeclared; the target `ablate` declares what it makes.
REPORT, ABLATIONS = "report", "ablations"


def own_pages(results: Path) -> list[Path]:
    """Return the files and folders right below results/report and results/ablations that no job declares."""
    declared = {local(name, results=results) for job in read_jobs(results) for name in job.outputs}
    found = sorted([*results.glob(f"{REPORT}/*"), *results.glob(f"{ABLATIONS}/*/*")])
    return [
        path
        for path in found
        if declared.isdisjoint([path, *path.parents]) and not any(path in one.parents for one in declared)
    ]


def delete_pages(results: Path) -> None:
    """Delete these: they may show what was forgotten, a text cut short included, that no search for it finds."""
    for path in own_pages(results):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
