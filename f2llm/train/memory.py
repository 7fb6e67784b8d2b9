"""How many tokens fit in memory, measured on the model itself before the first step."""

from collections.abc import Callable

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks

from f2llm.config.train import Train
from f2llm.models.network import encode_packed
from f2llm.models.packing import pack
from f2llm.records.errors import InputError
from f2llm.train.step import Budget
from f2llm.train.world import World, release

MB = 2**20
# On the CPU other jobs use the memory as well, so a fixed amount is taken.
CPU_ACTIVATIONS_MB = 1000
# Share of a GPU's memory; the rest is for the allocator's gaps, the table of vectors and the kernels' workspace.
USABLE = 0.85
# Gradient and the two moments of AdamW, each in float32; the weights themselves are counted apart.
STATE_BYTES = 12
PROBE_LENGTH = 64
PROBE_SEQUENCES = (4, 12)


def find_budget(
    model: torch.nn.Module, *, settings: Train, world: World, precision: str, longest_sequence: int
) -> Budget:
    """The budget of a process of this run, the same in every process; all must call this together.

    On CUDA the total memory of the device decides, not what happens to be free, so that the same machine gives the
    same bits.

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
    """The budget in which chunks hold at most `tokens_kept` tokens.

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
    """Bytes of a process's share of weights, gradients and moments, and of the weights and gradients it holds whole.

    Sharded weights stay gathered between the chunks of a step, and their gradients stay whole until its last.
    """
    parts = [(p, (p.to_local() if hasattr(p, "to_local") else p).numel()) for p in model.parameters()]
    shares = sum(count * (STATE_BYTES * p.requires_grad + p.element_size()) for p, count in parts)
    whole = sum(p.numel() * p.element_size() * (1 + p.requires_grad) for p in model.parameters())
    return shares + whole * (processes > 1)


def bytes_per_token(model: torch.nn.Module, *, precision: str, device: torch.device) -> float:
    """Bytes that one more token of a forward pass keeps for the backward pass, measured on dummy sequences."""
    longest = min(PROBE_LENGTH, getattr(model.config, "max_position_embeddings", PROBE_LENGTH))
    sequence = np.zeros(longest, np.int32)

    def forward(sequences: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            encode_packed(model, pack([sequence] * sequences, device=device))

    # Saved weights are the same for few and many sequences, so they cancel out in the difference.
    few, many = (saved_bytes(lambda n=n: forward(n)) for n in PROBE_SEQUENCES)
    release(model)
    return max(1.0, (many - few) / ((PROBE_SEQUENCES[1] - PROBE_SEQUENCES[0]) * longest))


def saved_bytes(forward: Callable[[], None]) -> int:
    """Bytes of all memory that `forward` saves for a backward pass; memory shared by tensors counts once."""
    size_at: dict[int, int] = {}
    alive = []  # so that no address is used twice

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        size_at[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(size_at.values())
