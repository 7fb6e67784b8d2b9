"""Find training texts that contain evaluation texts; the rule depends on the length of the evaluation text.

On E2 words: the whole text equal, at any length; 5 to 8 words: the whole text as one run; 9
words and more: the share of its distinct word 5-grams that the training text has. Why this
rule and not another: docs/curation.md.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.curate.passages import comparable, comparable_key
from f2llm.curate.shingles import Ragged, distinct, windows, word_hashes
from f2llm.records.tables import read_table

GRAM = 5  # words
LONGEST_RUN = 8  # words; texts up to here must be found whole
PAIRS_PER_PART = 4_000_000  # (training text, evaluation text, gram) looked at in one go
TRAINING_SPLIT = "train"  # of a task: what a probe is fitted on is no evaluation text
SCORED_FIELDS = ("query", "text")


class Hits(NamedTuple):
    """Training texts that contain an evaluation text: the best hit of each, by position in the batch."""

    position: NDArray[np.int64]
    text: NDArray[np.int64]  # row of EvaluationTexts.names
    containment: NDArray[np.float64]  # 1 for the rules that ask for the whole text
    rule: NDArray[np.str_]  # equal | run | 5-grams


class _Runs(NamedTuple):
    """Inverted index of hashed word runs of one size: gram -> the evaluation texts that have it."""

    size: int  # words of a run
    grams: NDArray[np.uint64]  # sorted, distinct
    offsets: NDArray[np.int64]
    texts: NDArray[np.int64]
    needed: NDArray[np.int64]  # by evaluation text: distinct grams it has


class EvaluationTexts:
    """An index over the evaluation texts of a run. Memory: about 30 bytes a word of the scored texts.

    Fields query and text are matched by the rule above. Texts of field corpus are matched for
    equality only, and only ever counted: shared corpora are not leaks.
    """

    def __init__(self, tables: Sequence[pa.Table], *, containment: float) -> None:
        """Index tables of schema TEXTS; `containment` in (0, 1] is the least share of 5-grams."""
        rows = sorted(_rows(tables))
        scored: dict[str, _Name] = {}
        for name, form in rows:
            if name.field in SCORED_FIELDS:
                scored.setdefault(form, name)
        self.names = list(scored.values())  # of equal texts the first by (task, split, field, id)
        self.containment = containment
        self._equal = _Keys(list(scored))
        hashed = word_hashes(list(scored))
        words = np.diff(hashed.offsets)
        self._short = [_index(hashed, words == size, size=size) for size in range(GRAM, LONGEST_RUN + 1)]
        self._long = _index(hashed, words > LONGEST_RUN, size=GRAM)
        in_corpora = [(form, name.task) for name, form in rows if name.field not in SCORED_FIELDS]
        tasks = sorted({task for _, task in in_corpora})
        self._corpora = {task: _Keys([form for form, other in in_corpora if other == task]) for task in tasks}

    @classmethod
    def load(cls, paths: Sequence[str | Path], *, containment: float) -> "EvaluationTexts":
        """Read all texts.parquet files of a run."""
        return cls([read_table(path) for path in paths], containment=containment)

    def match(self, forms: Sequence[str]) -> Hits:
        """Return the best hit of every training text (comparable forms): highest containment, equal texts first."""
        found = [self._equal_hits(forms)]
        words = word_hashes(forms)
        for index in self._short:
            found += [(*pair, "run") for pair in _containments(windows(words, size=index.size), index, at_least=1.0)]
        grams = windows(words, size=GRAM)
        found += [(*pair, "5-grams") for pair in _containments(grams, self._long, at_least=self.containment)]
        position = np.concatenate([hit[0] for hit in found])
        text = np.concatenate([hit[1] for hit in found])
        share = np.concatenate([hit[2] for hit in found])
        rule = np.concatenate([np.full(len(hit[0]), hit[3], "U7") for hit in found])
        order = np.lexsort((text, rule != "equal", -share, position))
        first = np.ones(len(order), bool)
        first[1:] = np.diff(position[order]) != 0
        best = order[first]
        return Hits(position[best], text[best], share[best], rule[best])

    def in_corpora(self, forms: Sequence[str]) -> dict[str, int]:
        """Return task -> number of training texts that equal a text of the task's retrieval corpus."""
        return {task: int((keys.find(forms) >= 0).sum()) for task, keys in self._corpora.items()}

    def evidence(self, hits: Hits, at: int) -> str:
        """Return "task test-id rule" of one hit."""
        name = self.names[hits.text[at]]
        return f"{name.task} {name.id} {hits.rule[at]}"

    def _equal_hits(self, forms: Sequence[str]) -> tuple[NDArray, NDArray, NDArray, str]:
        text = self._equal.find(forms)
        position = np.flatnonzero(text >= 0)
        return position, text[position], np.ones(len(position)), "equal"


