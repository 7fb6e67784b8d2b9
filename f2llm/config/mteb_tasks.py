"""What mteb's registry says of the tasks and the benchmark that a stanza names.

mteb takes seconds to import and makes a folder at that, so it is asked in a separate process,
once for each question and version, and the answers are kept.
"""

import contextlib
import difflib
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import TYPE_NAMES, columns_of
from f2llm.config.check import load_schema
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.scores import LEFT_OUT

CACHE = Path(".cache/mteb-tasks")
# Answers for the shipped benchmarks under the pinned mteb: a first call does not wait for mteb to load.
SHIPPED = Path(__file__).parents[2] / "config" / "benchmarks" / "mteb"
ANSWER_VERSION = 1  # raised when `answer` says something else of the same task
TYPES = {theirs: ours for ours, theirs in TYPE_NAMES.items()}
MOST_NEAR = 3
# Keys of an entry of `tasks`, by the key that says where its rows come from.
SHARED_KEYS = ("instruction", "batch", "tiers")
KEYS = {
    "source": ("name", "type", "source", "split", "queries", "passages", "train_texts", *SHARED_KEYS),
    "mteb": ("mteb", "revision", "splits", "subsets", "files", "check", *SHARED_KEYS),
    "data": ("name", "type", "data", "columns", *SHARED_KEYS),
}
KINDS = {"source": "drawn from a source", "mteb": "of mteb", "data": "of local files"}
_FROM_MTEB = ("type", "repository", "main_score", "revision", "part_of")


