"""A model as mteb sees it, with a name and a revision of its own, and texts encoded only once.

mteb calls every local model "no_model_name", so results of one would be taken for another's. Here
the revision is a hash of all that decides a vector. Shapes: P poolings, N texts, D dimensions.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from f2llm.config.candidates import Candidate
from f2llm.errors import InputError
from f2llm.evaluate.tasks.mteb import instruction_of
from f2llm.jobs.code import code_digest
from f2llm.models.prompts import format_query
from f2llm.records.files import sha256_file
from f2llm.records.ids import doc_id
from f2llm.vectors.store import FLOAT32, VectorStore, as_ids

ORGANISATION = "f2llm"
REVISION_DIGITS = 40
ENCODER_CODE = "f2llm/models/packed_encoder.py"
KEY_DIGITS = 12
# A kill loses the work on at most so many texts.
SHARD_ROWS = 4096
# What of a model folder decides vectors; its card may change.
DECIDING = ("*.safetensors", "*.json", "*.txt", "*.model")


class EncodesPoolings(Protocol):
    """What is needed of f2llm.models.encoder.Encoder."""

    precision: str

    def encode_poolings(self, texts: Sequence[str], *, poolings: Sequence[str], what: str) -> NDArray[np.float32]:
        """Return unit vectors [P, N, D]."""
        ...


class SharedVectors:
    """Vectors of one network under several poolings: one forward pass a distinct text.

    With `stores` (pooling -> store of float32 rows) what was encoded before, by this job or another, for
    this task or another, is read from there, and new vectors are added; memory is that of what is asked
    for. Without, all vectors are kept in memory. The network is loaded when a first text needs it.
    """

    def __init__(
        self,
        encoder: Callable[[], EncodesPoolings],
        *,
        poolings: Sequence[str],
        stores: Mapping[str, VectorStore] | None = None,
    ) -> None:
        self._load, self._poolings, self._stores = encoder, tuple(poolings), stores
        self._encoder: EncodesPoolings | None = None
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self.encoded = self.reused = 0  # texts

    def get(self, texts: Sequence[str], *, pooling: str, what: str) -> NDArray[np.float32]:
        """Return vectors [N, D] in the order of `texts`."""
        distinct = list(dict.fromkeys(texts))
        if self._stores is not None:
            row_of = dict(zip(distinct, range(len(distinct)), strict=True))
            ids = as_ids([doc_id(text) for text in distinct])
            self._fill(distinct, ids, what=what)
            return self._stores[pooling].get(ids)[[row_of[text] for text in texts]]
        new = [text for text in distinct if text not in self._vectors]
        if new:
            vectors_PND = self._encode(new, what=what)
            self._vectors.update(zip(new, vectors_PND.transpose(1, 0, 2), strict=True))
        row = self._poolings.index(pooling)
        return np.stack([self._vectors[text][row] for text in texts])

    def fill(self, texts: Sequence[str], *, what: str) -> None:
        """Have the vectors of `texts` in the stores."""
        distinct = list(dict.fromkeys(texts))
        self._fill(distinct, as_ids([doc_id(text) for text in distinct]), what=what)

    def _fill(self, texts: list[str], ids: NDArray[np.bytes_], *, what: str) -> None:
        absent = sorted(set().union(*(self._stores[pooling].missing(ids).tolist() for pooling in self._poolings)))
        self.reused += len(texts) - len(absent)
        # Longest first over all of them, so that a part's packs are full and a kill loses one part.
        absent.sort(key=lambda at: (-len(texts[at]), at))
        for first in range(0, len(absent), SHARD_ROWS):
            part = absent[first : first + SHARD_ROWS]
            vectors_PND = self._encode([texts[at] for at in part], what=what)
            for pooling, vectors_ND in zip(self._poolings, vectors_PND, strict=True):
                self._stores[pooling].put(ids[part], vectors_ND, precision=self._encoder.precision)

    def _encode(self, texts: list[str], *, what: str) -> NDArray[np.float32]:
        self._encoder = self._encoder or self._load()
        self.encoded += len(texts)
        return self._encoder.encode_poolings(texts, poolings=self._poolings, what=what)


class EvaluatedModel:
    """mteb's encoder protocol over shared vectors.

    The prompt goes on queries of asymmetric tasks and on all texts of symmetric ones (mteb gives
    no prompt type there); passages have their own, mostly none.
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
        """Return vectors [N, D] of the texts in `inputs`, in their order."""
        texts = [text for batch in inputs for text in batch["text"]]
        passages = prompt_type is not None and prompt_type.value != "query"
        template = self._candidate.passage_prompt if passages else self._candidate.query_prompt
        instruction = instruction_of(task_metadata.prompt)
        texts = [format_query(template, instruction=instruction, text=text) for text in texts]
        vectors_ND = self._vectors.get(texts, pooling=self._candidate.pooling, what=task_metadata.name)
        return cut(vectors_ND, self._candidate.dimensions, model=self._candidate.name)

    def similarity(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return all cosines, as dot products of unit vectors."""
        return np.asarray(left) @ np.asarray(right).T

    def similarity_pairwise(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each row of `left` with the same row of `right`."""
        return (np.asarray(left) * np.asarray(right)).sum(-1)


def cut(vectors_ND: NDArray[np.float32], dimensions: int | None, *, model: str) -> NDArray[np.float32]:
    """Return the first so many numbers of each vector, of unit length again (arXiv 2205.13147); None: all.

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
    """Return the stores of a network's vectors below `folder`, one for each pooling."""
    stores = {}
    for pooling in poolings:
        identity = {
            "files": _hashes(candidate.folder),
            "pooling": pooling,
            "max_length": max_length,
            "precision": precision,
            "device": device,
            "code": code_digest(ENCODER_CODE),
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]
        key = f"{precision}-{device}-{digest}"
        stores[pooling] = VectorStore(Path(folder) / key, key=key, dtype=FLOAT32)
    return stores


def revision_of(candidate: Candidate, *, max_length: int, precision: str) -> str:
    """Return 40 hex digits of all that decides a vector.

    Weights, configuration and tokenizer (the files of the folder's top level), prompts, pooling,
    maximum length in tokens, the resolved precision, and how many numbers of a vector are kept.
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
