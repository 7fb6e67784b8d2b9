"""Compare layouts of contrastive training on one GPU, batch by batch, with Qwen3's shapes and F2LLM's lengths.

    python -m benchmarks.train.gpu --size 0.6B --out train.json        # one CUDA device, about 6 minutes
    python -m benchmarks.train.gpu --size 4B --out train.json
    python -m benchmarks.train.gpu --smoke                             # the same logic on the CPU, tiny, under a minute

This file is all that is needed (`python gpu.py` works wherever it is copied to), with torch >= 2.11,
transformers >= 5.17 and numpy; nothing is downloaded.
Without --out, the report goes to $OUT/train.json where OUT is set. Arms:

    up_ckpt      padded to the longest, attention un-padded within each layer (what flash-attention 2 does for
                 upstream), every layer computed again in the backward pass: upstream's setting
    up_sdpa      the same with plain causal attention; right padding needs no mask
    packed       padding-free; layers are computed again only as far as memory asks for it
    packed_ckpt  padding-free, every layer computed again
    packed_c     packed, each layer compiled for any number of tokens

All arms share one model and one optimiser (bfloat16, fused AdamW), take turns on every batch and do all the
work of a step at a learning rate of 0: so all see the same weights, and cosines, losses and gradient norms
can be compared. Weights are random; speed does not depend on them. Inputs are on the device before the
clock starts. Shapes: S sequences, T tokens of all, L tokens of the longest, H heads, D dimensions.
"""

import argparse
import gc
import inspect
import json
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")  # read when torch starts

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from torch.nn.functional import cosine_similarity, cross_entropy, normalize, pad, scaled_dot_product_attention  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402
from transformers import AttentionInterface, Qwen3Config, Qwen3Model  # noqa: E402

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # a CPU build: --smoke does without
    varlen_attn = None
ACCEPTS = frozenset(inspect.signature(varlen_attn).parameters) if varlen_attn else frozenset()
ATTENTION = "bench_varlen"
ARMS = ("up_ckpt", "up_sdpa", "packed", "packed_ckpt", "packed_c")


class Shape(NamedTuple):
    """Shape of a Qwen3 model, and the tuples and batches that a run takes by default."""

    width: int
    feed_forward: int
    layers: int
    heads: int
    key_heads: int
    head: int
    tuples: int
    batches: int
    vocabulary: int = 151_936


SHAPES = {
    "0.6B": Shape(1024, 3072, 28, 16, 8, 128, tuples=32, batches=8),
    "1.7B": Shape(2048, 6144, 28, 16, 8, 128, tuples=32, batches=6),
    "4B": Shape(2560, 9728, 36, 32, 8, 128, tuples=16, batches=6),
    "smoke": Shape(64, 128, 2, 4, 2, 16, tuples=3, batches=4, vocabulary=512),
}
LONGEST_SOURCES = ("cnn_dm", "xsum")  # run once beside the mixture, for memory
SMOKE_LENGTH = 40
USABLE = 0.85  # of the device's memory
PROBE_TOKENS = 4096
# F2LLM, arXiv 2510.02294, tables 3 and 4: source, task (c classification, g clustering, r retrieval), tuples, mean
# tokens of queries and of passages. benchmarks/train/lengths.py holds the same and explains the draw.
TABLE = """
amazon_counterfactual c 8663 47 4; amazon_polarity c 100000 115 2; imdb c 24904 314 2;
toxic_conversations c 49900 84 3; cola c 9571 28 2; amazon_reviews g 100000 63 48; banking77 g 9993 31 15;
emotion g 17944 54 21; mtop_intent g 17896 28 9; mtop_domain g 17538 29 10; massive_scenario g 13547 26 8;
massive_intent g 13547 26 8; tweet_sentiment_extraction g 26732 40 19; arxiv_p2p g 83476 245 222;
arxiv_s2s g 83486 38 17; biorxiv_p2p g 57296 360 338; biorxiv_s2s g 57296 42 22; medrxiv_p2p g 18659 453 431;
medrxiv_s2s g 18659 45 25; reddit_p2p g 80000 194 175; reddit_s2s g 58141 34 15; stackexchange_p2p g 80000 304 281;
stackexchange_s2s g 56731 32 13; twentynewsgroups g 11060 230 216; arguana r 22848 25 210; snli r 54585 32 10;
mnli r 112075 42 14; anli r 18801 95 14; paq r 938771 30 145; squad r 89509 30 162; stackexchange r 754705 231 245;
msmarco r 365503 26 82; natural_questions r 97209 30 145; hotpotqa r 120528 45 103; fever r 106605 31 324;
eli5 r 161345 42 229; fiqa r 7452 33 234; bioasq r 125248 27 295; nfcorpus r 1283 23 333; miracl r 3379 27 158;
mrtidy r 3547 27 148; scifact r 859 40 353; triviaqa r 60025 36 149; coliee r 454 61 123; pubmedqa r 60227 39 314;
s2orc_title_abstract r 250000 34 136; s2orc_title_citation r 132879 36 21; s2orc_abstract_citation r 231587 259 256;
amazon_qa r 59340 43 69; specter r 24717 38 14; xsum r 184383 44 459; cnn_dm r 100000 82 766;
sentence_compression r 175477 26 33; stackexchange_dup_s2s r 183559 31 14; stackexchange_dup_p2p r 203060 189 180;
qqp r 243598 31 13; stackoverflow_dup r 19847 27 11; sts12 r 1858 40 27; sts22 r 389 505 494;
stsbenchmark r 3297 25 14
"""
LONGEST, PREFIX, SIGMA, TEMPERATURE = 1024, 14, 0.6, 0.05


