"""The processes of a run: who they are, how the model is spread over them, how they agree.

One process needs no process group and no sharding; the code of a step is the same for 1..N.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from f2llm.errors import InputError
from f2llm.train.life import ASKED_SIZE


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among all.

    Attributes:
        rank: 0-based number of this process; 0 writes and speaks.
        size: number of processes.
        device: "cpu", or this process's CUDA device.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    @property
    def first_of_node(self) -> bool:
        """Whether this is the process that looks at a node's files for all."""
        return os.environ.get("LOCAL_RANK", "0") == "0"

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add `tensor` up over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def min(self, value: float) -> float:
        """Return the least value of all processes."""
        tensor = torch.tensor(-value, dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return -tensor.item()

    def agree(self, digests: Mapping[str, str]) -> None:
        """Check that all processes hold the same digests.

        Raises:
            InputError: they do not; names what differs, in every process.
        """
        seen: list[Any] = [dict(digests)]
        if self.size > 1:
            seen = [None] * self.size
            dist.all_gather_object(seen, dict(digests))
        faults = [
            f"process {rank} of {self.size}: {name} differs from that of process 0; give all nodes the same files"
            for rank, theirs in enumerate(seen)
            for name in sorted(digests)
            if theirs.get(name) != seen[0].get(name)
        ]
        if faults:
            raise InputError(faults)

    def refuse(self, faults: Sequence[str]) -> None:
        """Stop all processes where one has found faults; all must call this.

        Raises:
            InputError: one has; with the faults of all, in every process.
        """
        seen: list[Any] = [list(faults)]
        if self.size > 1:
            seen = [None] * self.size
            dist.all_gather_object(seen, list(faults))
        if any(seen):
            raise InputError(list(dict.fromkeys(fault for theirs in seen for fault in theirs)))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.sum_(torch.tensor(int(flag), device=self.device)).item())

    def from_first(self, value: Any) -> Any:  # noqa: ANN401 - what rank 0 has found out
        """Return rank 0's value in every process."""
        box = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


def join_world(*, threads: int) -> World:
    """Return this process's world as torchrun describes it in the environment; a world of one without it.

    Fixes the number of threads and asks for deterministic kernels, since both decide the last bits.

    Raises:
        InputError: fewer or more processes than the launcher has asked for.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if size != int(os.environ.get(ASKED_SIZE, size)):
        raise InputError(
            f"processes: {size} have met, {os.environ[ASKED_SIZE]} are configured (train.nodes x train.processes); see "
            "the log of each node for the others"
        )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if size > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return World(rank=rank, size=size, device=device)


def leave_world() -> None:
    """End the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def spread(model: torch.nn.Module, *, layers: Sequence[torch.nn.Module], world: World, reshard: bool = False) -> None:
    """Move the model to this process's device and shard it layer by layer (FSDP2) over all processes.

    Gradients are summed, not averaged: each process holds its share of one global loss. With `reshard`
    the weights of a layer are gathered anew for the backward pass instead of being held.
    """
    model.to(world.device)  # in float32: the master weights; autocast computes in bfloat16
    if world.size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    for module in (*layers, model):
        fully_shard(module, mesh=mesh, reshard_after_forward=reshard)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(
                True
            )  # gloo has no pre-multiplied sum, so before the divide factor
            module.set_gradient_divide_factor(1.0)


def release(model: torch.nn.Module) -> None:
    """Give back the weights that a forward pass gathered and no backward pass has given back.

    Until then the model shows whole weights in place of this process's share, to optimiser and checkpoints too.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def expect_last_backward(model: torch.nn.Module, last: bool) -> None:
    """Tell a sharded model whether the coming backward pass is the step's last, which reduces the gradients."""
    if hasattr(model, "set_requires_gradient_sync"):
        model.set_requires_gradient_sync(last)
        model.set_reshard_after_backward(last)
