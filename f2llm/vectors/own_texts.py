"""`f2llm search`: index one's own texts with a trained model, and answer queries from them."""

import csv
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from f2llm.errors import InputError
from f2llm.records.files import atomic_folder, read_json, sha256_path, write_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PLAIN, TABLES = (".txt", ".md", ".rst"), (".jsonl", ".csv", ".tsv", ".parquet")
COLUMN = "text"
VECTORS, TEXTS, ABOUT = "vectors.f32", "texts.parquet", "about.json"
SCHEMA = pa.schema([("file", pa.string()), ("place", pa.int64()), ("text", pa.string())])
BATCH = 32
CHUNK = 1024  # texts in memory, and rows of a group of their table
SEARCHED = 16_384  # vectors in memory while a query is answered
SILENT_SECONDS = 2  # before progress is shown
MOST_FIELD_CHARACTERS = 10_000_000


class OwnText(NamedTuple):
    """A text to be found, and where it lies: a file, and a paragraph or row in it, from 1."""

    file: str
    place: int
    text: str


class Hit(NamedTuple):
    """A text that answers a query; the score is the cosine."""

    score: float
    found: OwnText


class OwnIndex:
    """The texts of a folder or file as a model sees them; a query is put to it with `ask`.

    Texts and vectors lie on disk, in `folder` or, without one, in a temporary folder: memory holds a chunk of them.
    What lies in `folder` is kept, and made anew when model or texts have changed.

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
        kept = self._kept(sha256, texts, column)
        self.made = kept is None
        self._about = kept or self._make(sha256, read_texts(texts, column=column))

    @property
    def count(self) -> int:
        """Number of texts."""
        return self._about.texts

    def ask(self, query: str, *, most: int, prompt: str) -> list[Hit]:
        """Return the texts that fit a query best; `prompt` names one of the model's prompts ("query", or a source's).

        Raises:
            InputError: the query is empty, or the model has no such prompt.
        """
        import faiss

        if not query.strip():
            raise InputError("query: it is empty; ask something")
        if prompt not in self._model.prompts:
            known = ", ".join(self._model.prompts)
            raise InputError(f"prompt {prompt!r}: the model has none of this name; it has: {known}")
        vector_1D = self._model.encode([query], prompt_name=prompt, normalize_embeddings=True)
        best = faiss.ResultHeap(1, min(most, self.count), keep_max=True)
        with open(self._folder / VECTORS, "rb") as file:
            for first in range(0, self.count, SEARCHED):  # read, not mapped: mapped pages stay in memory
                part_ND = np.fromfile(file, np.float32, SEARCHED * self._about.dim).reshape(-1, self._about.dim)
                scores, rows = faiss.knn(vector_1D, part_ND, min(most, len(part_ND)), faiss.METRIC_INNER_PRODUCT)
                best.add_result(scores, rows + first)
        best.finalize()
        return [Hit(float(score), self._text(int(row))) for score, row in zip(best.D[0], best.I[0], strict=True)]

    def _text(self, row: int) -> OwnText:
        with pq.ParquetFile(self._folder / TEXTS) as file:  # each chunk is a row group
            cells = file.read_row_group(row // CHUNK).slice(row % CHUNK, 1).to_pylist()[0]
        return OwnText(**cells)

    def _kept(self, model: str, texts: str | Path, column: str) -> "_About | None":
        """Return what an index in the folder is of, None if it is not of this model and these texts."""
        try:
            about = _About(**read_json(self._folder / ABOUT))
        except (OSError, ValueError, TypeError):
            return None
        same = about.model == model and about.sha256 == _digest(read_texts(texts, column=column))
        return about if same else None

    def _make(self, model: str, texts: Iterator[OwnText]) -> "_About":
        """Write vectors and texts chunk by chunk; return what they are of."""
        sha256, count, dim = hashlib.sha256(), 0, 0
        with (
            atomic_folder(self._folder) as aside,
            open(aside / VECTORS, "wb") as vectors,
            pq.ParquetWriter(aside / TEXTS, SCHEMA) as table,
            tqdm(unit=" texts", delay=SILENT_SECONDS) as told,
        ):
            while chunk := list(islice(texts, CHUNK)):
                plain = [one.text for one in chunk]
                part_ND = self._model.encode(
                    plain, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
                )
                dim = part_ND.shape[1]
                np.ascontiguousarray(part_ND, np.float32).tofile(vectors)
                table.write_table(pa.Table.from_pylist([one._asdict() for one in chunk], schema=SCHEMA))
                for one in chunk:
                    sha256.update(_line(one))
                count += len(chunk)
                told.update(len(chunk))
            about = _About(model=model, sha256=sha256.hexdigest(), texts=count, dim=dim)
            write_json(aside / ABOUT, about._asdict())
        return about


class _About(NamedTuple):
    """What an index is of."""

    model: str  # sha256 of its folder
    sha256: str  # of the texts and their places
    texts: int
    dim: int


def read_texts(path: str | Path, *, column: str = COLUMN) -> Iterator[OwnText]:
    """Yield the texts of a file or of all files below a folder: paragraphs of plain text, rows of tables.

    Files of other kinds in a folder are passed over.

    Raises:
        InputError: nothing is there, a table lacks the column, or a file cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; name one with your texts")
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    known = [one for one in files if one.suffix in (*PLAIN, *TABLES)]
    base = path if path.is_dir() else path.parent
    none = True
    for one in known:
        for text in _texts_of(one, str(one.relative_to(base)), column):
            none = False
            yield text
    if none:
        raise InputError(f"{path}: no texts in there; files that are read end in {', '.join((*PLAIN, *TABLES))}")