class Batch(NamedTuple):
    """Token ids of a batch of one source: queries, positives, then negatives tuple by tuple."""

    source: str
    in_batch: bool
    tuples: int
    sequences: list[torch.Tensor]

    @property
    def tokens(self) -> int:
        """Tokens of all sequences: the useful ones."""
        return sum(map(len, self.sequences))


class Inputs(NamedTuple):
    """A batch laid out on the device. `attention` goes to the attention function through every layer."""

    tokens: torch.Tensor  # [1, T] packed, [S, L] padded
    positions_1T: torch.Tensor | None
    attention: dict[str, Any]
    last_S: torch.Tensor  # place of each sequence's last token among all tokens laid out


def draw_lengths(row: Sequence[str], *, tuples: int, seed: int, number: int) -> np.ndarray:
    """Return the lengths of a batch of the source in `row` of the table; those of lengths.py in this repository."""
    name, task, _, mean_query, mean_passage = row
    generator = np.random.default_rng([seed, crc32(name.encode()), number])

    def log_normal(mean: float, shape: tuple[int, ...]) -> np.ndarray:
        drawn = np.exp(generator.normal(np.log(max(mean, 2)) - SIGMA**2 / 2, SIGMA, shape))
        return np.clip(np.rint(drawn), 2, LONGEST).astype(np.int64)

    query_B = np.clip(PREFIX + log_normal(int(mean_query) - PREFIX, (tuples,)), 3, LONGEST)
    if task == "c":
        return np.concatenate([query_B, np.full(2 * tuples, int(mean_passage) + 1)])
    passage_BK = log_normal(int(mean_passage), (tuples, 8))
    return np.concatenate([query_B, passage_BK[:, 0], passage_BK[:, 1:].ravel()])


def draw_batches(options: argparse.Namespace, shape: Shape) -> tuple[list[Batch], list[Batch]]:
    """Return batches of the mixture, each source in proportion to its tuples, and those of the longest sources."""
    rows = [row.split() for row in TABLE.replace("\n", " ").split(";")]
    ends = np.cumsum([int(row[2]) for row in rows])
    shift = np.random.default_rng([options.seed, crc32(b"mixture"), 0]).random()
    points = (np.arange(options.batches) + shift) / options.batches * ends[-1]

    def batch(row: Sequence[str], number: int) -> Batch:
        lengths = draw_lengths(row, tuples=options.tuples, seed=options.seed, number=number)
        lengths = np.minimum(lengths, SMOKE_LENGTH) if options.smoke else lengths
        generator = torch.Generator().manual_seed(options.seed + number)
        drawn = [torch.randint(2, shape.vocabulary, (length,), generator=generator) for length in lengths.tolist()]
        return Batch(row[0], row[1] == "r", options.tuples, drawn)

    mixed = [batch(rows[place], number) for number, place in enumerate(np.searchsorted(ends, points, side="right"))]
    return mixed, [batch(row, 0) for row in rows if row[0] in LONGEST_SOURCES]


