"""Which search a run uses: faiss or torch, on a CPU or a CUDA device; all give the same results."""

from pathlib import Path

from f2llm.errors import InputError
from f2llm.mine.faiss_search import Faiss, load_faiss
from f2llm.mine.scores import Backend
from f2llm.mine.torch_search import Torch

CUDA_DRIVER = Path("/dev/nvidiactl")


def choose(*, backend: str, device: str, threads: int, block_rows: int | None = None) -> Backend:
    """Return the back end that the settings `backend` and `device` of `mine` name; all give the same results.

    Raises:
        InputError: CUDA is asked for and absent, or faiss on CUDA without its GPU build.
    """
    cuda = resolve_device(device) == "cuda"
    if backend == "torch" or (backend == "auto" and cuda and not _faiss_gpus()):
        return Torch(threads=threads, device="cuda" if cuda else "cpu", block_rows=block_rows)
    if cuda and not _faiss_gpus():
        raise InputError(
            "mine.backend: faiss on CUDA needs the package faiss-gpu, here is faiss-cpu; install the extra `gpu` "
            "instead of `cpu`, or set mine.backend: torch"
        )
    return Faiss(threads=threads, gpu=cuda, block_rows=block_rows)


def resolve_device(device: str) -> str:
    """Return "cuda" or "cpu" for the setting auto, cpu or cuda.

    Raises:
        InputError: cuda is asked for and absent.
    """
    if device == "cpu" or (device == "auto" and not CUDA_DRIVER.exists()):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise InputError(
            "mine.device: cuda is asked for, torch sees no CUDA device on this machine; run where there is one "
            "(nvidia-smi lists them), or set mine.device: auto"
        )
    return "cpu"


def _faiss_gpus() -> int:
    return load_faiss().get_num_gpus()
