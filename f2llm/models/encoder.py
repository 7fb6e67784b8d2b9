"""A model that turns texts into unit vectors, each of which depends on its text alone.

A matrix product of another shape rounds differently, so in batches of any shape a vector would depend on its
neighbours. Here every product has one of a few shapes, in one of two ways:

- Packs: whole texts lie end to end in packs of one fixed number of tokens, attention stays within each text, and no
  work is done for padding. Whether a model can be run this way (positions are an argument, attention can be replaced)
  is tried, not guessed from its name: when it is loaded, texts are run through both ways and must agree. Measured:
  docs/benchmarks.md.
- Batches, for other models and on CUDA: ROWS rows of one padded length. A causal model needs no mask for the padding
  behind a text. Any other model does, and there texts that fill the padded length are kept apart from shorter ones,
  because attention takes another path without a mask.

Shapes: P poolings, N texts, B rows of a batch or texts of a pack, T tokens, R texts of a run of equal length, L its
length, I numbers of a pooled state, D dimensions of a vector.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from f2llm.jobs.progress import Progress
from f2llm.models.attention import ATTENTION, packed_attention, runs
from f2llm.models.device import resolve_precision
from f2llm.models.heads import DenseLayer, load_dense, run_dense
from f2llm.records.errors import InputError
from f2llm.records.ids import doc_id

ROWS = 16
# Lengths are rounded up to a multiple of this.
LENGTH_STEP = 8
# Texts whose tokens are held in memory at once.
TEXTS_AT_ONCE = 4096
# Tokens of a pack: the states of all layers then stay in the processor's cache.
PACK_TOKENS = 1024
# Largest difference of a number of a pooled state, as a share of the largest number, that rounding in float32 explains.
TOLERANCE = 1e-3
_TRIAL_LENGTHS = (11, 7, 7, 3, 1)
logger = logging.getLogger(__name__)


class PaddedBatch(NamedTuple):
    """Positions of at most ROWS texts that share a padded length."""

    rows: NDArray[np.int64]
    length: int
    masked: bool  # attention must be told where each text ends


class TextPack(NamedTuple):
    """Texts that go through the model together."""

    rows: list[int]  # places of the texts, longest first
    room: int  # tokens of the pack that remain free


class Encoder:
    """A backbone with its tokenizer and pooling, ready to encode.

    Attributes:
        dim: length of a vector.
        precision: "float32" or "bfloat16" (autocast), resolved.
        device: "cuda" or "cpu".
        packed: whether the model runs packs.
    """

    packed = False

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - a class of transformers
        tokenizer: Any,  # noqa: ANN401 - a class of transformers
        *,
        pooling: str,
        max_length: int,
        precision: str,
        dense: Sequence[DenseLayer] = (),
    ) -> None:
        self.device = str(next(model.parameters()).device.type)
        self.precision = resolve_precision(precision, device=self.device)
        self._width, self._dense = int(model.config.hidden_size), list(dense)
        self.dim = len(self._dense[-1].weight_OI) if self._dense else self._width
        self._model, self._tokenizer = model, tokenizer
        self._pooling, self._max_length = pooling, max_length
        self._causal = _is_causal(model)
        self._padding = next((x for x in (tokenizer.pad_token_id, tokenizer.eos_token_id) if x is not None), 0)

    @classmethod
    def load(
        cls, folder: Path | str, *, pooling: str, max_length: int, precision: str, device: str | None = None
    ) -> "Encoder":
        """Load a plain transformers folder (float32 safetensors, tokenizer) without network or remote code.

        Texts are cut to `max_length` tokens, special tokens included; where texts have to end in EOS, the tokenizer
        adds it. `precision` is one of float32, bfloat16 and auto. Without a `device` ("cpu", "cuda") the model goes to
        the first CUDA device, if there is one.

        Raises:
            InputError: the folder is no model, or the model cannot read `max_length` tokens.
        """
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        if not (Path(folder) / "config.json").is_file():
            raise InputError(f"{folder}: there is no config.json, so no model; give the folder of a model")
        safe = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, **safe)
        longest = getattr(model.config, "max_position_embeddings", max_length)
        if max_length > longest:
            raise InputError(
                f"{folder}: max_length is {max_length}, the model reads {longest} tokens; lower max_length"
            )
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = model.eval().requires_grad_(False).to(device)
        encoder = cls(
            model, tokenizer, pooling=pooling, max_length=max_length, precision=precision, dense=load_dense(folder)
        )
        encoder._try_packs(max_length)
        logger.info("%s: %s", folder, "packs without padding" if encoder.packed else "padded batches")
        return encoder

    def encode(self, texts: Sequence[str], *, what: str, bar: Progress | None = None) -> NDArray[np.float32]:
        """The vectors [N, D] of `texts` in their order: float32, of unit length.

        Pooling and normalisation are in float32. `what` names the texts in errors and progress; a `bar` is advanced
        instead of a new one.

        Raises:
            InputError: a text has no tokens, or its vector is zero or not finite.
        """
        return self.encode_poolings(texts, poolings=(self._pooling,), what=what, bar=bar)[0]

    def encode_poolings(
        self, texts: Sequence[str], *, poolings: Sequence[str], what: str, bar: Progress | None = None
    ) -> NDArray[np.float32]:
        """The vectors [P, N, D] of `texts` under each of `poolings`, from one forward pass.

        They equal, bit for bit, what `encode` of an encoder with that pooling returns.

        Raises:
            InputError: as `encode`.
        """
        if bar is None:
            with Progress(f"encode {what}", total=len(texts), unit="texts") as new_bar:
                return self.encode_poolings(texts, poolings=poolings, what=what, bar=new_bar)
        pooled_PNI = np.zeros((len(poolings), len(texts), self._width), np.float32)
        for first in range(0, len(texts), TEXTS_AT_ONCE):
            tokens = self._tokenise(texts[first : first + TEXTS_AT_ONCE], what=what, first=first)
            for rows, pooled_PBI in self._pooled(tokens, poolings):
                pooled_PNI[:, first + rows] = pooled_PBI
                bar.advance(len(rows))
        vectors_PND = pooled_PNI
        if self._dense:
            vectors_PND = np.stack([run_dense(pooled_NI, self._dense) for pooled_NI in pooled_PNI])
        for vectors_ND in vectors_PND:
            normalise(vectors_ND, texts, what=what)
        return vectors_PND

    def _pooled(
        self, tokens: list[list[int]], poolings: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """The pooled states [P, B, I] of all texts, a pack or a batch at a time, with their places [B] in `tokens`."""
        lengths = [len(ids) for ids in tokens]
        if self.packed:
            for pack in packs(lengths, size=self._pack_tokens):
                yield np.array(pack.rows), self._run_pack([tokens[row] for row in pack.rows], pack.room, poolings)
        else:
            for batch in batches(np.array(lengths), masked=not self._causal):
                yield batch.rows, self._forward([tokens[row] for row in batch.rows], batch, poolings)

    def _tokenise(self, texts: Sequence[str], *, what: str, first: int) -> list[list[int]]:
        tokens = self._tokenizer(list(texts), truncation=True, max_length=self._max_length)["input_ids"]
        empty = [row for row, ids in enumerate(tokens) if not ids]
        if empty:
            raise InputError(_fault(what, first + empty[0], texts[empty[0]], "the text has no tokens"))
        return tokens

    def _forward(self, tokens: list[list[int]], batch: PaddedBatch, poolings: Sequence[str]) -> NDArray[np.float32]:
        """The pooled states [P, B, I] of one batch, which dummy rows fill up to ROWS."""
        tokens_BT = np.full((ROWS, batch.length), self._padding, np.int64)
        lengths_B = np.full(ROWS, 1 if batch.masked else batch.length, np.int64)
        for row, ids in enumerate(tokens):
            tokens_BT[row, : len(ids)] = ids
            lengths_B[row] = len(ids)
        mask_BT = np.arange(batch.length) < lengths_B[:, None]
        on_device = [torch.from_numpy(array).to(self.device) for array in (tokens_BT, mask_BT, lengths_B)]
        hidden_BTI = self._hidden(input_ids=on_device[0], attention_mask=on_device[1] if batch.masked else None)
        with torch.inference_mode():
            pooled_PBI = [pool(hidden_BTI, on_device[2], pooling=pooling) for pooling in poolings]
        return np.stack([pooled_BI[: len(tokens)].cpu().numpy() for pooled_BI in pooled_PBI])

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

    def _hidden(self, **inputs: Any) -> torch.Tensor:  # noqa: ANN401 - of the model's forward pass
        """The states of the last layer."""
        cache = {"use_cache": False} if hasattr(self._model.config, "use_cache") else {}
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return self._model(**inputs, **cache).last_hidden_state


def batches(lengths_N: NDArray[np.int64], *, masked: bool) -> Iterator[PaddedBatch]:
    """Batches of texts of one padded length each, longest first; `lengths_N` counts the tokens of each text.

    With `masked`, texts that are shorter than their padded length are in separate batches, marked as masked.
    """
    padded_N = -(-lengths_N // LENGTH_STEP) * LENGTH_STEP
    for length in sorted(set(padded_N.tolist()), reverse=True):
        shorter_N = (lengths_N < length) & masked
        for needs_mask in (False, True):
            rows = np.flatnonzero((padded_N == length) & (shorter_N == needs_mask))
            for first in range(0, len(rows), ROWS):
                yield PaddedBatch(rows=rows[first : first + ROWS], length=length, masked=needs_mask)


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


def _is_causal(model: Any) -> bool:  # noqa: ANN401 - a class of transformers
    """Whether no token of the model sees a later one: all its attention layers have `is_causal` set."""
    causal = [module.is_causal for module in model.modules() if hasattr(module, "is_causal")]
    return bool(causal) and all(causal)


def pool(hidden_BTD: torch.Tensor, lengths_B: torch.Tensor, *, pooling: str) -> torch.Tensor:
    """The pooled vectors [B, D] in float32, not normalised; padding of `hidden_BTD` is on the right.

    `lengths_B` counts the tokens of each text (int64, 1..T); padding behind them is not read. "last" takes the state of
    the last token, "mean" the average of all, "cls" the first.

    Raises:
        InputError: another pooling.
    """
    if pooling == "last":
        rows_B = torch.arange(len(hidden_BTD), device=hidden_BTD.device)
        return hidden_BTD[rows_B, lengths_B - 1].float()
    if pooling == "cls":
        return hidden_BTD[:, 0].float()
    if pooling == "mean":
        inside_BT = torch.arange(hidden_BTD.shape[1], device=hidden_BTD.device) < lengths_B[:, None]
        kept_BTD = hidden_BTD.float().masked_fill(~inside_BT[..., None], 0.0)
        return kept_BTD.sum(1) / lengths_B[:, None]
    raise InputError(f"pooling: {pooling!r} is not one of last, mean, cls; choose one of these")


def normalise(vectors_ND: NDArray[np.float32], texts: Sequence[str], *, what: str) -> None:
    """Scale rows to unit length in place, or refuse the first that has no direction."""
    # Row by row, since a sum over an axis of a matrix may be split by its shape.
    norms_N = np.array([np.sqrt(np.dot(row, row)) for row in vectors_ND], np.float32)
    bad = np.flatnonzero(~(np.isfinite(norms_N) & (norms_N > 0)))
    if len(bad):
        raise InputError(_fault(what, int(bad[0]), texts[bad[0]], "its vector is zero or not finite"))
    vectors_ND /= norms_N[:, None]


def _fault(what: str, row: int, text: str, fault: str) -> str:
    return f"{what}: text {row} (id {doc_id(text).hex()}, {text[:60]!r}): {fault}; mend or remove it at its source"
