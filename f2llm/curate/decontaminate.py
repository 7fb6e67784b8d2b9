"""Training texts that contain evaluation texts, by a rule that depends on the length of the evaluation text.

On E2 words: the whole text equal, at any length; 5 to 8 words: the whole text as one run; 9
words and more: the share of its distinct word 5-grams that the training text has. In scripts
without spaces a letter is part of a word (f2llm.records.words), and a run is found by all its
5-grams. Why this rule and not another: docs/curation.md.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.curate.evaluation_texts import GRAM, LONGEST_RUN, RunIndex, TextOrigin, read_index
from f2llm.curate.passages import comparable_key
from f2llm.curate.rows import Ints, Mask, bounded_slices, find_all, group_starts, joined, runs_from
from f2llm.curate.shingles import Ragged, distinct, windows, word_hashes

PAIRS_PER_PART = 4_000_000  # (training text, evaluation text, gram) looked at in one go
EQUAL, RUN, GRAMS = "equal", "run", "5-grams"


class Hits(NamedTuple):
    """Training texts that contain evaluation texts: the best hit of each in each task, by (position, task).

    Best: highest containment, then equal texts, then the first by (task, split, field, id).
    """

    position: Ints  # in the batch
    text: Ints  # number of the evaluation text
    containment: NDArray[np.float64]  # 1 for the rules that ask for the whole text
    rule: NDArray[np.str_]  # equal | run | 5-grams
    drops: Mask  # False: too short an evaluation text to tell a copy from a common word

    def where(self, mask: Mask) -> "Hits":
        """The hits under the mask."""
        return Hits(*(column[mask] for column in self))


class EvaluationTexts:
    """An index of evaluation texts (f2llm.curate.evaluation_texts) and the rule that matches against it.

    Texts of retrieval corpora are matched for equality only, and only ever counted: shared
    corpora are not leaks.
    """

    def __init__(self, folder: str | Path, *, containment: float, min_words: int) -> None:
        """Open an index.

        Args:
            folder: of the index.
            containment: in (0, 1], the least share of 5-grams.
            min_words: equal evaluation texts of fewer words are hits that drop nothing.
        """
        self._index = read_index(folder)
        self.containment, self.min_words = containment, min_words
        # Up to LONGEST_RUN words an evaluation text must be found whole.
        self._least_shares = np.where(self._index.words <= LONGEST_RUN, 1.0, containment)

    def places(self, texts: Sequence[int]) -> list[TextOrigin]:
        """Where evaluation texts are from, by their numbers."""
        columns = self._index.origins
        origins = {
            text: TextOrigin(*(columns[name][text].as_py() for name in TextOrigin._fields)) for text in set(texts)
        }
        return [origins[text] for text in texts]

    def columns(self, hits: Hits) -> dict[str, pa.Array]:
        """What tables say of hits: which text of which task is found, by which rule, and whether that counts."""
        places = self.places(hits.text.tolist())
        of_texts = {"task": "task", "split": "split", "test_id": "id", "test_field": "field", "test_text": "text"}
        return {
            name: pa.array([getattr(place, key) for place in places], pa.string()) for name, key in of_texts.items()
        } | {
            "rule": pa.array(hits.rule.tolist(), pa.string()),
            "containment": pa.array(hits.containment, pa.float32()),
            "counts": pa.array(hits.drops),
        }

    def match(self, forms: Sequence[str]) -> Hits:
        """Hits of training texts, given in their comparable forms."""
        # Texts that are equal, at any length; one form may be in several tasks, an empty one is in no index.
        wanted = np.fromiter((comparable_key(form) for form in forms), np.uint64, len(forms))
        counts, places = find_all(self._index.keys, wanted)
        hits = [(np.repeat(np.arange(len(forms)), counts), self._index.texts[places], np.ones(len(places)), EQUAL)]
        # Evaluation texts of 5 to 8 words as one run, longer ones by their 5-grams: single words, so a hash a word.
        words = word_hashes(forms)
        *short, long = self._index.runs
        for index in short:
            runs = windows(words.hashes, size=index.size)
            hits += [(*pair, RUN) for pair in _containments(runs, index, at_least=self._least_shares)]
        hits += [(*pair, GRAMS) for pair in _containments(words.grams(GRAM), long, at_least=self._least_shares)]
        position, text, share = joined([hit[:3] for hit in hits], np.int64, np.int64, np.float64)
        rule = np.concatenate([np.full(len(hit[0]), hit[3], "U7") for hit in hits])
        rule[(rule == GRAMS) & (self._index.words[text] <= LONGEST_RUN)] = RUN
        # The first of each (position, task) in the order of `Hits` is the best one.
        task = self._index.tasks[text]
        order = np.lexsort((text, rule != EQUAL, -share, task, position))
        best = order[group_starts(position[order], task[order])]
        drops = self._index.words[text[best]] >= self.min_words
        return Hits(position[best], text[best], share[best], rule[best], drops)

    def in_corpora(self, forms: Sequence[str]) -> dict[str, int]:
        """Task -> number of training texts that equal a text of the task's retrieval corpus."""
        keys = np.fromiter((comparable_key(form) for form in forms if form), np.uint64)
        equal = {}
        for task, known in self._index.corpora.items():
            places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            equal[task] = int((known[places] == keys).sum())
        return equal

    def evidence(self, hits: Hits) -> list[str]:
        """Text "task test-id rule" of each hit, for people."""
        places = self.places(hits.text.tolist())
        return [f"{place.task} {place.id} {rule}" for place, rule in zip(places, hits.rule.tolist(), strict=True)]


