"""The index behind `f2llm search`: a user's texts, their vectors by a trained model, and the answers to a query."""

import hashlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from f2llm.records.errors import InputError
from f2llm.records.files import atomic_folder, read_json, sha256_path, write_json
from f2llm.records.text_keys import is_empty
from f2llm.rows.archives import RawFile
from f2llm.rows.fields import FieldError, has_column, text_of
from f2llm.rows.files import list_files
from f2llm.rows.layout import SUFFIXES, Flaw, RowFile, RowLayout, holds_rows
from f2llm.rows.reader import sound_rows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PLAIN = (".txt", ".md", ".rst")
COLUMN = "text"
VECTORS, TEXTS, ABOUT = "vectors.f32", "texts.parquet", "about.json"
SCHEMA = pa.schema([("file", pa.string()), ("place", pa.int64()), ("text", pa.string())])
BATCH = 32
CHUNK = 1024  # texts in memory, and rows of a group of their table
SEARCHED = 16_384  # vectors in memory while a query is answered
SILENT_SECONDS = 2  # before progress is shown
logger = logging.getLogger(__name__)


class IndexedText(NamedTuple):
    """A text that can be found, and where it lies: file, and number of the paragraph or row in it, from 1."""

    file: str
    place: int
    text: str


class Hit(NamedTuple):
    """A text that answers a query, and the cosine of the two."""

    score: float
    match: IndexedText


