"""The device on which a model runs, and its number format: bfloat16 where the hardware computes in it, else float32."""

from pathlib import Path

from f2llm.records.errors import InputError

PRECISIONS = ("auto", "float32", "bfloat16")
# x86 processors without these emulate bfloat16, which is slower than float32.
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
CPUINFO = Path("/proc/cpuinfo")
CUDA_DRIVER = Path("/dev/nvidiactl")


def resolve_precision(precision: str, *, device: str | None = None, cpuinfo: Path = CPUINFO) -> str:
    """The number format "float32" or "bfloat16"; "auto" is bfloat16 where this machine computes in it.

    On "cpu" the processor's flags in `cpuinfo` decide (without the file float32), else the CUDA device where there is
    one.

    Raises:
        InputError: not one of PRECISIONS.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision: {precision!r} is not one of {', '.join(PRECISIONS)}; choose one of these")
    if precision != "auto":
        return precision
    if device == "cpu":
        return "bfloat16" if computes_bfloat16(cpuinfo) else "float32"
    import torch

    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = computes_bfloat16(cpuinfo)
    return "bfloat16" if fast else "float32"


def computes_bfloat16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor of this machine computes in bfloat16 and does not emulate it; torch is not loaded."""
    return bool(CPU_FLAGS & cpu_flags(cpuinfo))


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The flags of the processor of this machine, as the kernel names them; empty where `cpuinfo` has none."""
    if not cpuinfo.is_file():
        return frozenset()
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def resolve_device(device: str) -> str:
    """The device "cuda" or "cpu" for the setting auto, cpu or cuda.

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
