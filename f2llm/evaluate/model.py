"""A model as mteb sees it, whose name and revision identify it, and which encodes each text only once.

mteb calls every local model "no_model_name", so it would take the results of one for another's. Here the revision is a
hash of all that decides a vector. Shapes: P poolings, N texts, D dimensions.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from f2llm.config.candidates import Candidate
from f2llm.errors import InputError
from f2llm.evaluate.tasks.mteb import UnitVectors, instruction_of
from f2llm.models.prompts import format_query
from f2llm.records.files import sha256_file
from f2llm.records.ids import doc_id
from f2llm.vectors.fill import Encodes, StoredVectors, open_store
from f2llm.vectors.store import FLOAT32, VectorStore, as_ids

ORGANISATION = "f2llm"
REVISION_DIGITS = 40
# Files of a model folder that decide vectors; its card may change.
DECIDING = ("*.safetensors", "*.json", "*.txt", "*.model")


class SharedVectors:
    """Vectors of one network under several poolings, for all tasks: one forward pass for each distinct text.

    With `stores` (pooling -> store of float32 rows), vectors that any job stored for any task are read from there, and
    new ones are added; memory holds those of one call of `get`. Without, all vectors stay in memory. The network is
    loaded when a first text needs it.
    """

    def __init__(
        self, load: Callable[[], Encodes], *, poolings: Sequence[str], stores: Mapping[str, VectorStore] | None = None
    ) -> None:
        self._load, self._poolings = functools.cache(load), tuple(poolings)
        self._stored = None if stores is None else StoredVectors(load, stores=stores)
        self._kept: dict[str, NDArray[np.float32]] = {}

    @property
    def encoded(self) -> int:
        """Texts that were encoded."""
        return self._stored.encoded if self._stored else len(self._kept)

    @property
    def reused(self) -> int:
        """Texts whose vectors were in the stores."""
        return self._stored.reused if self._stored else 0

    def get(self, texts: Sequence[str], *, pooling: str, what: str) -> NDArray[np.float32]:
        """Vectors [N, D] in the order of `texts`."""
        if self._stored:
            ids = self.fill(texts, what=what)
            row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
            return self._stored.stores[pooling].get(ids)[[row_of[text] for text in texts]]
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if new:
            vectors_PND = self._load().encode_poolings(new, poolings=self._poolings, what=what)
            self._kept.update(zip(new, vectors_PND.transpose(1, 0, 2), strict=True))
        row = self._poolings.index(pooling)
        return np.stack([self._kept[text][row] for text in texts])

    def fill(self, texts: Sequence[str], *, what: str) -> NDArray[np.bytes_]:
        """Encode and store `texts` without a stored vector; return the ids of the distinct texts, in their order."""
        distinct = list(dict.fromkeys(texts))
        ids = as_ids([doc_id(text) for text in distinct])
        self._stored.fill(distinct, ids, what=what)
        return ids


class EvaluatedModel(UnitVectors):
    """mteb's encoder protocol over shared vectors.

    The query prompt goes on the queries of asymmetric tasks and on all texts of symmetric ones (for which mteb gives no
    prompt type); passages have the passage prompt, which is mostly empty.
    """

    def __init__(self, candidate: Candidate, vectors: SharedVectors, *, revision: str) -> None:
        from mteb.models.model_meta import ModelMeta

        self._candidate, self._vectors = candidate, vectors
        identity = {"name": f"{ORGANISATION}/{candidate.name}", "revision": revision, "modalities": ["text"]}
        self.mteb_model_meta: ModelMeta = ModelMeta.create_empty(overwrites=identity)

    def encode(
        self,
        inputs: Any,  # noqa: ANN401 - a DataLoader of dicts
        *,
        task_metadata: Any,  # noqa: ANN401 - mteb's TaskMetadata
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,  # noqa: ANN401 - mteb's PromptType
        **_: Any,  # noqa: ANN401
    ) -> NDArray[np.float32]:
        """Vectors [N, D] of the texts in `inputs`, in their order."""
        texts = [text for batch in inputs for text in batch["text"]]
        passages = prompt_type is not None and prompt_type.value != "query"
        template = self._candidate.passage_prompt if passages else self._candidate.query_prompt
        instruction = instruction_of(task_metadata.prompt)
        texts = [format_query(template, instruction=instruction, text=text) for text in texts]
        vectors_ND = self._vectors.get(texts, pooling=self._candidate.pooling, what=task_metadata.name)
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
    candidate: Candidate, folder: str | Path, *, poolings: Sequence[str], max_length: int, precision: str, device: str
) -> dict[str, VectorStore]:
    """Pooling -> store of the network's vectors below `folder`."""
    network = {
        "files": _hashes(candidate.folder),
        "max_length": max_length,
        "precision": precision,
        "device": device,
    }
    return {pooling: open_store(folder, network | {"pooling": pooling}, dtype=FLOAT32) for pooling in poolings}


def revision_of(candidate: Candidate, *, max_length: int, precision: str) -> str:
    """40 hex digits of a hash of all that decides a vector.

    That is weights, configuration and tokenizer (the files of the folder's top level), prompts, pooling, maximum length
    in tokens, the resolved precision, and the number of dimensions that are kept.
    """
    identity = {
        "files": _hashes(candidate.folder),
        "query_prompt": candidate.query_prompt,
        "passage_prompt": candidate.passage_prompt,
        "dimensions": candidate.dimensions,
        "pooling": candidate.pooling,
        "max_length": max_length,
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:REVISION_DIGITS]


def _hashes(folder: str | Path) -> dict[str, str]:
    files = sorted({path for pattern in DECIDING for path in Path(folder).glob(pattern)})
    return {path.name: sha256_file(path) for path in files}