class _Name(NamedTuple):
    task: str
    split: str
    field: str
    id: str


class _Keys:
    """Hashed comparable forms, for finding equal ones."""

    def __init__(self, forms: Sequence[str]) -> None:
        keys = np.fromiter((comparable_key(form) for form in forms), np.uint64, len(forms))
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def find(self, forms: Sequence[str]) -> NDArray[np.int64]:
        """Return the position of the equal form for each of `forms`, -1 for none; empty forms equal none."""
        wanted = np.fromiter((comparable_key(form) for form in forms), np.uint64, len(forms))
        if not len(self._keys):
            return np.full(len(forms), -1, np.int64)
        places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        filled = np.fromiter((bool(form) for form in forms), bool, len(forms))
        return np.where((self._keys[places] == wanted) & filled, self._order[places], -1)


def _rows(tables: Sequence[pa.Table]) -> Iterator[tuple[_Name, str]]:
    for table in tables:
        columns = [table[name].to_pylist() for name in ("task", "split", "field", "id", "text")]
        for *name, text in zip(*columns, strict=True):
            form = comparable(text)
            if form and name[1] != TRAINING_SPLIT:
                yield _Name(*name), form


def _index(words: Ragged, chosen: NDArray[np.bool_], *, size: int) -> _Runs:
    """Index the runs of `size` words of the chosen texts."""
    grams = distinct(windows(words, size=size))
    owners = grams.owners()
    inside = chosen[owners]
    values, owners = grams.values[inside], owners[inside]
    order = np.lexsort((owners, values))
    unique, counts = np.unique(values, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    needed = np.where(chosen, np.diff(grams.offsets), 0)
    return _Runs(size, unique, offsets, owners[order], needed)


def _containments(
    grams: Ragged, index: _Runs, *, at_least: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Yield (position, evaluation text, share of its grams found) for shares of `at_least` and more.

    Training texts are looked at in parts, so that memory stays bounded however common a gram is.
    """
    grams = distinct(grams)
    if not len(index.grams) or not len(grams.values):
        return
    owners = grams.owners()
    places = np.minimum(np.searchsorted(index.grams, grams.values), len(index.grams) - 1)
    hit = index.grams[places] == grams.values
    owners, places = owners[hit], places[hit]
    counts = np.diff(index.offsets)[places]
    total = np.concatenate([[0], np.cumsum(counts)])
    start = 0
    while start < len(owners):
        # Whole training texts: a part ends where the owner changes.
        wanted = int(np.searchsorted(total, total[start] + PAIRS_PER_PART, side="right")) - 1
        end = int(np.searchsorted(owners, owners[min(max(wanted, start + 1), len(owners)) - 1], side="right"))
        yield _shares(owners[start:end], places[start:end], index, at_least=at_least)
        start = end


def _shares(
    owners: NDArray[np.int64], places: NDArray[np.int64], index: _Runs, *, at_least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    counts = index.offsets[places + 1] - index.offsets[places]
    ends = np.cumsum(counts)
    inside = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    texts = index.texts[np.repeat(index.offsets[places], counts) + inside]
    pairs, shared = np.unique(np.repeat(owners, counts) * len(index.needed) + texts, return_counts=True)
    position, text = pairs // len(index.needed), pairs % len(index.needed)
    share = shared / index.needed[text]
    enough = share >= at_least
    return position[enough], text[enough], share[enough]
