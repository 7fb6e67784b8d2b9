"""The software of this environment: Python, packages against requirements.lock, faiss; checked before anything runs."""

import importlib.metadata
import platform
import re
import shutil
import sys
from pathlib import Path

from f2llm.records.errors import InputError

LEAST_PYTHON = (3, 11)
LEAST_FREE_GB = 5
# System and processor that the tests run on (docs/slurm.md says what is known of others).
TRIED_PLATFORM = ("Linux", "x86_64")
FAISS = ("faiss-cpu", "faiss-gpu")
# Packages without which a stage cannot run; the pins are in requirements.lock.
NEEDED = (
    "datasets", "duckdb", "gguf", "jinja2", "jsonschema", "matplotlib", "mteb", "numpy", "pandas", "psutil", "pyarrow",
    "rapidfuzz", "regex", "rensa", "scikit-learn", "sentence-transformers", "snakemake", "torch", "transformers",
    "xxhash",
)  # fmt: skip


def check_environment(*, lock: str | Path, results: str | Path = ".") -> None:
    """Check Python, packages against the lock, faiss and free disk.

    Raises:
        InputError: every fault found, each with the command that repairs it.
    """
    faults = []
    if sys.version_info < LEAST_PYTHON:
        faults.append(f"Python {sys.version.split()[0]}: at least 3.11 is needed; make an environment with a newer one")
    pins = read_pins(lock)
    for name in NEEDED:
        version = _installed(name)
        if version is None:
            faults.append(
                f"{name}: not installed; run `make setup` and use .venv, or the environment of environment.yml"
            )
        elif pins.get(name, version) != version:
            faults.append(f"{name}: version {version}, but requirements.lock pins {pins[name]}; run `make setup`")
    faults += _faiss_faults()
    free = shutil.disk_usage(results).free >> 30
    if free < LEAST_FREE_GB:
        faults.append(f"disk: {free} GB free here, at least {LEAST_FREE_GB} GB are needed; free some space")
    if faults:
        raise InputError(faults)


def describe_libraries(*, gpus: int) -> list[str]:
    """Lines that name the installed builds of torch and faiss, and warn of untried platforms and idle GPUs."""
    torch = _version("torch") or "not installed"
    faiss = [f"{name} {_installed(name)}" for name in FAISS if _installed(name)]
    lines = [f"libraries    torch {torch}, {', '.join(faiss) or 'no faiss'}"]
    if gpus and torch.endswith("+cpu"):
        lines.append("  torch is a build for CPUs: the GPUs would stay idle; take environment.yml or the container")
    elif gpus and _installed("faiss-gpu"):
        lines.append(
            "  faiss-gpu and torch bring CUDA libraries of their own, untried in one process; if mining fails, "
            "`mine: {backend: torch}` gives the same bytes"
        )
    elif gpus:
        lines.append("  faiss has no GPU here: mining searches with torch, which gives the same bytes")
    if (platform.system(), platform.machine()) != TRIED_PLATFORM:
        lines.append(f"  {platform.system()} on {platform.machine()}: untried; Linux on x86_64 is what is tested")
    return lines


def read_pins(lock: str | Path) -> dict[str, str]:
    """Name -> version of a requirements file of `name==version` lines."""
    lines = Path(lock).read_text(encoding="utf-8").splitlines()
    matches = (re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line.split("#")[0].strip()) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in matches if match}


def _faiss_faults() -> list[str]:
    installed = [name for name in FAISS if _installed(name)]
    if len(installed) == 2:
        return ["faiss: faiss-cpu and faiss-gpu overwrite each other, both are installed; uninstall both, install one"]
    if not installed:
        return ["faiss: not installed; install the extra `cpu` or `gpu` of this project, never both"]
    return []


def _installed(name: str) -> str | None:
    version = _version(name)
    return version.split("+")[0] if version else None


def _version(name: str) -> str | None:
    """Version with its local part, such as 2.13.0+cpu."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
