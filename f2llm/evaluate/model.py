"""A model as mteb sees it, whose name and revision identify it, and which encodes each text only once.

mteb calls every local model "no_model_name", so it would take the results of one for another's. Here the revision is a
hash of all that decides a vector. Shapes: P poolings, N texts, D dimensions.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from f2llm.config.candidates import Candidate
from f2llm.evaluate.tasks.mteb import ORGANISATION, UnitVectors, instruction_of
from f2llm.models.prompts import format_query
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file
from f2llm.records.ids import doc_id
from f2llm.vectors.fill import StoredVectors, open_store
from f2llm.vectors.store import FLOAT32, VectorStore, as_ids

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata

REVISION_DIGITS = 40
# Files of a model folder that decide vectors; its card may change.
DECIDING = ("*.safetensors", "*.json", "*.txt", "*.model")


class SharedVectors(StoredVectors):
    """Vectors of one network under several poolings, for all tasks: one forward pass for each distinct text.

    Vectors that any job stored for any task are read from the stores (pooling -> store of float32 rows), and new ones
    are added; memory holds those of one call of `get`. The network is loaded when a first text needs it.
    """

    def add(self, texts: Sequence[str], *, what: str) -> dict[str, bytes]:
        """Encode and store `texts` without a stored vector; return the id of each distinct text."""
        id_of = {text: doc_id(text) for text in texts}
        self.fill(list(id_of), as_ids(list(id_of.values())), what=what)
        return id_of

    def get(self, texts: Sequence[str], *, pooling: str, what: str) -> NDArray[np.float32]:
        """Vectors [N, D] in the order of `texts`."""
        id_of = self.add(texts, what=what)
        return self.stores[pooling].get(as_ids([id_of[text] for text in texts]))


class EvaluatedModel(UnitVectors):
    """mteb's encoder protocol over shared vectors.

    The query prompt goes on the queries of asymmetric tasks and on all texts of symmetric ones (for which mteb gives no
    prompt type); passages have the passage prompt, which is mostly empty.
    """

    def __init__(self, candidate: Candidate, vectors: SharedVectors, *, revision: str) -> None:
        super().__init__(f"{ORGANISATION}/{candidate.name}", revision=revision)
        self._candidate, self._vectors = candidate, vectors

    def vectors_of(
        self, texts: list[str], metadata: "TaskMetadata", *, split: str, role: str | None
    ) -> NDArray[np.float32]:
        """Vectors [N, D] of the texts under their prompt."""
        template = self._candidate.query_prompt if role in (None, "query") else self._candidate.passage_prompt
        instruction = instruction_of(metadata.prompt)
        prompted = [format_query(template, instruction=instruction, text=text) for text in texts]
        vectors_ND = self._vectors.get(prompted, pooling=self._candidate.pooling, what=metadata.name)
        return shortened(vectors_ND, self._candidate.dimensions, model=self._candidate.name)


def shortened(vectors_ND: NDArray[np.float32], dimensions: int | None, *, model: str) -> NDArray[np.float32]:
    """The first `dimensions` numbers of each vector, scaled to unit length (arXiv 2205.13147); None keeps all.

    Raises:
        InputError: vectors have fewer numbers, or one is zero in all that are kept.
    """
    if dimensions is None:
        return vectors_ND
    if dimensions > vectors_ND.shape[1]:
        raise InputError(f"model {model}: dimensions is {dimensions}, its vectors have {vectors_ND.shape[1]}; lower it")
    kept_ND = vectors_ND[:, :dimensions]
    norms_N = np.sqrt((kept_ND * kept_ND).sum(1))
    if not norms_N.all():
        raise InputError(f"model {model}: a vector is zero in its first {dimensions} numbers; raise dimensions")
    return kept_ND / norms_N[:, None]


def open_stores(
    candidate: Candidate, folder: str | Path, *, poolings: Sequence[str], **settings: object
) -> dict[str, VectorStore]:
    """Pooling -> store below `folder` of the network's vectors; `settings` are max_length, precision and device."""
    network = {"files": _hashes(candidate.folder), **settings}
    return {
        pooling: open_store(folder, network | {"pooling": pooling}, dtype=FLOAT32, compare=True) for pooling in poolings
    }


def revision_of(candidate: Candidate, *, precision: str) -> str:
    """40 hex digits of a hash of all that decides a vector.

    That is weights, configuration and tokenizer (the files of the folder's top level), prompts, pooling, maximum length
    in tokens, the resolved precision, and the number of dimensions that are kept.
    """
    settings = ("query_prompt", "passage_prompt", "dimensions", "pooling", "max_length")
    identity = {name: getattr(candidate, name) for name in settings}
    identity |= {"files": _hashes(candidate.folder), "precision": precision}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:REVISION_DIGITS]


def _hashes(folder: str | Path) -> dict[str, str]:
    files = sorted({path for pattern in DECIDING for path in Path(folder).glob(pattern)})
    return {path.name: sha256_file(path) for path in files}
