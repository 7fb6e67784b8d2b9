"""The passages of a source by row: ids in memory, texts on disk, their E2 forms in a memory-mapped file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from f2llm.curate.guard import ComparedText, signs_of
from f2llm.curate.rows import Ints, Mask, bounded_slices
from f2llm.curate.store import Store
from f2llm.jobs.progress import Progress
from f2llm.records.errors import InputError
from f2llm.records.tables import ID, NO_ROW, numbered, read_batches, read_table
from f2llm.records.text_keys import e1_text, e2_text
from f2llm.records.words import count_form_words

ROWS_PER_BATCH = 1024
CHARACTERS_PER_PART = 500_000  # compared at a time, or one text; shingling holds some 40 bytes a character


def comparable(text: str) -> str:
    """The E2 form of a text, or its E1 form where it has no letter or digit."""
    return e2_text(text) or e1_text(text)


def comparable_key(text: str) -> int:
    """64-bit hash of a comparable form."""
    return xxhash.xxh3_64_intdigest(text.encode())


class Passages:
    """A corpus table in the order of doc_id; row = position in it.

    Memory: 16 bytes a row for the ids and 32 more for what `read` finds. Texts stay on disk.
    """

    def __init__(self, path: str | Path, *, store: Store, where: str) -> None:
        self.path, self.where = store.in_order(path, key="doc_id"), where
        self.ids: pa.Array = read_table(self.path, columns=["doc_id"])["doc_id"].combine_chunks().cast(ID)
        self._sortable = sortable(self.ids)
        check_distinct(self.ids, name="doc_id", where=where)
        self.words = np.zeros(len(self), np.int32)  # of the E2 form
        self.length = np.zeros(len(self), np.int32)  # of the E2 form, in characters
        self.keys = np.zeros(len(self), np.uint64)  # hash of the comparable form
        self.content_keys = np.zeros(len(self), "S16")  # E1 keys, for sorting
        self._file = store.folder / "comparable.arrow"

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: pa.Array) -> Ints:
        """The row of each id, NO_ROW for ids that are not in the corpus."""
        if len(self) == 0 or len(ids) == 0:
            return np.full(len(ids), NO_ROW, np.int64)
        wanted = sortable(ids)
        places = np.minimum(np.searchsorted(self._sortable, wanted), len(self) - 1)
        return np.where(self._sortable[places] == wanted, places, NO_ROW)

    def read(self, live: Mask) -> None:
        """Normalise the texts of the live rows once, for all that compares them."""
        schema = pa.schema([("words", pa.large_string()), ("signs", pa.large_string())])
        with (
            pa.OSFile(str(self._file), "wb") as sink,
            pa.ipc.new_file(sink, schema) as writer,
            Progress(f"{self.where}: normalise", total=int(live.sum()), unit="passages") as bar,
        ):
            for start, batch in numbered(read_batches(self.path, columns=["text", "content_key"], rows=ROWS_PER_BATCH)):
                texts = batch["text"].to_pylist()
                chosen = live[start : start + len(texts)].tolist()
                forms, signs = [""] * len(texts), [""] * len(texts)
                for index in (index for index, keep in enumerate(chosen) if keep):
                    e1 = e1_text(texts[index])
                    forms[index], signs[index] = e2_text(texts[index]) or e1, signs_of(e1)
                place = slice(start, start + len(texts))
                self.words[place] = [count_form_words(form) for form in forms]
                self.length[place] = [len(form) for form in forms]
                self.content_keys[place] = [bytes.fromhex(key) for key in batch["content_key"].to_pylist()]
                self.keys[place] = [comparable_key(form) for form in forms]
                both = pa.record_batch([forms, signs], schema=schema)
                # Batches of the file are the pieces that `compared` reads whole, so they are bounded by characters.
                for piece in bounded_slices(self.length[place], most=CHARACTERS_PER_PART):
                    writer.write_batch(both[piece])
                bar.advance(sum(chosen))

    def compared(self, rows: Ints) -> Iterator[tuple[Ints, list[ComparedText]]]:
        """Yield (rows, their compared forms) in bounded parts; `rows` must be sorted. Needs `read`."""
        if len(rows) == 0:
            return
        with pa.memory_map(str(self._file)) as source:
            file = pa.ipc.open_file(source)
            starts = np.cumsum([0] + [file.get_batch(index).num_rows for index in range(file.num_record_batches)])
            cuts = np.searchsorted(rows, starts)
            for index in np.flatnonzero(np.diff(cuts)).tolist():
                batch_rows = rows[cuts[index] : cuts[index + 1]]
                batch = file.get_batch(index).take(pa.array(batch_rows - starts[index]))
                pairs = zip(batch["words"].to_pylist(), batch["signs"].to_pylist(), strict=True)
                yield batch_rows, [ComparedText(words, signs) for words, signs in pairs]


def check_distinct(ids: pa.Array, *, name: str, where: str) -> None:
    """Raise InputError if an id stands in two rows; `ids` are sorted."""
    keys = sortable(ids)
    if (keys[1:] == keys[:-1]).any():
        raise InputError(f"{where}: a {name} stands in two rows; normalise the source again")


def sortable(ids: pa.Array) -> NDArray[np.bytes_]:
    """16-byte ids as fixed-width bytes, for comparing and sorting only (zeros at the end get lost)."""
    return np.frombuffer(ids.cast(ID).buffers()[1], "S16", count=len(ids), offset=ids.offset * 16)
