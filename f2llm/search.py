"""`f2llm search`: index one's own texts with a trained model, and answer queries from them."""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.errors import InputError
from f2llm.records.files import atomic_folder, read_json, sha256_path, write_json

if TYPE_CHECKING:
    from faiss import Index
    from sentence_transformers import SentenceTransformer

PLAIN, TABLES = (".txt", ".md", ".rst"), (".jsonl", ".csv", ".tsv", ".parquet")
COLUMN = "text"
VECTORS, TEXTS, ABOUT = "vectors.faiss", "texts.parquet", "about.json"
BATCH = 32
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

    With `folder` the index is kept there, and made anew when model or texts have changed.

    Raises:
        InputError: the folder holds no model, or there are no texts.
    """

    def __init__(
        self, model: str | Path, texts: str | Path, *, column: str = COLUMN, folder: Path | None = None
    ) -> None:
        self.texts = read_texts(texts, column=column)
        self._model = _load(model)
        about = {"model": sha256_path(model), "texts": _digest(self.texts)}
        kept = folder is not None and (folder / ABOUT).is_file() and read_json(folder / ABOUT) == about
        self._index = _read(folder) if folder is not None and kept else self._encode()
        self.made = not kept
        if folder is not None and not kept:
            _write(folder, self._index, self.texts, about)

    def ask(self, query: str, *, most: int, prompt: str) -> list[Hit]:
        """Return the texts that fit a query best; `prompt` names one of the model's prompts ("query", or a source's).

        Raises:
            InputError: the query is empty, or the model has no such prompt.
        """
        if not query.strip():
            raise InputError("query: it is empty; ask something")
        if prompt not in self._model.prompts:
            known = ", ".join(self._model.prompts)
            raise InputError(f"prompt {prompt!r}: the model has none of this name; it has: {known}")
        vector_1D = self._model.encode([query], prompt_name=prompt, normalize_embeddings=True)
        scores, rows = self._index.search(vector_1D, min(most, len(self.texts)))
        return [Hit(float(score), self.texts[row]) for score, row in zip(scores[0], rows[0], strict=True)]

    def _encode(self) -> "Index":
        import faiss

        texts, shown = [one.text for one in self.texts], len(self.texts) > BATCH
        vectors_ND = self._model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=shown)
        index = faiss.IndexFlatIP(vectors_ND.shape[1])
        index.add(vectors_ND)
        return index


def read_texts(path: str | Path, *, column: str = COLUMN) -> list[OwnText]:
    """Return the texts of a file or of all files below a folder: paragraphs of plain text, rows of tables.

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
    texts = [text for one in known for text in _texts_of(one, str(one.relative_to(base)), column)]
    if not texts:
        raise InputError(f"{path}: no texts in there; files that are read end in {', '.join((*PLAIN, *TABLES))}")
    return texts


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


def _paragraphs(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n").split("\n\n")


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


def _digest(texts: Sequence[OwnText]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _read(folder: Path) -> "Index":
    import faiss

    return faiss.read_index(str(folder / VECTORS))


def _write(folder: Path, index: "Index", texts: Sequence[OwnText], about: dict[str, str]) -> None:
    import faiss

    with atomic_folder(folder) as aside:
        faiss.write_index(index, str(aside / VECTORS))
        pq.write_table(pa.Table.from_pylist([one._asdict() for one in texts]), aside / TEXTS)
        write_json(aside / ABOUT, about)