def packed_inputs(batch: Batch, device: str) -> Inputs:
    """Lay the sequences end to end, longest first."""
    order = sorted(range(len(batch.sequences)), key=lambda place: -len(batch.sequences[place]))
    sequences = [batch.sequences[place] for place in order]
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    starts = pad(lengths.cumsum(0), (1, 0))
    last_S = torch.empty(len(order), dtype=torch.long)
    last_S[torch.tensor(order)] = starts[1:] - 1
    positions_T = torch.arange(int(starts[-1])) - starts[:-1].repeat_interleave(lengths)
    attention = {"starts": starts.int().to(device), "longest": int(lengths.max()), "kept_T": None}
    return Inputs(torch.cat(sequences)[None].to(device), positions_T[None].to(device), attention, last_S.to(device))


def padded_inputs(batch: Batch, device: str) -> Inputs:
    """Lay the sequences side by side, as wide as the longest, and note which places are no padding."""
    lengths = torch.tensor([len(sequence) for sequence in batch.sequences])
    longest = int(lengths.max())
    tokens_SL = torch.nn.utils.rnn.pad_sequence(batch.sequences, batch_first=True)
    kept_T = (torch.arange(longest)[None] < lengths[:, None]).flatten().nonzero()[:, 0]
    starts = pad(lengths.cumsum(0), (1, 0)).int()
    attention = {"starts": starts.to(device), "longest": longest, "kept_T": kept_T.to(device)}
    last_S = torch.arange(len(lengths)) * longest + lengths - 1
    return Inputs(tokens_SL.to(device), None, attention, last_S.to(device))


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: None,
    scaling: float | None = None,
    *,
    starts: torch.Tensor,
    longest: int,
    kept_T: torch.Tensor | None,
    **_: Any,  # noqa: ANN401 - what else transformers hands to attention
) -> tuple[torch.Tensor, None]:
    """Attend causally within each sequence: [S, H, L, D] -> [S, L, H, D]; places that `kept_T` leaves out give 0."""
    size, _, length, _ = query.shape
    flat = [states.transpose(1, 2).flatten(0, 1) for states in (query, key, value)]
    if kept_T is None:
        return variable_length(*flat, starts, longest, scaling)[None], None
    out_THD = variable_length(*(states.index_select(0, kept_T) for states in flat), starts, longest, scaling)
    whole = out_THD.new_zeros(size * length, *out_THD.shape[1:]).index_copy(0, kept_T, out_THD)
    return whole.unflatten(0, (size, length)), None


def variable_length(
    query_THD: torch.Tensor,
    key_THD: torch.Tensor,
    value_THD: torch.Tensor,
    starts: torch.Tensor,
    longest: int,
    scaling: float | None,
) -> torch.Tensor:
    """Call torch's variable-length kernel in whichever form this torch has it; one sequence at a time on the CPU."""
    if query_THD.device.type == "cpu":
        return one_by_one(query_THD, key_THD, value_THD, starts, scaling)
    named: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in ACCEPTS else {"is_causal": True}
    if "scale" in ACCEPTS:
        named["scale"] = scaling  # else the kernel's own, which is Qwen3's: head size to the power of -1/2
    if "enable_gqa" in ACCEPTS:
        named["enable_gqa"] = True
    else:
        groups = query_THD.shape[1] // key_THD.shape[1]
        key_THD, value_THD = (states.repeat_interleave(groups, 1) for states in (key_THD, value_THD))
    states = (states.contiguous() for states in (query_THD, key_THD, value_THD))
    return varlen_attn(*states, starts, starts, longest, longest, **named)


