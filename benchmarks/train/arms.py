"""The trainers that are compared: this project's, and one written after upstream's published training.

An arm loads the model anew, takes one optimiser step a batch (building the batch, forward, backward,
clipping, AdamW) and says what each step cost in seconds of processor time. Learning rate, weight decay,
clipping and optimiser kernel are the same in all arms, and constant, so that speed is all that differs.
Shapes: B tuples, N sequences, L tokens of the longest, K candidates of a tuple, D dimensions.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from benchmarks.train.token_batches import PAD, TokenBatch

TEMPERATURE = 0.05  # of F2LLM, arXiv 2510.02294
CLIP_NORM, WEIGHT_DECAY, BETAS = 1.0, 0.01, (0.9, 0.98)
Watch = Callable[[torch.nn.Module], None]


class Pass(NamedTuple):
    """What one pass over all batches gave; lists are by batch.

    Attributes:
        seconds: processor time of each step.
        losses: loss before each step.
        computed_tokens: tokens that went through the model, padding and repeats included, recompute not.
        model: the trained model.
    """

    seconds: list[float]
    losses: list[float]
    computed_tokens: int
    model: torch.nn.Module


class Job(NamedTuple):
    """What an arm is asked to do. `watch` sees the model when gradients are clipped and weights not yet changed."""

    folder: Path
    batches: Sequence[TokenBatch]
    learning_rate: float
    watch: Watch | None = None
    upstream: Path | None = None


def make_adamw(model: torch.nn.Module, job: Job) -> torch.optim.Optimizer:
    """Return the optimiser of all arms that bring none of their own."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=job.learning_rate, weight_decay=WEIGHT_DECAY, betas=BETAS, fused=True
    )
    if job.watch:
        optimiser.register_step_pre_hook(lambda *_: job.watch(model))
    return optimiser


def run_ours(job: Job) -> Pass:
    """Train with f2llm.train, set to upstream's mathematics, everything else as it is by default."""
    from f2llm.models.network import load_packed

    model = load_packed(job.folder)
    trainer = our_trainer(model, job)
    if job.watch:
        trainer.optimiser.register_step_pre_hook(lambda *_: job.watch(model))
    seconds, losses, computed = [], [], 0
    for step, batch in enumerate(job.batches):
        began = time.process_time()
        (loss,) = trainer.step([our_batch(batch, step=step)]).batches
        seconds.append(time.process_time() - began)
        losses.append(loss.loss)
        computed += loss.computed_tokens
    return Pass(seconds, losses, computed, model)


def our_trainer(model: torch.nn.Module, job: Job):  # noqa: ANN201 - f2llm.train.step.Trainer, imported late
    """Return f2llm's trainer in a world of one."""
    from f2llm.config.build import build
    from f2llm.config.check import load_schema, with_defaults
    from f2llm.config.train import Train
    from f2llm.train.memory import find_budget
    from f2llm.train.step import Trainer, make_optimiser
    from f2llm.train.world import World

    named = {
        "steps": len(job.batches), "batch_size": len(job.batches[0].queries), "negatives": 7, "threads": 1,
        "passage_gradient": "none", "mask_equal_positives": False, "decay_vectors": True, "precision": "float32",
        "learning_rate": job.learning_rate, "warmup_steps": 0, "min_lr_ratio": 1.0, "temperature": TEMPERATURE,
        "clip_norm": CLIP_NORM, "weight_decay": WEIGHT_DECAY, "betas": list(BETAS),
    }  # fmt: skip
    settings = build(Train, with_defaults(named, load_schema("config")["properties"]["train"]))
    world = World(rank=0, size=1, device=torch.device("cpu"))
    longest = max(len(sequence) for batch in job.batches for sequence in batch.sequences())
    budget = find_budget(model, settings=settings, world=world, precision="float32", longest_sequence=longest)
    optimiser = make_optimiser(model, settings=settings)
    return Trainer(model, optimiser, world, settings, "float32", len(job.batches), budget)


def our_batch(batch: TokenBatch, *, step: int):  # noqa: ANN201 - f2llm.train.batches.Batch, imported late
    """Return the batch as f2llm holds it: every distinct passage once."""
    from f2llm.train.batches import Batch

    place_of: dict[int, int] = {}
    passages = []
    candidates_BK = np.empty((len(batch.candidates), len(batch.candidates[0])), np.int64)
    for row, passages_K in enumerate(batch.candidates):
        for column, passage in enumerate(passages_K):
            place = place_of.setdefault(id(passage), len(passages))
            if place == len(passages):
                passages.append(passage)
            candidates_BK[row, column] = place
    return Batch(
        step=step,
        source=batch.source,
        task=batch.task,
        sequences=batch.queries + passages,
        candidates_BK=candidates_BK,
        equal_BB=candidates_BK[:, :1] == candidates_BK[:, 0],
        tuple_ids=[f"{number:032x}" for number in range(len(batch.queries))],
    )


def run_upstream_like(job: Job) -> Pass:
    """Train as upstream's first release does, written from its description; float32 and SDPA in place of FA2.

    All sequences of a batch lie in one block padded to the longest, with a mask; every layer is computed
    again in the backward pass; last tokens are picked one by one; in-batch positives are detached, as
    what comes out of upstream's gather over several processes is.
    """
    model = load_padded(job.folder)
    optimiser = make_adamw(model, job)
    seconds, losses, computed = [], [], 0
    for batch in job.batches:
        began = time.process_time()
        sequences = [torch.from_numpy(sequence).long() for sequence in batch.sequences()]
        tokens_NL = pad_sequence(sequences, batch_first=True, padding_value=PAD)
        states_NLD = model(tokens_NL, tokens_NL.ne(PAD).long(), use_cache=False).last_hidden_state
        last_ND = torch.stack([states_NLD[row, len(sequence) - 1] for row, sequence in enumerate(sequences)])
        loss = upstream_loss(last_ND, tuples=len(batch.queries), in_batch=batch.task == "retrieval")
        loss.backward()
        clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.process_time() - began)
        losses.append(loss.item())
        computed += tokens_NL.numel()
    return Pass(seconds, losses, computed, model)


def load_padded(folder: Path) -> torch.nn.Module:
    """Return the model as upstream trains it: padded attention with a mask, recompute on."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa", local_files_only=True, trust_remote_code=False
    )
    model.activation_checkpointing_enable()
    return model.train()


def upstream_loss(last_ND: torch.Tensor, *, tuples: int, in_batch: bool) -> torch.Tensor:
    """Return F2LLM's loss (arXiv 2510.02294): own negatives, and for retrieval all positives of the batch.

    Args:
        last_ND: states of the last tokens: queries, positives, then negatives tuple by tuple.
        tuples: number of queries.
        in_batch: whether the source is a retrieval source.
    """
    query_BD, positive_BD = normalize(last_ND[:tuples], dim=-1), last_ND[tuples : 2 * tuples]
    candidate_BKD = torch.cat([positive_BD[:, None], last_ND[2 * tuples :].view(tuples, -1, last_ND.shape[1])], 1)
    cosine_BK = (query_BD[:, None] * normalize(candidate_BKD, dim=-1)).sum(-1)
    loss = cross_entropy(cosine_BK / TEMPERATURE, torch.zeros(tuples, dtype=torch.long))
    if in_batch:
        cosine_BB = query_BD @ normalize(positive_BD.detach(), dim=-1).T
        loss = loss + cross_entropy(cosine_BB / TEMPERATURE, torch.arange(tuples))
    return loss
