"""The manifest of the vectors of one source: what `embed_source` writes and `mine_source` reads."""

from pathlib import Path
from typing import NamedTuple

from f2llm.records.files import read_json, write_json


class VectorsManifest(NamedTuple):
    """Where the vectors of a source lie and how the retriever reads its texts; keys without a value are left out.

    A source that needs no retriever has its name, its task and 0 vectors; one left out says why in `skipped`.
    """

    source: str
    task: str
    passages: int = 0
    queries: int = 0
    passages_sha256: str | None = None  # of the ids of the vectors, in the order of the rows
    queries_sha256: str | None = None
    store: str | None = None
    query_store: str | None = None  # where the vectors of queries lie apart from `store`
    key: str | None = None  # of the encoder
    dim: int | None = None
    precision: str | None = None
    device: str | None = None
    weights: str | None = None  # sha256; none for vectors made elsewhere
    passage_prompt: str | None = None
    query_prompt: str | None = None
    instruction: str | None = None
    skipped: str | None = None

    @classmethod
    def read(cls, path: str | Path) -> "VectorsManifest":
        """The manifest in a file."""
        return cls(**read_json(path))

    def write(self, path: str | Path) -> None:
        """Write the manifest as JSON, atomically."""
        write_json(path, {name: value for name, value in self._asdict().items() if value is not None})
