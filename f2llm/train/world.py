"""The processes of a training: their ranks and devices, how they exchange values, how the model is sharded over them.

One process needs no process group and no sharding; the code of a step is the same for 1..N.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from f2llm.records.errors import InputError
from f2llm.train.life import CONFIGURED_SIZE


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among all. All processes must call its methods alike."""

    rank: int  # 0-based number of this process
    size: int  # number of processes
    device: torch.device  # the CPU, or this process's CUDA device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add `tensor` up over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def min(self, value: float) -> float:
        """The least value of all processes."""
        tensor = torch.tensor(-value, dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return -tensor.item()

    def agree(self, digests: Mapping[str, str]) -> None:
        """Check that all processes hold the same digests.

        Raises:
            InputError: they do not; raised in every process, with the names that differ.
        """
        of_ranks = self._gather(dict(digests))
        faults = [
            f"process {rank} of {self.size}: {name} differs from that of process 0; give all nodes the same files"
            for rank, theirs in enumerate(of_ranks)
            for name in sorted(digests)
            if theirs.get(name) != of_ranks[0].get(name)
        ]
        if faults:
            raise InputError(faults)

    def refuse(self, faults: Sequence[str]) -> None:
        """Stop all processes if one has found faults.

        Raises:
            InputError: one has; raised in every process, with the faults of all.
        """
        of_ranks = self._gather(list(faults))
        if any(of_ranks):
            raise InputError(list(dict.fromkeys(fault for theirs in of_ranks for fault in theirs)))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.sum_(torch.tensor(int(flag), device=self.device)).item())

    def from_first(self, value: Any) -> Any:  # noqa: ANN401 - of any type that can be pickled
        """The value of rank 0, in every process."""
        box = [value]
        if self.size > 1:
            dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()

    def _gather(self, value: Any) -> list[Any]:  # noqa: ANN401 - of any type that can be pickled
        """The values of all processes, by rank."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values


def join_world(*, threads: int) -> World:
    """This process's world as torchrun describes it in the environment; without torchrun, a world of one process.

    Sets the number of threads and deterministic kernels, since both decide the last bits of the weights.

    Raises:
        InputError: there are fewer or more processes than configured.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if size != int(os.environ.get(CONFIGURED_SIZE, size)):
        raise InputError(
            f"processes: {size} have met, {os.environ[CONFIGURED_SIZE]} are configured (train.nodes x "
            "train.processes); see the log of each node for the others"
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

    Gradients are summed, not averaged, since each process computes its rows' share of one global loss. With `reshard`
    the weights of a layer are freed after the forward pass and gathered again for the backward pass.
    """
    model.to(world.device)  # in float32: these are the master weights; autocast computes in bfloat16
    if world.size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    for module in (*layers, model):
        fully_shard(module, mesh=mesh, reshard_after_forward=reshard)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # A plain sum, set before the divide factor: gloo has no pre-multiplied one.
            module.set_force_sum_reduction_for_comms(True)
            module.set_gradient_divide_factor(1.0)


def release(model: torch.nn.Module) -> None:
    """Free the gathered weights that a forward pass without a backward pass has left in memory.

    Until then the model has whole weights in place of this process's share, for the optimiser and checkpoints too.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def expect_last_backward(model: torch.nn.Module, last: bool) -> None:
    """Tell a sharded model whether the next backward pass is the step's last, in which gradients are summed."""
    if hasattr(model, "set_requires_gradient_sync"):
        model.set_requires_gradient_sync(last)
        model.set_reshard_after_backward(last)
