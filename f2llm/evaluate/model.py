"""A model as mteb sees it, with a name and a revision of its own, and texts encoded only once.

mteb calls every local model "no_model_name", so results of one would be taken for another's. Here
the revision is a hash of all that decides a vector. Shapes: P poolings, N texts, D dimensions.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from f2llm.encode.prompts import format_query
from f2llm.evaluate.jobs import Candidate
from f2llm.evaluate.tasks import instruction_of
from f2llm.records.files import sha256_file

ORGANISATION = "f2llm"
REVISION_DIGITS = 40
# What of a model folder decides vectors; its card may change.
DECIDING = ("*.safetensors", "*.json", "*.txt", "*.model")


class EncodesPoolings(Protocol):
    """What is needed of f2llm.encode.encoder.Encoder."""

    precision: str

    def encode_poolings(self, texts: Sequence[str], *, poolings: Sequence[str], what: str) -> NDArray[np.float32]:
        """Return unit vectors [P, N, D]."""
        ...


class SharedVectors:
    """Vectors of one network under several poolings: one forward pass a distinct text.

    Memory: 4 x P x D bytes for each distinct text that was asked for.
    """

    def __init__(self, encoder: EncodesPoolings, *, poolings: Sequence[str]) -> None:
        self._encoder, self._poolings = encoder, tuple(poolings)
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @property
    def encoded(self) -> int:
        """Distinct texts encoded so far."""
        return len(self._vectors)

    def get(self, texts: Sequence[str], *, pooling: str, what: str) -> NDArray[np.float32]:
        """Return vectors [N, D] in the order of `texts`."""
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            vectors_PND = self._encoder.encode_poolings(new, poolings=self._poolings, what=what)
            self._vectors.update(zip(new, vectors_PND.transpose(1, 0, 2), strict=True))
        row = self._poolings.index(pooling)
        return np.stack([self._vectors[text][row] for text in texts])


class EvaluatedModel:
    """mteb's encoder protocol over shared vectors.

    The prompt goes on queries of asymmetric tasks and on all texts of symmetric ones (mteb gives
    no prompt type there), never on passages.
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
        if prompt_type is None or prompt_type.value == "query":
            template, instruction = self._candidate.query_prompt, instruction_of(task_metadata.prompt)
            texts = [format_query(template, instruction=instruction, text=text) for text in texts]
        return self._vectors.get(texts, pooling=self._candidate.pooling, what=task_metadata.name)

    def similarity(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return all cosines, as dot products of unit vectors."""
        return np.asarray(left) @ np.asarray(right).T

    def similarity_pairwise(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each row of `left` with the same row of `right`."""
        return (np.asarray(left) * np.asarray(right)).sum(-1)


def revision_of(candidate: Candidate, *, max_length: int, precision: str) -> str:
    """Return 40 hex digits of all that decides a vector.

    Weights, configuration and tokenizer (the files of the folder's top level), prompt, pooling,
    maximum length in tokens, and the resolved precision.
    """
    folder = Path(candidate.folder)
    files = sorted({path for pattern in DECIDING for path in folder.glob(pattern)})
    identity = {
        "files": {path.name: sha256_file(path) for path in files},
        "query_prompt": candidate.query_prompt,
        "pooling": candidate.pooling,
        "max_length": max_length,
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:REVISION_DIGITS]
