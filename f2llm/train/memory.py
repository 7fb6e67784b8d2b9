"""How many tokens fit in memory, measured on the model itself, and said before the first step where it is too few."""

from collections.abc import Callable

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks

from f2llm.config.train import Train
from f2llm.errors import InputError
from f2llm.models.network import encode_packed
from f2llm.models.packing import pack
from f2llm.train.step import Budget
from f2llm.train.world import World, release

MB = 2**20
# On the CPU other jobs use the memory as well, so nothing is taken for granted.
CPU_ACTIVATIONS_MB = 1000
# Of a GPU's memory; the rest is for the allocator's gaps, the table of vectors and the kernels' own space.
USABLE = 0.85
# Gradients and the two moments of AdamW in float32; the weights themselves are already there.
BYTES_TO_COME = 12
PROBE_LENGTH = 64
PROBE_SEQUENCES = (4, 12)


def find_budget(
    model: torch.nn.Module, *, settings: Train, world: World, precision: str, longest_sequence: int
) -> Budget:
    """Return what a process of this run may hold, the same in every process.

    On CUDA the memory of the device decides, not what happens to be free, so that the same machine
    gives the same bytes. All processes must call this together.

    Raises:
        InputError: the longest sequence does not fit.
    """
    per_token = bytes_per_token(model, precision=precision, device=world.device)
    limit = settings.activations_mb
    if limit is None and world.device.type == "cuda":
        total = torch.cuda.get_device_properties(world.device).total_memory
        limit = int(USABLE * total - state_bytes(model, processes=world.size)) // MB
    if limit is None:
        return Budget(settings.tokens_per_chunk, int(CPU_ACTIVATIONS_MB * MB / per_token))
    kept = int(world.min(limit * MB / per_token))
    return fit(kept, longest_sequence=longest_sequence, tokens_per_chunk=settings.tokens_per_chunk, per_token=per_token)


def fit(tokens_kept: int, *, longest_sequence: int, tokens_per_chunk: int, per_token: float) -> Budget:
    """Return the budget in which chunks hold at most `tokens_kept` tokens.

    Raises:
        InputError: the longest sequence alone holds more.
    """
    if longest_sequence > tokens_kept:
        raise InputError(
            f"memory for activations: a sequence of {longest_sequence} tokens needs about "
            f"{longest_sequence * per_token / MB:.0f} MB, {tokens_kept * per_token / MB:.0f} MB are left "
            "beside weights and optimiser; lower tokens.*_max_length, raise train.activations_mb, or spread over more "
            "processes"
        )
    return Budget(min(tokens_per_chunk, tokens_kept), tokens_kept)


def state_bytes(model: torch.nn.Module, *, processes: int) -> int:
    """Return the bytes of a process's share of weights, gradients and moments, and of what it holds whole.

    Sharded weights stay gathered between the chunks of a step, and their gradients stay whole until its last.
    """
    shares = sum(_local_numel(p) * (BYTES_TO_COME * p.requires_grad + p.element_size()) for p in model.parameters())
    whole = sum(p.numel() * p.element_size() * (1 + p.requires_grad) for p in model.parameters())
    return shares + whole * (processes > 1)


def bytes_per_token(model: torch.nn.Module, *, precision: str, device: torch.device) -> float:
    """Return the bytes that one more token of a forward pass keeps for the backward pass, measured on dummies."""
    longest = min(PROBE_LENGTH, getattr(model.config, "max_position_embeddings", PROBE_LENGTH))
    sequence = np.zeros(longest, np.int32)

    def forward(sequences: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            encode_packed(model, pack([sequence] * sequences, device=device))

    # Weights are saved as well, the same in both.
    few, many = (saved_bytes(lambda n=n: forward(n)) for n in PROBE_SEQUENCES)
    release(model)
    return max(1.0, (many - few) / ((PROBE_SEQUENCES[1] - PROBE_SEQUENCES[0]) * longest))


def saved_bytes(forward: Callable[[], None]) -> int:
    """Return the bytes of all memory that `forward` saves for a backward pass, each counted once."""
    seen: dict[int, int] = {}
    held = []  # so that no address is used twice

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        held.append(tensor)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(seen.values())


def _local_numel(parameter: torch.nn.Parameter) -> int:
    """Return the elements of this process's share of a parameter."""
    return (parameter.to_local() if hasattr(parameter, "to_local") else parameter).numel()
