"""Forgetting carried out: exclude, delete what no job makes again, run what depends on it, and look again."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from f2llm.config.exclusions import FILE, add_exclusions
from f2llm.lineage.forget.files import delete_copies, delete_pages
from f2llm.lineage.forget.holders import Holder, find_holders
from f2llm.lineage.forget.remains import TOKENS, Remains, source_folders
from f2llm.records.errors import InputError
from f2llm.runs.layout import Layout, read_layout, runs_in
from f2llm.runs.manifests import FOLDER, read_content, read_jobs
from f2llm.vectors.store import delete_vectors

FETCHED = "a fetched file that it came from"
FOLDERS = {"curated": ("curated", "shared"), "mined": ("mined",), "tokens": ("tokens",)}


def rebuild(layout: Layout, remains: Remains, *, delete_raw: bool, arguments: Sequence[str] = ()) -> list[str]:
    """Exclude what is to be forgotten, make the run again without it, and return where it still is.

    Runs snakemake in the checkout that the results folder lies in, with `arguments`; only what depends on
    the changed sources is made again. Checkpoints that learned from it, the stored vectors of its texts,
    the index of texts, pages that no job makes, and variants that no run refers to any more are deleted,
    with `delete_raw` the fetched files that it came from, too (a later run fetches them again and leaves it out again),
    also out of their store unless another source or a model has them.

    Raises:
        InputError: snakemake failed.
    """
    results = layout.results
    add_exclusions(results.parent / "config" / FILE, remains.exclusions)
    for vectors in (results / "vectors" / "store", results / "vectors" / "evaluation" / "store"):
        delete_vectors(vectors, remains.vectors)
    shutil.rmtree(results / "lineage" / "index", ignore_errors=True)
    delete_pages(results)
    if not remains.traces or any(trace.seen.steps for trace in remains.traces):
        shutil.rmtree(layout.of_run("checkpoints"), ignore_errors=True)
    tokens = [holder.path for holder in remains.holders if holder.where == TOKENS]
    before = _stamps([*_learned(remains), *tokens])
    for name in [exclusion.source for exclusion in remains.exclusions if exclusion.whole]:
        _delete_source(results, name, delete_raw=delete_raw)
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *arguments]
    if subprocess.run(command, cwd=results.parent, check=False).returncode:
        raise InputError("the run could not be made again; mend what snakemake says and run it once more")
    _delete_stale(results, layout)
    for folder in {path.relative_to(results).parts[1] for path in remains.raw} if delete_raw else ():
        shutil.rmtree(results / "sources" / folder / "raw", ignore_errors=True)
    if delete_raw:
        delete_copies(results, remains.copies)
    left = _left(layout, remains, before=before)
    return [f"{holder.path.relative_to(results.parent)}: {holder.where}" for holder in left]


def _left(layout: Layout, remains: Remains, *, before: Mapping[Path, int]) -> list[Holder]:
    """The files that still hold it; of `before`, path -> time of writing, what was not written since."""
    results = layout.results
    ids = {*remains.needles.ids, *remains.vectors}
    folders = [path for path in sorted(results.iterdir()) if path.name != "lineage"]
    left = find_holders(folders, remains.needles._replace(ids=ids))
    # Manifests and logs name what is excluded by its id, from which no text follows.
    left += find_holders([results / "lineage", results.parent / "logs"], remains.needles._replace(ids=[]))
    learned = _learned(remains)
    since = _stamps(before)
    for path in (path for path, stamp in before.items() if since.get(path) == stamp):
        if path in learned:
            left.append(Holder(path, learned[path]))
        elif path.relative_to(results).parts[1] != layout.variants["tokens"]:
            left.append(Holder(path, TOKENS))
    left += [Holder(path, FETCHED) for path in remains.raw if path.is_file()]
    left += [
        Holder(copy.path, f"{FETCHED}, kept for {', '.join(copy.users)}" if copy.users else FETCHED)
        for copy in remains.copies
        if copy.path.is_file()
    ]
    return list({holder.path: holder for holder in reversed(left)}.values())[::-1]  # the first that is said of a path


def _learned(remains: Remains) -> dict[Path, str]:
    """Map plans, checkpoints and models to what is said of them."""
    return {
        path: f"run {learner.run} learned from it"
        for learner in remains.learners
        for path in (learner.plan, *learner.made)
    }


def _delete_source(results: Path, name: str, *, delete_raw: bool) -> None:
    """Delete all tables of a source, and the tasks that are drawn from it."""
    tasks = [job.wildcards["task"] for job in read_jobs(results) if _draws_from(job.params.get("stanza"), name)]
    for folder in [*source_folders(results, name), *(results / "benchmarks" / task for task in tasks)]:
        if folder == results / "sources" / name and not delete_raw:
            for table in folder.glob("*.parquet"):
                table.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for path in results.glob(f"vectors/*/*/{name}.json"):
        path.unlink()
    for task in tasks:
        for path in [*results.glob(f"scores/*/{task}.json"), *results.glob(f"scores/*/items/{task}.parquet")]:
            path.unlink()


def _draws_from(stanza: object, name: str) -> bool:
    """Say whether a job's stanza is that of a task that is drawn from a source."""
    if not isinstance(stanza, dict) or "split" not in stanza:
        return False
    return stanza.get("kind", "drawn") == "drawn" and stanza.get("source") == name


def _delete_stale(results: Path, before: Layout) -> None:
    """Delete the variants of the run as it was that no run refers to any more, and the texts matched against then."""
    now = [read_layout(results, run=run).variants for run in runs_in(results)]
    for stage, folders in FOLDERS.items():
        key = before.variants[stage]
        if key not in {variants[stage] for variants in now}:
            for folder in folders:
                shutil.rmtree(results / folder / key, ignore_errors=True)
    made = {Path(name).name for job in read_jobs(results) if job.rule == "index_texts" for name in job.outputs}
    for key in {path.parent.name for path in results.glob("evaluation_texts/*/*")}:
        manifest = results / FOLDER / "index_texts" / f"{key}.json"
        inputs = read_content(manifest)["inputs"] if manifest.is_file() else {}
        if key not in made or not all((results.parent / name).exists() for name in inputs):
            shutil.rmtree(results / "evaluation_texts" / key, ignore_errors=True)


def _stamps(paths: Iterable[Path]) -> dict[Path, int]:
    """When the newest file of each of these files and folders was written, in ns; without those that do not exist."""
    stamps = {}
    for path in paths:
        if path.exists():
            files = [path, *path.rglob("*")] if path.is_dir() else [path]
            stamps[path] = max(file.stat().st_mtime_ns for file in files)
    return stamps
