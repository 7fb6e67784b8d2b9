"""The evaluation texts of a run as an index on disk: built once, mapped by every job that matches against it.

Legend: a text is a distinct (task, E2 form) of what is scored, numbered in the order of (task, split, field, id); a run
is a few words in a row. Files of the folder: texts.arrow (the texts and where they are from), words, task and key/text
(sorted hashes of whole texts) by text, for each length of runs grams/offsets/texts/needed, and a table of hashes for
each retrieval corpus. Which texts match is decided in decontaminate.py.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from f2llm.curate.passages import comparable, comparable_key
from f2llm.curate.rows import Ints, Mask, group_starts, joined, offsets_of
from f2llm.curate.shingles import Ragged, distinct, word_hashes
from f2llm.curate.store import Store, scratch
from f2llm.jobs.progress import Progress
from f2llm.records.errors import InputError
from f2llm.records.files import atomic_folder, read_json, write_json
from f2llm.records.schemas.tasks import TEXTS
from f2llm.records.sql import ask
from f2llm.records.tables import count_rows, numbered, read_batches, read_metadata

GRAM = 5  # words
LONGEST_RUN = 8  # words; texts up to here must be found whole
TRAINING_SPLIT = "train"  # of a task: what a probe is fitted on is no evaluation text
SCORED_FIELDS = ("query", "text")
CORPUS_FIELD = "corpus"
ROWS_PER_BATCH = 4096
SMALLEST_MAPPED = 4096  # bytes
SIZES = {str(size): size for size in range(GRAM, LONGEST_RUN + 1)} | {"long": GRAM}
TEXT_ORIGIN = pa.schema([(name, pa.large_string()) for name in ("task", "split", "field", "id", "text")])


class RunIndex(NamedTuple):
    """Inverted index of hashed word runs of one size: gram -> the texts that have it."""

    size: int  # words of a run
    grams: NDArray[np.uint64]  # sorted, distinct
    offsets: Ints
    texts: NDArray[np.int32]
    needed: NDArray[np.int32]  # by text: distinct grams it has


class TextOrigin(NamedTuple):
    """Where an evaluation text is from."""

    task: str
    split: str
    field: str
    id: str
    text: str


class EvaluationIndex(NamedTuple):
    """What `index_texts` wrote, mapped into memory."""

    origins: pa.Table  # of schema TEXT_ORIGIN, by text
    tasks: NDArray[np.int32]  # number of the task, by text
    words: NDArray[np.int32]  # by text
    keys: NDArray[np.uint64]  # sorted hashes of the whole texts ...
    texts: NDArray[np.int32]  # ... and the text of each
    runs: tuple[RunIndex, ...]  # texts of 5, 6, 7, 8 words in one run; longer ones, and letters, in 5-grams
    corpora: Mapping[str, NDArray[np.uint64]]  # task -> sorted hashes of the texts of its corpus


def index_texts(
    texts: Mapping[str, str | Path],
    *,
    extra: Sequence[str | Path],
    folder: str | Path,
    query_like: Collection[str],
    missing: str,
    memory_mb: int,
) -> dict[str, Any]:
    """Write the index of the evaluation texts of a run to `folder`; return counts, which also lie there as index.json.

    Args:
        texts: texts.parquet by task of the run.
        extra: more Parquet files with the columns of schema TEXTS, of any tasks.
        folder: to be made.
        query_like: tasks whose retrieval corpus counts as queries.
        missing: "fail" or "allow" tasks of the run without any text that is scored.
        memory_mb: limit of the engine that sorts; building holds some 16 bytes a word of the scored texts beside it.

    Raises:
        InputError: a file lacks a column or has nulls or an unknown field, or a task has no texts; all of them at once.
    """
    paths = [*(Path(path) for _, path in sorted(texts.items())), *map(Path, extra)]
    faults = [fault for path in paths for fault in _file_faults(path)]
    if faults:
        raise InputError(faults)
    with scratch(Path(folder).parent / f".{Path(folder).name}.scratch", memory_mb=memory_mb, threads=1) as store:
        rows = _sorted_rows(paths, store=store, query_like=query_like)
        scored = ask("SELECT task, count_if(scored), count_if(NOT scored) FROM read_parquet(?) GROUP BY task", [rows])
        counts = {task: {"texts": texts_scored, "corpus": corpus} for task, texts_scored, corpus in scored}
        absent = [task for task, path in sorted(texts.items()) if not counts.get(task, {}).get("texts")]
        skipped = [task for task in absent if "skipped" in read_metadata(texts[task])]
        absent = [task for task in absent if task not in skipped]
        if absent and missing == "fail":
            raise InputError([_missing(task, texts[task]) for task in absent])
        content = {"tasks": counts, "missing": absent, "skipped": skipped}
        with atomic_folder(folder) as aside:
            content["texts"] = _write(rows, aside, tasks=sorted(counts))
            write_json(aside / "index.json", content)
    return {"tasks": len(counts), "texts": content["texts"], "missing": absent, "skipped": skipped}


def read_index(folder: str | Path) -> EvaluationIndex:
    """Map the index in `folder`; memory is that of the pages in use."""
    folder = Path(folder)

    def array(name: str) -> NDArray:
        path = folder / f"{name}.npy"
        mapped = path.stat().st_size >= SMALLEST_MAPPED  # an empty array cannot be mapped
        return np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)

    runs = tuple(
        RunIndex(size, *(array(f"{part}-{name}") for part in ("grams", "offsets", "texts", "needed")))
        for name, size in SIZES.items()
    )
    tasks = sorted(read_json(folder / "index.json")["tasks"])
    names = {task: f"corpus-{number}" for number, task in enumerate(tasks)}
    corpora = {task: array(name) for task, name in names.items() if (folder / f"{name}.npy").exists()}
    origins = pa.ipc.open_file(pa.memory_map(str(folder / "texts.arrow"))).read_all()
    return EvaluationIndex(origins, array("task"), array("words"), array("key"), array("text"), runs, corpora)


def _file_faults(path: Path) -> Iterator[str]:
    """Yield what is wrong with the columns of a table of texts."""
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowInvalid) as error:
        yield f"{path}: cannot be read as Parquet ({error}); give evaluation texts as {', '.join(TEXTS.names)}"
        return
    if lacking := [name for name in TEXTS.names if name not in names]:
        yield f"{path}: columns {', '.join(lacking)} are missing; evaluation texts are {', '.join(TEXTS.names)}"
        return
    nulls = " + ".join(f"count_if({name} IS NULL)" for name in TEXTS.names)
    fields = ", ".join(f"'{field}'" for field in (*SCORED_FIELDS, CORPUS_FIELD))
    query = f"SELECT {nulls}, list(DISTINCT field) FILTER (field NOT IN ({fields})) FROM read_parquet(?)"
    empty, unknown = ask(query, [path])[0]
    if empty:
        yield f"{path}: {empty} values are null; fill them or leave their rows out"
    if unknown:
        yield f"{path}: field is {', '.join(map(repr, sorted(unknown)))}; it must be query, text or corpus"


def _missing(task: str, path: str | Path) -> str:
    return (
        f"benchmark task {task}: {path} has no text that is scored, so the run cannot be decontaminated against it; "
        "get its test data, or say `curate: {decontaminate: {missing: allow}}`, and the scoreboard says so"
    )


def _sorted_rows(paths: Sequence[Path], *, store: Store, query_like: Collection[str]) -> Path:
    """A table of schema TEXT_ORIGIN and `scored`, by (task, split, field, id), training rows left out."""
    target = store.folder / "rows.parquet"
    store.engine.execute(
        f"""COPY (SELECT task, split, field, CAST(id AS VARCHAR) AS id, text,
                         field <> '{CORPUS_FIELD}' OR list_contains($query_like, task) AS scored
                  FROM read_parquet($paths, union_by_name = true) WHERE split <> '{TRAINING_SPLIT}'
                  ORDER BY task, split, field, id, text) TO $target (FORMAT parquet, ROW_GROUP_SIZE 20480)""",
        {"paths": list(map(str, paths)), "query_like": sorted(query_like), "target": str(target)},
    )
    return target


def _write(rows: Path, folder: Path, *, tasks: Sequence[str]) -> int:
    """Write the files of the index and return the number of texts."""
    keys, task, scored = _hashed(rows, tasks)
    chosen = np.zeros(len(keys), bool)
    chosen[_first(keys, task, scored)] = True
    for number in range(len(tasks)):
        corpus = np.unique(keys[~scored & (task == number) & (keys != 0)])
        if len(corpus):
            np.save(folder / f"corpus-{number}.npy", corpus)
    order = np.argsort(keys[chosen], kind="stable")
    np.save(folder / "key.npy", keys[chosen][order])
    np.save(folder / "text.npy", order.astype(np.int32))
    np.save(folder / "task.npy", task[chosen])
    _write_runs(rows, folder, chosen=chosen)
    return int(chosen.sum())


def _hashed(rows: Path, tasks: Sequence[str]) -> list[NDArray]:
    """By row: hash of the comparable form (0 for none), number of the task, whether it is scored."""
    numbers = {name: number for number, name in enumerate(tasks)}
    parts = []
    with Progress("evaluation texts: read", total=count_rows(rows), unit="texts") as bar:
        for batch in read_batches(rows, columns=["task", "text", "scored"], rows=ROWS_PER_BATCH):
            forms = [comparable(text) for text in batch["text"].to_pylist()]
            keys = np.fromiter((comparable_key(form) if form else 0 for form in forms), np.uint64, len(forms))
            task = np.fromiter((numbers[name] for name in batch["task"].to_pylist()), np.int32, len(forms))
            parts.append((keys, task, batch["scored"].to_numpy(zero_copy_only=False).astype(bool)))
            bar.advance(len(forms))
    return joined(parts, np.uint64, np.int32, bool)


def _first(keys: NDArray[np.uint64], task: NDArray[np.int32], scored: Mask) -> Ints:
    """The first row of every (task, form) that is scored."""
    rows = np.flatnonzero(scored & (keys != 0))
    order = rows[np.lexsort((rows, keys[rows], task[rows]))]
    return order[group_starts(keys[order], task[order])]


def _write_runs(rows: Path, folder: Path, *, chosen: Mask) -> None:
    """Write the chosen texts and the inverted index of their runs."""
    runs: dict[str, list[Ragged]] = {name: [] for name in SIZES}
    words = [np.zeros(0, np.int32)]
    with pa.OSFile(str(folder / "texts.arrow"), "wb") as sink, pa.ipc.new_file(sink, TEXT_ORIGIN) as writer:
        for start, batch in numbered(read_batches(rows, columns=TEXT_ORIGIN.names, rows=ROWS_PER_BATCH)):
            batch = batch.filter(pa.array(chosen[start : start + len(batch)]))
            writer.write_table(pa.Table.from_batches([batch]).select(TEXT_ORIGIN.names).cast(TEXT_ORIGIN))
            hashed = word_hashes([comparable(text) for text in batch["text"].to_pylist()])
            words.append(hashed.counts().astype(np.int32))
            # Letters of scripts without spaces make runs of many lengths: there the 5-grams stand for the run as well.
            long = (words[-1] > LONGEST_RUN) | hashed.with_letters()
            for name, size in SIZES.items():
                # A text stands in one of the indexes: that of its length, or the one of 5-grams if it is longer.
                indexed = long if name == "long" else ~long & (words[-1] == size)
                shingled = distinct(hashed.grams(size))
                counts = np.where(indexed, np.diff(shingled.offsets), 0)
                runs[name].append(Ragged(shingled.values[indexed[shingled.owners()]], offsets_of(counts)))
    np.save(folder / "words.npy", np.concatenate(words))
    for name in SIZES:
        _write_index(runs.pop(name), folder, name=name)


def _write_index(parts: Sequence[Ragged], folder: Path, *, name: str) -> None:
    """Turn the runs of each text into the texts of each run, and write them."""
    values = np.concatenate([np.zeros(0, np.uint64), *(part.values for part in parts)])
    needed = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.offsets) for part in parts)]).astype(np.int32)
    owners = np.repeat(np.arange(len(needed), dtype=np.int32), needed)
    order = np.argsort(values, kind="stable")  # owners rise within a gram
    grams, counts = np.unique(values, return_counts=True)
    np.save(folder / f"grams-{name}.npy", grams)
    np.save(folder / f"offsets-{name}.npy", offsets_of(counts))
    np.save(folder / f"texts-{name}.npy", owners[order])
    np.save(folder / f"needed-{name}.npy", needed)