def best_dropping(hits: Hits) -> Hits:
    """For every training text the one hit that drops it: the best over all tasks."""
    hits = hits.where(hits.drops)
    order = np.lexsort((hits.text, hits.rule != EQUAL, -hits.containment, hits.position))
    best = order[group_starts(hits.position[order])]
    return Hits(*(column[best] for column in hits))


def _containments(
    grams: Ragged, index: RunIndex, *, at_least: NDArray[np.float64]
) -> Iterator[tuple[Ints, Ints, NDArray[np.float64]]]:
    """Yield (position, evaluation text, share of its grams found) for shares of `at_least` [text] and more.

    Training texts are looked at in parts, so that memory stays bounded however common a gram is.
    """
    grams = distinct(grams)  # the rule counts distinct grams
    if not len(index.grams) or not len(grams.values):
        return
    # Most grams of training texts are in no evaluation text; they are left out before any pair is made.
    owners = grams.owners()
    places = np.minimum(np.searchsorted(index.grams, grams.values), len(index.grams) - 1)
    hit = index.grams[places] == grams.values
    owners, places = owners[hit], places[hit]
    counts = np.diff(index.offsets)[places]
    pairs = np.bincount(owners, counts, len(grams.offsets) - 1).astype(np.int64)  # of each training text
    for rows in bounded_slices(pairs, most=PAIRS_PER_PART):
        part = slice(*np.searchsorted(owners, [rows.start, rows.stop]))
        yield _shares(owners[part], places[part], index, at_least=at_least)


def _shares(
    owners: Ints, places: Ints, index: RunIndex, *, at_least: NDArray[np.float64]
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """As `_containments`, for training texts that are whole: gram i of row `owners` is number `places` of the index."""
    # Every gram is repeated for each evaluation text that has it; the pairs that come up are counted.
    counts = index.offsets[places + 1] - index.offsets[places]
    texts = index.texts[runs_from(index.offsets[places], counts)]
    pairs, shared = np.unique(np.repeat(owners, counts) * len(index.needed) + texts, return_counts=True)
    position, text = pairs // len(index.needed), pairs % len(index.needed)
    share = shared / index.needed[text]
    enough = share >= at_least[text]
    return position[enough], text[enough], share[enough]
