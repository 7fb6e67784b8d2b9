"""The stores of an encoder's vectors, and how they are filled: each distinct text is encoded once.

Shapes: P poolings, N texts, D dimensions.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from f2llm.jobs.code import result_versions
from f2llm.jobs.progress import Progress
from f2llm.records.files import write_json
from f2llm.vectors.store import FLOAT16, VectorStore

if TYPE_CHECKING:
    from f2llm.models.encoder import Encoder

# Version of the arithmetic of f2llm/models/encoder.py. Raise it when the vectors of a text change: the test with
# pinned vectors of a tiny model tells. While vectors stay the same it stays, and nothing is encoded again.
ENCODER_VERSION = 1
# Libraries whose version can change a vector's bits.
LIBRARIES = ("numpy", "tokenizers", "torch", "transformers")
# Stores made before encoders had a version are named by this digest of the code of version 1, with these libraries.
FIRST_CODE = "634e2c7442c86dfd"
FIRST_LIBRARIES = {"numpy": "2.4.6", "tokenizers": "0.23.3", "torch": "2.13.0", "transformers": "5.23.0"}
DESCRIPTION = "encoder.json"
KEY_DIGITS = 12
# A killed job loses the vectors of at most this many texts.
SHARD_ROWS = 4096


class StoredVectors:
    """The stores of one network, one for each pooling: a missing text is encoded once for all of them.

    `load` returns the network; it is called when a first text has to be encoded.

    Attributes:
        encoded: number of texts that `fill` has encoded so far.
        reused: number of texts whose vectors were already in the stores.
    """

    def __init__(self, load: "Callable[[], Encoder]", *, stores: Mapping[str, VectorStore]) -> None:
        self._load, self.stores = load, dict(stores)
        self._encoder: Encoder | None = None
        self.encoded = self.reused = 0

    def fill(self, texts: Sequence[str], ids: NDArray[np.bytes_], *, what: str, bar: Progress | None = None) -> None:
        """Encode and store those of `texts` [N] whose `ids` [N] a store has no vector for.

        Raises:
            InputError: a text has no tokens or no direction; `what` names the texts.
        """
        absent = sorted(set().union(*(store.missing(ids).tolist() for store in self.stores.values())))
        self.encoded += len(absent)
        self.reused += len(texts) - len(absent)
        if bar:
            bar.advance(len(texts) - len(absent))
        # Longest first over all of them, so that the packs of a shard are full.
        absent.sort(key=lambda place: (-len(texts[place]), place))
        for first in range(0, len(absent), SHARD_ROWS):
            places = absent[first : first + SHARD_ROWS]
            self._encoder = self._encoder or self._load()
            vectors_PND = self._encoder.encode_poolings(
                [texts[place] for place in places], poolings=tuple(self.stores), what=what, bar=bar
            )
            for store, vectors_ND in zip(self.stores.values(), vectors_PND, strict=True):
                store.put(ids[places], vectors_ND, precision=self._encoder.precision)


def load_encoder(
    folder: str | Path, *, pooling: str, max_length: int, precision: str, device: str, threads: int
) -> "Encoder":
    """The network in a model folder, on a device, whose work on the CPU uses `threads`."""
    import torch

    from f2llm.models.encoder import Encoder

    torch.set_num_threads(threads)
    return Encoder.load(folder, pooling=pooling, max_length=max_length, precision=precision, device=device)


def open_store(
    folder: str | Path, identity: Mapping[str, object], *, model: str = "", dtype: np.dtype = FLOAT16,
    compare: bool = False,
) -> VectorStore:  # fmt: skip
    """The store below `folder` for the vectors of one encoder.

    `identity` holds all that decides a vector besides its text, the encoder's version and the libraries: weights,
    pooling, `precision`, `device`, ... A store that was named before encoders had a version is used where it holds the
    same vectors. `compare` is that of the store. A new store gets a description of its encoder with the name of the
    `model`, if one is given.
    """
    encoder = {**identity, "encoder": ENCODER_VERSION, "libraries": _libraries()}
    if ENCODER_VERSION == 1 and _libraries() == FIRST_LIBRARIES:
        unversioned = {**identity, "code": FIRST_CODE}
        encoder = unversioned if Path(folder, store_key(unversioned)).is_dir() else encoder
    key = store_key(encoder)
    store = VectorStore(Path(folder, key), key=key, dtype=dtype, compare=compare)
    if model and not (store.folder / DESCRIPTION).exists():
        write_json(store.folder / DESCRIPTION, {**encoder, "model": model})
    return store


def store_key(identity: Mapping[str, object]) -> str:
    """The name of a store: precision, device, and 12 hex digits of all that decides a vector besides its text."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]
    return f"{identity['precision']}-{identity['device']}-{digest}"


def _libraries() -> dict[str, str]:
    versions = result_versions()
    return {name: versions[name] for name in LIBRARIES if name in versions}