@torch.compiler.disable
def one_by_one(
    query_THD: torch.Tensor, key_THD: torch.Tensor, value_THD: torch.Tensor, starts: torch.Tensor, scaling: float | None
) -> torch.Tensor:
    """Attend sequence by sequence."""
    outs = []
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        one = (states[start:end].transpose(0, 1)[None] for states in (query_THD, key_THD, value_THD))
        outs.append(scaled_dot_product_attention(*one, is_causal=True, scale=scaling, enable_gqa=True)[0])
    return torch.cat(outs, 1).transpose(0, 1)


class Bench:
    """One model and one optimiser that all arms use in turn."""

    def __init__(self, options: argparse.Namespace, shape: Shape) -> None:
        self.options, self.shape = options, shape
        self.device = "cpu" if options.smoke else "cuda"
        AttentionInterface.register(ATTENTION, attend)
        config = Qwen3Config(
            vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.key_heads,
            head_dim=shape.head, max_position_embeddings=2048, use_cache=False, attn_implementation=ATTENTION,
        )  # fmt: skip
        torch.manual_seed(options.seed)
        with torch.device(self.device):
            self.model = Qwen3Model(config).to(torch.float32 if options.smoke else torch.bfloat16).train()
        for layer in self.model.layers:
            layer.compile(dynamic=True, backend="eager" if options.smoke else "inductor")
        fused = self.device == "cuda"
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=0.0, betas=(0.9, 0.98), fused=fused)
        self.bytes_per_token: dict[str, float] = {}

    def vectors(self, arm: str, inputs: Inputs, *, tokens: int) -> torch.Tensor:
        """Return the state of each sequence's last token, [S, D] float32."""
        # Both stay until the next call, since layers are computed again in the backward pass.
        torch.compiler.set_stance("default" if arm == "packed_c" else "force_eager")
        self.model.config._attn_implementation = "sdpa" if arm == "up_sdpa" else ATTENTION
        if arm.startswith("packed"):
            states_TD = self._packed(inputs, kept=self.kept_layers(arm, tokens))
        else:
            states_TD = self._padded(inputs, plain=arm == "up_sdpa")
        return self.model.norm(states_TD.index_select(0, inputs.last_S)).float()

    def step(self, arm: str, batch: Batch, inputs: Inputs) -> tuple[float, float]:
        """Take a whole training step; return loss and gradient norm."""
        vectors = self.vectors(arm, inputs, tokens=batch.tokens)
        loss = loss_of(vectors, tuples=batch.tuples, in_batch=batch.in_batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return loss.item(), norm.item()

    def kept_layers(self, arm: str, tokens: int) -> int:
        """Return how many layers may keep their activations for the backward pass."""
        if arm == "packed_ckpt" or (self.options.cap is not None and tokens > self.options.cap):
            return 0
        if self.options.cap is not None or arm not in self.bytes_per_token:
            return self.shape.layers
        # Weights, gradients and two moments, all in the weights' format.
        static = 4 * sum(parameter.numel() * parameter.element_size() for parameter in self.model.parameters())
        free = USABLE * torch.cuda.get_device_properties(0).total_memory - static
        layer, entry = self.bytes_per_token[arm] / self.shape.layers, 2 * self.shape.width
        # Two layers' worth for what is computed again and for gradients on their way.
        kept = (free / tokens - self.shape.layers * entry - 2 * layer) / max(1.0, layer - entry)
        return max(0, min(self.shape.layers, int(kept)))

    def probe(self, arm: str) -> None:
        """Measure the bytes a token leaves for the backward pass, on one batch of made-up sequences (CUDA)."""
        sequences = [torch.full((256,), 2) for _ in range(PROBE_TOKENS // 256)]
        inputs = packed_inputs(Batch("probe", False, 2, sequences), self.device)
        self.vectors(arm, inputs, tokens=PROBE_TOKENS).sum().backward()  # compiles, and makes gradients
        before = torch.cuda.memory_allocated()
        kept = self.vectors(arm, inputs, tokens=PROBE_TOKENS)
        self.bytes_per_token[arm] = (torch.cuda.memory_allocated() - before) / PROBE_TOKENS
        del kept
        self.optimiser.zero_grad(set_to_none=True)

    def _packed(self, inputs: Inputs, *, kept: int) -> torch.Tensor:
        """Run the layers one by one; the last `kept` keep their activations, the others are computed again."""
        hidden_1TD = self.model.embed_tokens(inputs.tokens)
        rotation = self.model.rotary_emb(hidden_1TD, inputs.positions_1T)
        for number, layer in enumerate(self.model.layers):
            run = partial(layer, attention_mask=None, position_embeddings=rotation, **inputs.attention)
            again = torch.is_grad_enabled() and number < self.shape.layers - kept
            hidden_1TD = checkpoint(run, hidden_1TD, use_reentrant=False) if again else run(hidden_1TD)
        return hidden_1TD[0]

    def _padded(self, inputs: Inputs, *, plain: bool) -> torch.Tensor:
        """Run the layers over the padded block, each computed again in the backward pass."""
        hidden_SLD = self.model.embed_tokens(inputs.tokens)
        positions = torch.arange(inputs.tokens.shape[1], device=inputs.tokens.device)[None]
        rotation = self.model.rotary_emb(hidden_SLD, positions)
        named = {} if plain else inputs.attention
        for layer in self.model.layers:
            run = partial(layer, attention_mask=None, position_embeddings=rotation, **named)
            hidden_SLD = (
                checkpoint(run, hidden_SLD, use_reentrant=False) if torch.is_grad_enabled() else run(hidden_SLD)
            )
        return hidden_SLD.flatten(0, 1)


def loss_of(vectors_SD: torch.Tensor, *, tuples: int, in_batch: bool) -> torch.Tensor:
    """Return F2LLM's loss (arXiv 2510.02294) in float32: own negatives, and for retrieval all positives, detached."""
    query_BD, positive_BD = normalize(vectors_SD[:tuples], dim=-1), vectors_SD[tuples : 2 * tuples]
    negative_BKD = vectors_SD[2 * tuples :].unflatten(0, (tuples, -1))
    candidate_BKD = normalize(torch.cat([positive_BD[:, None], negative_BKD], 1), dim=-1)
    logits_BK = torch.einsum("bd,bkd->bk", query_BD, candidate_BKD) / TEMPERATURE
    loss = cross_entropy(logits_BK, torch.zeros(tuples, dtype=torch.long, device=logits_BK.device))
    if in_batch:
        logits_BB = query_BD @ normalize(positive_BD.detach(), dim=-1).T / TEMPERATURE
        loss = loss + cross_entropy(logits_BB, torch.arange(tuples, device=logits_BB.device))
    return loss


def useful_flops(batch: Batch, shape: Shape) -> float:
    """Return the operations of forward and backward on useful tokens: matrices, and causal attention by half."""
    attention, keys = shape.heads * shape.head, shape.key_heads * shape.head
    per_layer = shape.width * (2 * attention + 2 * keys + 3 * shape.feed_forward)
    squares = sum(len(sequence) ** 2 for sequence in batch.sequences)
    return 3 * shape.layers * (2 * per_layer * batch.tokens + 2 * attention * squares)


def matmul_tflops() -> float:
    """Return what the device reaches on a product of two 8192 x 8192 bfloat16 matrices of random numbers."""
    one, other = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        one @ other
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        one @ other
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - began) / 1e12


class Record:
    """What an arm did: seconds by batch and round, losses and norms, vectors, peak memory, what went wrong."""

    def __init__(self) -> None:
        self.seconds: dict[int, list[float]] = {}
        self.outcomes: dict[int, tuple[float, float]] = {}
        self.peak_gib = 0.0
        self.vectors: list[torch.Tensor] = []
        self.faults: list[str] = []
        self.broken = False

    def finished(self, rounds: int) -> set[int]:
        """Return the batches on which the arm took all its turns."""
        return {number for number, seconds in self.seconds.items() if len(seconds) == rounds}


def lay_out(arm: str, batch: Batch, device: str) -> Inputs:
    """Return the inputs of a batch as an arm wants them."""
    return (packed_inputs if arm.startswith("packed") else padded_inputs)(batch, device)


def attempt(bench: Bench, arm: str, batch: Batch, record: Record, *, number: int, timed: bool = True) -> None:
    """Take one step with an arm; note what it cost, or that it failed, and clean up after it."""
    if record.broken:
        return
    try:
        seconds, outcome, peak = timed_step(bench, arm, batch)
    except torch.OutOfMemoryError:
        record.faults.append(f"{batch.source}, {batch.tokens} tokens: out of memory")
    except Exception as error:  # a broken arm must not cost the others their figures
        record.faults.append(f"{batch.source}: {type(error).__name__}: {str(error)[:300]}")
        record.broken = True
    else:
        record.peak_gib = max(record.peak_gib, peak)
        if timed:
            record.seconds.setdefault(number, []).append(seconds)
            record.outcomes[number] = outcome
        return
    # Outside the handlers, whose traceback holds the activations.
    bench.optimiser.zero_grad(set_to_none=True)
    gc.collect()
    if bench.device == "cuda":
        torch.cuda.empty_cache()


def timed_step(bench: Bench, arm: str, batch: Batch) -> tuple[float, tuple[float, float], float]:
    """Take one step; return its seconds, loss and gradient norm, and peak memory in GiB."""
    inputs, on_gpu = lay_out(arm, batch, bench.device), bench.device == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    outcome = bench.step(arm, batch, inputs)
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - began, outcome, torch.cuda.max_memory_allocated() / 2**30 if on_gpu else 0.0


def warm_up(bench: Bench, arm: str, batches: Sequence[Batch], record: Record) -> None:
    """Take a step on each of the batches, measure memory per token, and keep the vectors for comparison."""
    for batch in batches:  # of two lengths, so that a compiler learns that they vary
        attempt(bench, arm, batch, record, number=-1, timed=False)
    if record.broken:
        return
    try:
        if arm in ("packed", "packed_c") and bench.device == "cuda" and bench.options.cap is None:
            bench.probe(arm)
        with torch.no_grad():
            for batch in batches:
                vectors_SD = bench.vectors(arm, lay_out(arm, batch, bench.device), tokens=batch.tokens)
                record.vectors.append(vectors_SD.cpu())
    except Exception as error:  # as above
        record.faults.append(f"warm-up: {type(error).__name__}: {str(error)[:300]}")
        record.broken = True


def run(options: argparse.Namespace, shape: Shape) -> dict[str, Any]:
    """Warm up, let the arms take turns on every batch, then on the longest batches; write and return the report."""
    ceiling = None if options.smoke else matmul_tflops()
    bench = Bench(options, shape)
    mixed, longest = draw_batches(options, shape)
    records = {arm: Record() for arm in options.arms}
    for arm, record in records.items():
        warm_up(bench, arm, sorted(mixed, key=lambda batch: batch.tokens)[:2], record)
    for _ in range(options.rounds):
        for number, batch in enumerate(mixed):
            for arm, record in records.items():
                attempt(bench, arm, batch, record, number=number)
    found = facts(options, shape, mixed, ceiling=ceiling)
    found["arms"] = {arm: figures(bench, arm, mixed, records, ceiling=ceiling) for arm in records}
    save(found, options.out)  # before what may end the process
    found["longest"] = {batch.source: longest_step(bench, batch, records) for batch in longest}
    save(found, options.out)
    return found


def longest_step(bench: Bench, batch: Batch, records: dict[str, Record]) -> dict[str, Any]:
    """Take one step with every arm on one of the longest batches; return seconds and peak memory, or the fault."""
    found: dict[str, Any] = {"tokens": batch.tokens, "arms": {}}
    for arm, record in records.items():
        one = Record()
        one.broken = record.broken
        attempt(bench, arm, batch, one, number=0)
        found["arms"][arm] = {
            "seconds": one.seconds.get(0, [None])[0], "peak_gib": one.peak_gib, "faults": one.faults,
            "layers_kept": bench.kept_layers(arm, batch.tokens) if arm.startswith("packed") else 0,
        }  # fmt: skip
    return found


def facts(
    options: argparse.Namespace, shape: Shape, mixed: Sequence[Batch], *, ceiling: float | None
) -> dict[str, Any]:
    """Return what the figures were measured on."""
    counters = torch._dynamo.utils.counters
    useful, padded = sum(batch.tokens for batch in mixed), sum(padded_tokens(batch) for batch in mixed)
    return {
        "size": options.size, "shape": shape._asdict(), "tuples": options.tuples, "rounds": options.rounds,
        "device": "cpu" if options.smoke else torch.cuda.get_device_name(), "matmul_tflops": ceiling,
        "torch": torch.__version__, "cuda": torch.version.cuda, "transformers": transformers.__version__,
        "varlen_attn": sorted(ACCEPTS), "useful_tokens": useful, "padded_tokens": padded,
        "padded_per_useful": padded / useful, "batches": [batch.source for batch in mixed],
        "graphs": counters["stats"].get("unique_graphs", 0), "graph_breaks": sum(counters["graph_break"].values()),
    }  # fmt: skip


def figures(
    bench: Bench, arm: str, mixed: Sequence[Batch], records: dict[str, Record], *, ceiling: float | None
) -> dict[str, Any]:
    """Return the figures of an arm over the batches it finished; compared with the first arm over those of both."""
    record, rounds = records[arm], bench.options.rounds
    done = sorted(record.finished(rounds))
    if not done:
        return {"batches": 0, "faults": record.faults}
    by_round = [sum(record.seconds[number][place] for number in done) for place in range(rounds)]
    seconds, batches = min(by_round), [mixed[number] for number in done]
    tflops = sum(useful_flops(batch, bench.shape) for batch in batches) / seconds / 1e12
    return {
        "batches": len(done), "seconds_by_round": by_round, "spread": max(by_round) / seconds,
        "useful_tflops": tflops, "share_of_matmul": tflops / ceiling if ceiling else None,
        "useful_tokens_per_second": sum(batch.tokens for batch in batches) / seconds,
        "peak_gib": record.peak_gib, "bytes_per_token": bench.bytes_per_token.get(arm), "faults": record.faults,
        "seconds_by_batch": [min(record.seconds[number]) for number in done],
        **against(record, next(iter(records.values())), rounds=rounds),
    }  # fmt: skip


def against(record: Record, first: Record, *, rounds: int) -> dict[str, Any]:
    """Return by how much an arm is faster than the first, and how far off its vectors, losses and norms are."""
    both = sorted(record.finished(rounds) & first.finished(rounds))
    if not both:
        return {}
    ratios = sorted(
        sum(first.seconds[number][place] for number in both) / sum(record.seconds[number][place] for number in both)
        for place in range(rounds)
    )
    cosines = [cosine_similarity(*pair).min().item() for pair in zip(record.vectors, first.vectors, strict=True)]
    outcomes = [(record.outcomes[number], first.outcomes[number]) for number in both]
    return {
        "speed_up": {"median": ratios[len(ratios) // 2], "min": ratios[0], "max": ratios[-1]},
        "compared_batches": len(both),
        "least_cosine": min(cosines),
        "loss_difference_relative": max(abs(own[0] - other[0]) / abs(other[0]) for own, other in outcomes),
        "gradient_norm_difference_relative": max(abs(own[1] - other[1]) / other[1] for own, other in outcomes),
    }


def save(found: dict[str, Any], out: Path | None) -> None:
    """Write the report, if a place was named."""
    if out:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def padded_tokens(batch: Batch) -> int:
    """Return the tokens of the batch in one block as wide as its longest sequence."""
    return len(batch.sequences) * max(map(len, batch.sequences))


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return the report as a table."""
    lines = [
        f"{found['device']}, {found['size']}: padded / useful {found['padded_per_useful']:.2f}, matmul "
        f"{found['matmul_tflops'] or 0:.0f} TFLOP/s, {found['graphs']} graphs, {found['graph_breaks']} breaks",
        f"{'arm':12}{'faster by':>20}{'TFLOP/s':>9}{'of matmul':>11}{'tokens/s':>10}{'GiB':>7}{'cosine':>10}",
    ]
    for arm, one in found["arms"].items():
        if one["batches"]:
            speed = "{median:.2f} ({min:.2f}-{max:.2f})".format(**one["speed_up"]) if "speed_up" in one else "?"
            lines.append(
                f"{arm:12}{speed:>20}{one['useful_tflops']:9.1f}{one['share_of_matmul'] or 0:11.1%}"
                f"{one['useful_tokens_per_second']:10.0f}{one['peak_gib']:7.1f}{one.get('least_cosine', 0):10.6f}"
            )
        lines += [f"{arm:12}{fault}" for fault in one["faults"]]
    for source, step in found["longest"].items():
        peaks = [f"{arm} {'; '.join(one['faults']) or round(one['peak_gib'], 1)}" for arm, one in step["arms"].items()]
        lines.append(f"{source}, {step['tokens']} tokens, peak GiB: {', '.join(peaks)}")
    return lines


def smoke_faults(found: dict[str, Any]) -> list[str]:
    """Return what is wrong with a smoke run: arms that failed, or that differ by more than float32 rounds."""
    limits = {"loss_difference_relative": 1e-5, "gradient_norm_difference_relative": 1e-4}
    wrong = []
    for arm, one in found["arms"].items():
        wrong += [f"{arm}: {fault}" for fault in one["faults"]]
        wrong += [f"{arm}: {key} is {one.get(key)}" for key, limit in limits.items() if one.get(key, 9.0) > limit]
        wrong += [f"{arm}: cosine {one.get('least_cosine')}"] if one.get("least_cosine", 0.0) < 0.99999 else []
    for step in found["longest"].values():
        wrong += [f"{arm}: {fault}" for arm, one in step["arms"].items() for fault in one["faults"]]
    return wrong


def parse_options() -> tuple[argparse.Namespace, Shape]:
    """Return the options, and the shape that they name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--size", default="0.6B", choices=[size for size in SHAPES if size != "smoke"], help="of Qwen3")
    add("--tuples", type=int, help="tuples a batch (default: 32, for 4B 16)")
    add("--batches", type=int, help="batches of the mixture (default: 8, for larger models 6)")
    add("--rounds", type=int, default=3, help="turns that every arm takes on every batch (default: 3)")
    add("--arms", default=",".join(ARMS), help="comma-separated; the first is what the others are compared with")
    add("--cap", type=int, help="tokens above which packed arms compute all layers again (default: from memory)")
    add("--seed", type=int, default=0)
    add("--out", type=Path, help="JSON report (default: $OUT/train.json, if OUT is set)")
    add("--smoke", action="store_true", help="check the logic on the CPU; no figure of it means anything")
    options = parser.parse_args()
    options.arms = options.arms.split(",")
    if unknown := set(options.arms) - set(ARMS):
        parser.error(f"unknown arms: {', '.join(sorted(unknown))}")
    if options.smoke:
        options.size, options.rounds, options.cap = "smoke", 2, 600
    elif not torch.cuda.is_available() or varlen_attn is None:
        parser.error("there is no CUDA device, or this torch has no torch.nn.attention.varlen; --smoke does without")
    if options.out is None and os.environ.get("OUT"):
        options.out = Path(os.environ["OUT"], "train.json")
    shape = SHAPES[options.size]
    options.tuples, options.batches = options.tuples or shape.tuples, options.batches or shape.batches
    return options, shape


def main() -> int:
    """Run, print, write; return 1 where a smoke run shows a fault."""
    options, shape = parse_options()
    found = run(options, shape)
    print("\n".join(lines_of(found)))
    if not options.smoke:
        return 0
    wrong = smoke_faults(found)
    print("\n".join(wrong) or "smoke: all arms agree")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
