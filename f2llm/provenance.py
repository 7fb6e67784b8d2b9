"""What made a file: digests of code, versions of packages, and a manifest of every job."""

import ast
import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import logging
import os
import platform
import re
import resource
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from f2llm.devices import claimed
from f2llm.errors import InputError
from f2llm.job_notes import end_note, note_path, start_note
from f2llm.records.files import bytes_of, clear_asides, sha256_path, write_json

ROOT = Path(__file__).parents[1]
CODE = ("Snakefile", "rules", "workflow", "f2llm")
BESIDE = "Path(__file__).parent"  # how a module names data files that it reads
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Import name -> distributions of which one is installed; only packages that can change results.
RESULT_PACKAGES = {
    "datasets": ("datasets",),
    "duckdb": ("duckdb",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "gguf": ("gguf",),
    "mteb": ("mteb", "scikit-learn"),
    "numpy": ("numpy",),
    "pyarrow": ("pyarrow",),
    "rapidfuzz": ("rapidfuzz",),
    "regex": ("regex",),
    "rensa": ("rensa",),
    "sentence_transformers": ("sentence-transformers",),
    "sklearn": ("scikit-learn",),
    "torch": ("torch",),
    "transformers": ("transformers", "tokenizers"),
    "xxhash": ("xxhash",),
}
# Wildcards that are variant keys: they stand in the paths, and name nothing that a person or another run knows.
KEYS = ("curation", "evaluation_texts", "encoder", "mining", "tokens")
# Three ways in which a disk says that there is no room.
FULL = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "your quota on this disk is used up",
    errno.EFBIG: "the file would be larger than this machine allows (ulimit -f)",
}
logger = logging.getLogger(__name__)


class JobContext(Protocol):
    """What the workflow engine tells a script about its job."""

    rule: str
    input: Any
    output: Any
    params: Any
    log: Any
    wildcards: Any
    resources: Any
    threads: int


class Counts(dict[str, Any]):
    """What a job counted: rows in, rows out, and why; written into its manifest."""


@contextlib.contextmanager
def job(context: JobContext) -> Iterator[Counts]:
    """Run the block as one job: log to the rule's log file, and write the manifest at its end.

    The manifest goes to the output named `lineage`. Faults of the input end the process with
    one screen on stderr and exit code 1; every traceback goes to the log file. What a killed
    attempt left half-written is deleted first.
    """
    handlers = [logging.FileHandler(context.log[0], mode="w"), logging.StreamHandler()]
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, handlers=handlers, force=True)
    handlers[1].setFormatter(logging.Formatter(f"[{_unit(context)}] %(message)s"))
    for path in (*context.output, note_path(context.log[0])):
        clear_asides(path)
    counts, started = Counts(), time.monotonic()
    note = start_note(rule=context.rule, unit=" ".join(_wildcards(context)), log=context.log[0])
    try:
        with claimed(int(context.resources.get("device_slots", 0))) as devices:
            if devices:
                logger.info("devices: %s", ", ".join(devices))
            yield counts
        _write_manifest(context, counts=counts, seconds=time.monotonic() - started)
    except Exception as error:
        handlers[0].stream.write(traceback.format_exc())
        handlers[0].flush()
        said = _what(error)
        sys.stderr.write(f"\n{_unit(context)} failed:\n{said}\n  log: {context.log[0]}\n\n")
        with contextlib.suppress(OSError):  # a full disk has no place for a note either
            end_note(note, state="failed", said=said)
        raise SystemExit(1) from None
    end_note(note, state="done")
    logger.info("done: %s", ", ".join(f"{key} {value}" for key, value in counts.items() if not isinstance(value, dict)))


def job_threads(context: JobContext) -> int:
    """Return the threads of a job: in a Slurm job its CPUs, since the login node's number of cores bounds `threads`."""
    if "SLURM_JOB_ID" in os.environ:
        return int(context.resources.get("cpus_per_task", context.threads))
    return context.threads