def with_mteb(
    content: Mapping[str, Any], *, where: str, ask: Callable[[str, Sequence[str]], dict[str, Any]] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """A benchmark's stanza with all that mteb knows filled in, and its faults.

    `content` has passed the schema and has its defaults. Its `mteb` names a benchmark whose tasks are
    all taken; an entry of `tasks` with the key `mteb` names a task, or changes one of the benchmark. `ask` is
    `registry`, or `answer` where mteb is loaded in this process anyway.
    """
    faults = _faults(content)
    tasks = [({"batch": ""} if task.get("data") else {}) | task for task in content["tasks"]]
    content = dict(content) | {"tasks": tasks}
    named = [task["mteb"] for task in tasks if task.get("mteb")]
    if not faults and (named or content["mteb"]):
        known = (ask or registry)(content["mteb"], named)
        faults = known["faults"]
        if not faults:
            content["tasks"], faults = _described_tasks(content, known)
    return content, [f"{where}: {fault}" for fault in faults]


def _described_tasks(content: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """All tasks of a stanza with what mteb knows of them, and their faults."""
    whole = {part: name for name, parts in known["parts"].items() for part in parts}
    tasks, faults = [], []
    for task in _whole(content, known):
        if task.get("mteb"):
            described = known["tasks"][task["mteb"]] | {"part_of": whole.get(task["mteb"], "")}
            task, task_faults = _filled(task, described)
            faults += task_faults
        tasks.append(task)
    return tasks, faults + _brought_twice(tasks)


def _brought_twice(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Faults of the user's tasks that are named like one of mteb's, or like a task that these are part of."""
    names = [task["name"] for task in tasks]
    wholes = {task["mteb"]["part_of"] for task in tasks if task.get("mteb")}
    return [
        f"task {name} is also one that `mteb` brings; give yours another name"
        for name in sorted({name for name in names if names.count(name) > 1 or name in wholes})
    ]


def _whole(content: Mapping[str, Any], known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a stanza, a task made of others replaced by these, and the rest of its benchmark."""
    # A stanza that lists tasks itself says by them what its smaller tiers are.
    tiers = {"tiers": ["full"]} if content["tasks"] else {}
    named = {task["mteb"] for task in content["tasks"] if task.get("mteb")}
    added = [tiers | {"mteb": name} for name in known["benchmark"] if name not in named]
    entries = []
    for task in [*content["tasks"], *added]:
        parts = known["parts"].get(task.get("mteb"), [task.get("mteb")])
        # A part that the stanza lists by itself is as it says there.
        entries += [task | ({"mteb": part} if part else {}) for part in parts if len(parts) == 1 or part not in named]
    return entries


def registry(benchmark: str, tasks: Sequence[str], *, cache: Path = CACHE) -> dict[str, Any]:
    """Answer of mteb: `tasks` (name -> description), `benchmark` (names of its tasks) and `faults`, a line each.

    A task that is made of others is not among `tasks`: `parts` names these, which are.
    """
    question = {"benchmark": benchmark, "tasks": sorted(tasks)}
    version = importlib.metadata.version("mteb")
    digest = hashlib.sha256(json.dumps([question, ANSWER_VERSION]).encode()).hexdigest()[:16]
    path, shipped = (folder / f"{version}-{digest}.json" for folder in (cache, SHIPPED))
    for kept in (path, shipped):
        if kept.is_file():
            return read_json(kept)
    with tempfile.TemporaryDirectory() as scratch:
        private = {"MTEB_CACHE": scratch, "HF_HOME": scratch, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        root = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(
            [sys.executable, "-m", "f2llm.config.mteb_tasks"], input=json.dumps(question), text=True,
            capture_output=True, check=False, env={**os.environ, **private, **root},
        )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise InputError(f"mteb {version} cannot be asked for its tasks: {last}; run `make setup`")
    answered = json.loads(done.stdout.splitlines()[-1])
    with contextlib.suppress(OSError):  # a checkout that cannot be written to is told with the run's other faults
        write_json(path, answered)
    return answered


def _faults(content: Mapping[str, Any]) -> list[str]:
    """Faults of the entries of `tasks` that a schema cannot say well."""
    faults = []
    if not content["tasks"] and not content["mteb"]:
        faults.append("there is no task; list `tasks`, or name a benchmark of mteb in `mteb`")
    for place, task in enumerate(content["tasks"]):
        name = task.get("name") or task.get("mteb") or f"number {place + 1}"
        kinds = [key for key in ("source", "mteb", "data") if task.get(key)]
        if len(kinds) != 1:
            faults.append(f"task {name}: give one of source, mteb and data (here: {', '.join(kinds) or 'none'})")
            continue
        faults += [f"task {name}: {fault}" for fault in _key_faults(task, kinds[0])]
        needed = {"source": ("name", "type", "split"), "data": ("name", "type"), "mteb": ()}[kinds[0]]
        faults += [f"task {name}: key {key!r} is missing; add it" for key in needed if key not in task]
        if kinds[0] == "source" and task.get("type") in ("reranking", "pairs", "summarisation"):
            faults.append(f"task {name}: {task['type']} is not drawn from sources; give its files in `data`")
        if name in LEFT_OUT:
            faults.append(f"task {name}: a file beside the scores is named so; give the task another name")
    names = [task.get("name") or task.get("mteb") for task in content["tasks"]]
    return faults + [
        f"task {name} is listed twice; list it once" for name in sorted({n for n in names if n and names.count(n) > 1})
    ]


def _key_faults(task: Mapping[str, Any], kind: str) -> list[str]:
    """Faults of keys that a task of this kind does not read; defaults are filled in and count as absent."""
    schema = load_schema("benchmark")["properties"]["tasks"]["items"]["properties"]
    given = sorted(key for key, value in task.items() if value != schema[key].get("default"))
    faults = [
        f"key {key!r} is not for a task {KINDS[kind]}; take it out (its keys are: {', '.join(KEYS[kind])})"
        for key in given
        if key not in KEYS[kind]
    ]
    if kind == "data" and task.get("type"):
        known = columns_of(task["type"])
        faults += [
            f"columns: a {task['type']} task has no column {ours!r}; name one of: {', '.join(known)}"
            for ours in task.get("columns") or ()
            if ours not in known
        ]
    return faults


def _filled(task: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """An entry with what mteb says of its task, and the faults of what it chooses of that."""
    name, faults = task["mteb"], []
    if task.get("revision", known["revision"]) != known["revision"]:
        faults.append(
            f"task {name}: revision {task['revision']} is pinned, mteb scores {known['revision']}; scores of other "
            "data cannot be compared: take out `revision`"
        )
    chosen = {}
    for key in ("subsets", "splits"):
        names = known[f"all_{key}"]
        for missing in (wanted for wanted in task.get(key, ()) if wanted not in names):
            near = difflib.get_close_matches(missing, names, n=MOST_NEAR) or sorted(names)[:MOST_NEAR]
            faults.append(f"task {name}: {key}: there is no {missing!r}; near it: {', '.join(near)}")
        chosen[key] = [known_name for known_name in names if known_name in task[key]] if task.get(key) else known[key]
    counts = [known["texts"].get(split, {}) for split in chosen["splits"]]
    texts = sum(sum(count.get(subset, 0) for subset in chosen["subsets"]) or count.get("", 0) for count in counts)
    data = {key: known[key] for key in _FROM_MTEB} | chosen | {"texts": texts}
    if "files" in task:
        data["files"] = task["files"]
    kept = {key: value for key, value in task.items() if key not in ("revision", "subsets", "splits", "files")}
    filled = {
        "name": name, "type": TYPES.get(known["type"], known["type"].lower()), "batch": "",
        "instruction": task.get("instruction") or known["instruction"],
    }  # fmt: skip
    return kept | {key: kept.get(key) or value for key, value in filled.items()} | {"mteb": data}, faults


def answer(benchmark: str, wanted: Sequence[str]) -> dict[str, Any]:
    """Answer of mteb in this process, as `registry` returns it."""
    import mteb

    faults: list[str] = []
    tasks: dict[str, Any] = {}
    try:
        tasks = {task.metadata.name: task for task in mteb.get_benchmark(benchmark).tasks} if benchmark else {}
    except KeyError:
        faults.append(_unknown("benchmark", benchmark, [entry.name for entry in mteb.get_benchmarks()]))
    names = list(tasks)
    for name in wanted:
        if name not in tasks:
            try:
                tasks[name] = mteb.get_task(name)
            except KeyError:
                from mteb.get_tasks import _TASKS_REGISTRY

                faults.append(_unknown("task", name, list(_TASKS_REGISTRY)))
    described, parts = {}, {}
    for task in [*tasks.values()]:
        if task.is_aggregate:
            tasks |= {part.metadata.name: part for part in task.metadata.tasks}
    for name, task in tasks.items():
        if task.is_aggregate:
            parts[name] = [part.metadata.name for part in task.metadata.tasks]
        elif task.metadata.modalities != ["text"]:
            faults.append(f"task {name} is of {', '.join(task.metadata.modalities)}; only texts can be scored")
        else:
            described[name] = _described(task)
    return {"benchmark": names, "tasks": described, "parts": parts, "faults": faults}


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    folded = {known_name.casefold(): known_name for known_name in known}
    near = [folded[key] for key in difflib.get_close_matches(name.casefold(), folded, n=MOST_NEAR, cutoff=0.5)]
    return f"mteb has no {kind} {name!r}; near it: {', '.join(near) or 'none'}"


def _described(task: Any) -> dict[str, Any]:  # noqa: ANN401 - mteb's AbsTask
    metadata = task.metadata
    prompt = metadata.prompt.get("query") if isinstance(metadata.prompt, dict) else metadata.prompt
    return {
        "type": metadata.type,
        "repository": metadata.dataset["path"],
        "revision": metadata.dataset["revision"],
        "splits": list(task.eval_splits),
        "subsets": list(task.hf_subsets),
        "all_splits": list(dict.fromkeys([*metadata.eval_splits, *task.eval_splits])),
        "all_subsets": list(dict.fromkeys([*metadata.hf_subsets, *task.hf_subsets])),
        "main_score": metadata.main_score,
        "texts": _texts(metadata.descriptive_stats or {}),
        "instruction": prompt or task.abstask_prompt or "",
    }


def _texts(statistics: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Split -> subset -> rows; the subset "" counts all of them."""
    return {
        split: {
            name: part.get("num_samples") or 0
            for name, part in ({"": content} | (content.get("hf_subset_descriptive_stats") or {})).items()
        }
        for split, content in statistics.items()
    }


if __name__ == "__main__":
    question = json.load(sys.stdin)
    print(json.dumps(answer(question["benchmark"], question["tasks"])))
