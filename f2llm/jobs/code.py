"""The code that a job runs: its files, a digest of them, and the versions of the packages that they use."""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from f2llm.records.files import sha256_path

ROOT = Path(__file__).parents[2]
CODE = ("Snakefile", "rules", "workflow", "f2llm")
BESIDE = "Path(__file__).parent"  # how a module names data files that it reads
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
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class CodeFile(NamedTuple):
    """What one file says: a digest of its syntax tree, the names that it imports, the data files that it names."""

    digest: str
    imports: tuple[str, ...]
    data: tuple[str, ...]


def code_digest(*scripts: str | Path) -> str:
    """Return 16 hex digits of the code that `scripts` run: their syntax trees and their imports'.

    Comments, docstrings and layout are left out, so editing them re-runs nothing. All f2llm
    modules that are imported, transitively and also inside functions, are followed; the
    versions of result-changing packages that any of them imports are mixed in, and the bytes
    of the data files (templates) that any of them names as `Path(__file__).parent / "name"`.
    Paths are relative to the repository root.
    """
    modules, packages = closure(tuple(str(script) for script in scripts))
    parts = [f"{path}\0{read_code(path).digest}" for path in modules]
    data = sorted({file for path in modules for file in read_code(path).data})
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


@functools.cache
def closure(scripts: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the files reached from `scripts` by import, and the outside packages they import."""
    found, packages, todo = set(), set(), list(scripts)
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for name in read_code(path).imports:
            if name.split(".")[0] == "f2llm":
                todo += _files_of(name)
            elif name.split(".")[0] in RESULT_PACKAGES:
                packages.add(name.split(".")[0])
    return tuple(sorted(found)), frozenset(packages)


@functools.cache
def read_code(path: str) -> CodeFile:
    """Read what one module (a path relative to the repository root) says; its tree is not kept."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)
    imports: list[str] = []
    beside: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            beside += [str(node.right.value)] if ast.unparse(node.left) == BESIDE else []
        elif isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            node.body = node.body[1:]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return CodeFile(digest, tuple(imports), tuple(_data_files(Path(path).parent / name for name in beside)))


def _data_files(named: Iterable[Path]) -> list[str]:
    """Return the files, or those in the folders, of these names; modules are no data."""
    files = [file for name in named for file in [ROOT / name, *(ROOT / name).rglob("*")] if file.is_file()]
    return [str(file.relative_to(ROOT)) for file in files if file.suffix not in (".py", ".pyc")]


@functools.cache
def _files_of(module: str) -> list[str]:
    base = Path(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return [str(path) for path in candidates if (ROOT / path).is_file()]


def _versions(packages: frozenset[str]) -> dict[str, str]:
    found = {}
    for distribution in sorted({name for package in packages for name in RESULT_PACKAGES[package]}):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[distribution] = importlib.metadata.version(distribution).split("+")[0]
    return found