class TextIndex:
    """The texts of a file or folder with their vectors, which `ask` searches.

    Both lie on disk, in `folder` or a temporary folder; memory holds a chunk of them. An index in `folder` is used
    again until model or texts change.

    Attributes:
        rebuilt: whether the texts were encoded now, and not by an earlier call.
        count: number of texts.

    Raises:
        InputError: the folder holds no model, or there are no texts.
    """

    def __init__(
        self, model: str | Path, texts: str | Path, *, column: str = COLUMN, folder: Path | None = None
    ) -> None:
        self._model = _load(model)
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        self._folder = Path(self._temporary.name, "index") if self._temporary else Path(folder or "")
        sha256 = sha256_path(model)
        kept = self._read_kept(sha256, texts, column)
        self.rebuilt = kept is None
        self._contents = kept or self._build(sha256, read_texts(texts, column=column))
        self.count = self._contents.texts

    def ask(self, query: str, *, most: int, prompt: str) -> list[Hit]:
        """The `most` texts that fit a query best; `prompt` names one of the model's prompts ("query", or a source's).

        Raises:
            InputError: the query is empty, or the model has no such prompt.
        """
        import faiss

        if is_empty(query):
            raise InputError("query: it is empty; ask something")
        if prompt not in self._model.prompts:
            known = ", ".join(self._model.prompts)
            raise InputError(f"prompt {prompt!r}: the model has none of this name; it has: {known}")
        vector_1D = self._model.encode([query], prompt_name=prompt, normalize_embeddings=True)
        best = faiss.ResultHeap(1, min(most, self.count), keep_max=True)
        with open(self._folder / VECTORS, "rb") as file:
            for first in range(0, self.count, SEARCHED):  # read, not mapped: mapped pages stay in memory
                block_ND = np.fromfile(file, np.float32, SEARCHED * self._contents.dim).reshape(-1, self._contents.dim)
                scores, rows = faiss.knn(vector_1D, block_ND, min(most, len(block_ND)), faiss.METRIC_INNER_PRODUCT)
                best.add_result(scores, rows + first)
        best.finalize()
        return [Hit(float(score), self._text(int(row))) for score, row in zip(best.D[0], best.I[0], strict=True)]

    def _text(self, row: int) -> IndexedText:
        with pq.ParquetFile(self._folder / TEXTS) as file:  # each chunk is a row group
            cells = file.read_row_group(row // CHUNK).slice(row % CHUNK, 1).to_pylist()[0]
        return IndexedText(**cells)

    def _read_kept(self, model: str, texts: str | Path, column: str) -> "_Contents | None":
        """The contents of the index in the folder; None if it is of another model or other texts."""
        try:
            contents = _Contents(**read_json(self._folder / ABOUT))
        except (OSError, ValueError, TypeError):
            return None
        same = contents.model == model and contents.sha256 == _hashed(
            hashlib.sha256(), read_texts(texts, column=column)
        )
        return contents if same else None

    def _build(self, model: str, texts: Iterator[IndexedText]) -> "_Contents":
        """Write vectors and texts chunk by chunk."""
        sha256, count, dim = hashlib.sha256(), 0, 0
        with (
            atomic_folder(self._folder) as aside,
            open(aside / VECTORS, "wb") as vectors,
            pq.ParquetWriter(aside / TEXTS, SCHEMA) as table,
            tqdm(unit=" texts", delay=SILENT_SECONDS) as progress,
        ):
            while chunk := list(islice(texts, CHUNK)):
                plain = [text.text for text in chunk]
                chunk_ND = self._model.encode(
                    plain, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
                )
                dim = chunk_ND.shape[1]
                np.ascontiguousarray(chunk_ND, np.float32).tofile(vectors)
                table.write_table(pa.Table.from_pylist([text._asdict() for text in chunk], schema=SCHEMA))
                _hashed(sha256, chunk)
                count += len(chunk)
                progress.update(len(chunk))
            contents = _Contents(model=model, sha256=sha256.hexdigest(), texts=count, dim=dim)
            write_json(aside / ABOUT, contents._asdict())
        return contents


class _Contents(NamedTuple):
    """Model and texts of an index: about.json."""

    model: str  # sha256 of its folder
    sha256: str  # of the texts and their places
    texts: int
    dim: int


def read_texts(path: str | Path, *, column: str = COLUMN) -> Iterator[IndexedText]:
    """The texts of a file or of all files below a folder: paragraphs of plain text, rows of tables.

    Hidden files and those of other kinds in a folder are passed over.

    Raises:
        InputError: there is no such path, it has no texts, a table lacks the column, or a file cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; name one with your texts")
    listing = list_files(path, within=(".", path))
    if listing.faults:
        raise InputError(listing.faults)
    if listing.remark:
        logger.warning(listing.remark)
    base = path if path.is_dir() else path.parent
    empty = True
    for file in listing.files:
        place = RowFile(RawFile(file, name=str(file.relative_to(base))))
        cells = _paragraphs(place) if place.suffix in PLAIN else _cells(place, column) if holds_rows(place.name) else ()
        for number, text in enumerate(cells, 1):
            if not is_empty(text):
                empty = False
                yield IndexedText(place.where, number, text.strip())
    if empty:
        known = ", ".join(dict.fromkeys((*PLAIN, *SUFFIXES)))
        raise InputError(f"{path}: no texts in there; files that are read end in {known}")


def hit_lines(hits: Sequence[Hit]) -> list[str]:
    """Hits as lines for a person: score, place, beginning of the text."""
    return [
        f"{hit.score:.3f}  {hit.match.file}:{hit.match.place}  {' '.join(hit.match.text.split())[:160]}" for hit in hits
    ]


def _paragraphs(place: RowFile) -> Iterator[str]:
    """The texts between empty lines, one at a time."""
    lines: list[str] = []
    with place.file.text() as text:
        for line in text:
            if line in ("\n", "\r\n", "\r") and lines:
                yield "".join(lines)
                lines = []
            else:
                lines.append(line)
    yield "".join(lines)


def _cells(place: RowFile, column: str) -> Iterator[str]:
    """The text of the column in each row; what is missing is empty, and counted where the row is at fault."""
    flaws: Counter[str] = Counter()
    for number, content in enumerate(sound_rows(place, RowLayout()), 1):
        flaw = content if isinstance(content, Flaw) else None
        values = flaw.values if flaw else content
        if number == 1 and not has_column(values, column):
            names = ", ".join(values)
            raise InputError(f"{place.where}: there is no column {column!r}; it has {names}: name one with --column")
        if flaw and (not flaw.columns or column.split(".")[0] in flaw.columns):
            flaws[flaw.reason] += 1
            yield ""
            continue
        try:
            yield text_of(values, column)
        except FieldError as error:
            raise InputError(f"{place.where}: row {number}: {error}") from error
    for reason, count in flaws.items():
        logger.warning("%s: %d rows are left out: %s", place.where, count, reason)


def _load(folder: str | Path) -> "SentenceTransformer":
    if not Path(folder, "modules.json").is_file():
        raise InputError(f"{folder}: holds no model; name a folder such as results/runs/embedded/model")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), local_files_only=True)


def _hashed(sha256: "hashlib._Hash", texts: Iterable[IndexedText]) -> str:
    """The digest so far, after `texts` and their places went into it."""
    for text in texts:
        sha256.update(json.dumps(text).encode() + b"\n")
    return sha256.hexdigest()