def hit_lines(hits: Sequence[Hit]) -> list[str]:
    """Return hits as lines for a person."""
    return [
        f"{hit.score:.3f}  {hit.found.file}:{hit.found.place}  {' '.join(hit.found.text.split())[:160]}" for hit in hits
    ]


def _texts_of(path: Path, name: str, column: str) -> Iterator[OwnText]:
    try:
        cells = _paragraphs(path) if path.suffix in PLAIN else _cells(path, column)
        for place, text in enumerate(cells, 1):
            if text and text.strip():
                yield OwnText(name, place, text.strip())
    except (UnicodeDecodeError, ValueError, csv.Error, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read ({error}); mend it or take it out") from None


def _paragraphs(path: Path) -> Iterator[str]:
    """Yield what lies between empty lines, one at a time."""
    lines: list[str] = []
    with open(path, encoding="utf-8-sig") as file:
        for line in file:
            if line == "\n" and lines:
                yield "".join(lines)
                lines = []
            else:
                lines.append(line)
    yield "".join(lines)


def _cells(path: Path, column: str) -> Iterator[str | None]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            _check_column(path, column, file.schema_arrow.names)
            for batch in file.iter_batches(columns=[column]):
                yield from (None if value is None else str(value) for value in batch[0].to_pylist())
        return
    with open(path, encoding="utf-8-sig", newline="") as lines:
        if path.suffix == ".jsonl":
            for line in lines:
                row = json.loads(line) if line.strip() else {column: ""}
                _check_column(path, column, row if isinstance(row, dict) else ())
                yield str(row[column])
            return
        csv.field_size_limit(MOST_FIELD_CHARACTERS)
        rows = csv.DictReader(lines, delimiter="\t" if path.suffix == ".tsv" else ",")
        _check_column(path, column, rows.fieldnames or ())
        for row in rows:
            yield row[column]


def _check_column(path: Path, column: str, names: object) -> None:
    if column not in names:  # type: ignore[operator]
        raise InputError(f"{path}: there is no column {column!r}; it has {', '.join(names)}: name one with --column")  # type: ignore[arg-type]


def _load(folder: str | Path) -> "SentenceTransformer":
    if not Path(folder, "modules.json").is_file():
        raise InputError(f"{folder}: holds no model; name a folder such as results/runs/embedded/model")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), local_files_only=True)


def _digest(texts: Iterable[OwnText]) -> str:
    total = hashlib.sha256()
    for one in texts:
        total.update(_line(one))
    return total.hexdigest()


def _line(one: OwnText) -> bytes:
    return json.dumps(one).encode() + b"\n"
