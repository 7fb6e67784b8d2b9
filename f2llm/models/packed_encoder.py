"""An encoder without padding: whole texts lie end to end in packs of one fixed number of tokens.

Every matrix product has the same shape and attention stays within each text, so a vector depends on its text alone, as
with `Encoder`, and no work is done for padding. Whether a model can be run this way (positions are an argument,
attention can be replaced) is tried, not guessed from its name: when it is loaded, texts are run through both paths and
must agree. Where they do not, and on CUDA, the padded batches of `Encoder` are used. Measured: docs/benchmarks.md.
Shapes: P poolings, N texts, T tokens of a pack, H heads, R texts of a run of equal length, L its length,
I numbers of a pooled state, D dimensions.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from f2llm.models.attention import ATTENTION, packed_attention, runs
from f2llm.models.encoder import Encoder, PaddedBatch, pool

# Tokens of a pack: the states of all layers then stay in the processor's cache.
PACK_TOKENS = 1024
# Largest difference of a number of a pooled state, as a share of the largest number, that rounding in float32 explains.
TOLERANCE = 1e-3
_TRIAL_LENGTHS = (11, 7, 7, 3, 1)
logger = logging.getLogger(__name__)


class TextPack(NamedTuple):
    """Texts that go through the model together."""

    rows: list[int]  # places of the texts, longest first
    room: int  # tokens of the pack that remain free


class PackedEncoder(Encoder):
    """An Encoder that runs packs where its model allows it.

    Attributes:
        packed: whether the model runs packs.
    """

    packed = False

    @classmethod
    def load(
        cls, folder: Path | str, *, pooling: str, max_length: int, precision: str, device: str | None = None
    ) -> "PackedEncoder":
        """Load a model as `Encoder.load` does, and find out whether it can read packs."""
        encoder = super().load(folder, pooling=pooling, max_length=max_length, precision=precision, device=device)
        encoder._try_packs(max_length)
        logger.info("%s: %s", folder, "packs without padding" if encoder.packed else "padded batches")
        return encoder

    def _pooled(
        self, tokens: list[list[int]], poolings: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        if not self.packed:
            yield from super()._pooled(tokens, poolings)
            return
        for pack in packs([len(ids) for ids in tokens], size=self._pack_tokens):
            yield np.array(pack.rows), self._run_pack([tokens[row] for row in pack.rows], pack.room, poolings)

    def _try_packs(self, max_length: int) -> None:
        """Run a few random texts both ways; adopt packs where the pooled states agree."""
        if self.device != "cpu" or max_length < max(_TRIAL_LENGTHS):
            return
        from transformers import AttentionInterface

        self._pack_tokens = max(PACK_TOKENS, -(-max_length // 64) * 64)
        generator = np.random.RandomState(0)
        tokens = [generator.randint(0, self._model.config.vocab_size, length).tolist() for length in _TRIAL_LENGTHS]
        batch = PaddedBatch(rows=np.arange(len(tokens)), length=16, masked=not self._causal)
        precision, self.precision = self.precision, "float32"
        before = self._model.config._attn_implementation
        padded_PBI = self._forward(tokens, batch, ("mean",))
        AttentionInterface.register(ATTENTION, packed_attention)
        try:
            self._model.set_attn_implementation(ATTENTION)
            packed_PBI = self._run_pack(tokens, self._pack_tokens - sum(_TRIAL_LENGTHS), ("mean",))
            self.packed = bool(np.abs(packed_PBI - padded_PBI).max() <= TOLERANCE * np.abs(padded_PBI).max())
        except Exception as error:  # whatever an unknown architecture raises: it is then run in padded batches
            logger.info("packs are not for this model: %s: %s", type(error).__name__, error)
        self.precision = precision
        if not self.packed:
            self._model.set_attn_implementation(before)
        elif precision == "bfloat16":
            _store_linear_weights_in_bfloat16(self._model)

    def _run_pack(self, tokens: list[list[int]], room: int, poolings: Sequence[str]) -> NDArray[np.float32]:
        """The pooled states [P, B, I] of the texts of one pack, which are sorted by length, longest first."""
        lengths = [len(ids) for ids in tokens]
        tokens_T = np.concatenate([*tokens, np.full(room, self._padding)]).astype(np.int64)
        positions_T = np.concatenate([*(np.arange(length) for length in lengths), np.zeros(room)]).astype(np.int64)
        hidden_TI = self._hidden(
            input_ids=torch.from_numpy(tokens_T)[None],
            position_ids=torch.from_numpy(positions_T)[None],
            sequence_lengths=(*lengths, room) if room else lengths,  # the padding at the end is a run, too
            causal=self._causal,
        )[0]
        with torch.inference_mode():
            # One call of `pool` for each run of texts of equal length.
            pooled_PRI = []
            for run, shape in runs(lengths):
                states_RLI, lengths_R = hidden_TI[run].unflatten(0, shape), torch.full(shape[:1], shape[1])
                pooled_PRI.append(torch.stack([pool(states_RLI, lengths_R, pooling=pooling) for pooling in poolings]))
        return torch.cat(pooled_PRI, 1).numpy()


def packs(lengths: Sequence[int], *, size: int) -> Iterator[TextPack]:
    """Packs of at most `size` tokens: each takes the longest text left, then again and again the longest that fits."""
    waiting: dict[int, list[int]] = {}  # length -> places of texts, the first last
    for row in reversed(range(len(lengths))):
        waiting.setdefault(lengths[row], []).append(row)
    while waiting:
        rows, room = [], size
        for length in sorted(waiting, reverse=True):
            while length <= room and waiting.get(length):
                rows.append(waiting[length].pop())
                room -= length
            if not waiting[length]:
                del waiting[length]
        yield TextPack(rows, room)


def _store_linear_weights_in_bfloat16(model: Any) -> None:  # noqa: ANN401 - a class of transformers
    """Round the weights once that autocast would round in every pass; results are the same."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.to(torch.bfloat16)