def code_digest(*scripts: str | Path) -> str:
    """Return 16 hex digits of the code that `scripts` run: their syntax trees and their imports'.

    Comments, docstrings and layout are left out, so editing them re-runs nothing. All f2llm
    modules that are imported, transitively and also inside functions, are followed; the
    versions of result-changing packages that any of them imports are mixed in, and the bytes
    of the data files (templates) that any of them names as `Path(__file__).parent / "name"`.
    Paths are relative to the repository root.
    """
    modules, packages = _closure(tuple(str(script) for script in scripts))
    parts = [f"{path}\0{_tree_digest(path)}" for path in modules]
    data = sorted({file for path in modules for file in _data_files(path)})
    parts += [f"{file}\0{sha256_path(ROOT / file)}" for file in data]
    parts += [f"{name}=={version}" for name, version in sorted(_versions(packages).items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def code_hash() -> str:
    """Return a hash over all code of this checkout, as bytes."""
    files = [ROOT / CODE[0], *(file for name in CODE[1:] for file in sorted((ROOT / name).rglob("*")))]
    total = hashlib.sha256()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            total.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def result_versions() -> dict[str, str]:
    """Return the versions of all installed packages that can change results, and Python's."""
    return _versions(frozenset(RESULT_PACKAGES)) | {"python": platform.python_version()}


def _write_manifest(context: JobContext, *, counts: Mapping[str, Any], seconds: float) -> None:
    outputs = {str(path): sha256_path(path) for path in context.output if str(path) != str(context.output.lineage)}
    write_json(
        context.output.lineage,
        {
            "rule": context.rule,
            "wildcards": {key: value for key, value in context.wildcards.items() if key not in (*KEYS, "run")},
            "inputs": {str(path): sha256_path(path) for path in context.input},
            "outputs": outputs,
            "bytes": {str(path): bytes_of(path) for path in (*context.input, *outputs)},
            "params": {key: value for key, value in context.params.items() if key != "code"},
            "code": context.params.get("code"),
            "versions": result_versions(),
            "counts": dict(counts),
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds(), 3),
            "peak_memory_mb": peak_memory_mb(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
    )


def peak_memory_mb() -> int:
    """Return the highest resident memory of this process so far, in MB of 2**20 bytes.

    Not `ru_maxrss`, which also counts the process that started this one, until then.
    """
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.is_file() else None
    return (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) >> 10


def cpu_seconds() -> float:
    """Return the processor time of this process and of its ended children so far, imports included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _what(error: Exception) -> str:
    """Return what a person needs of an error, a line a fault."""
    if isinstance(error, InputError):
        return "\n".join(f"  {fault}" for fault in error.faults)
    full = FULL.get(error.errno) if isinstance(error, OSError) else None
    if full:
        return f"  {error.filename or 'results'}: {full}; free some space and run the same command again"
    return f"  {type(error).__name__}: {error}; the traceback is in the log"


def _unit(context: JobContext) -> str:
    return " ".join([context.rule, *_wildcards(context)])


def _wildcards(context: JobContext) -> list[str]:
    return [str(value) for key, value in context.wildcards.items() if key not in KEYS]


@functools.cache
def _closure(scripts: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the files reached from `scripts` by import, and the outside packages they import."""
    found, packages, todo = set(), set(), list(scripts)
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for name in _imports(path):
            if name.split(".")[0] == "f2llm":
                todo += _files_of(name)
            elif name.split(".")[0] in RESULT_PACKAGES:
                packages.add(name.split(".")[0])
    return tuple(sorted(found)), frozenset(packages)


@functools.cache
def _imports(path: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _data_files(path: str) -> list[str]:
    """Return the files, or those in the folders, that a module names beside itself; modules are no data."""
    named = [
        Path(path).parent / str(node.right.value)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Constant)
        and ast.unparse(node.left) == BESIDE
    ]
    files = [file for name in named for file in [ROOT / name, *(ROOT / name).rglob("*")] if file.is_file()]
    return [str(file.relative_to(ROOT)) for file in files if file.suffix not in (".py", ".pyc")]


def _files_of(module: str) -> list[str]:
    base = Path(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return [str(path) for path in candidates if (ROOT / path).is_file()]


@functools.cache
def _tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)


@functools.cache
def _tree_digest(path: str) -> str:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _versions(packages: frozenset[str]) -> dict[str, str]:
    found = {}
    for distribution in sorted({name for package in packages for name in RESULT_PACKAGES[package]}):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[distribution] = importlib.metadata.version(distribution).split("+")[0]
    return found
