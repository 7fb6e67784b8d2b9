"""The choice of a back end for the search: faiss or torch, on a CPU or a CUDA device; all give the same results."""

from f2llm.errors import InputError
from f2llm.models.device import resolve_device
from f2llm.vectors.faiss_search import Faiss, load_faiss
from f2llm.vectors.scores import Backend
from f2llm.vectors.torch_search import Torch


def choose_backend(*, backend: str, device: str, threads: int, block_rows: int | None = None) -> Backend:
    """The back end that the settings `mine.backend` and `mine.device` name.

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


def _faiss_gpus() -> int:
    return load_faiss().get_num_gpus()
