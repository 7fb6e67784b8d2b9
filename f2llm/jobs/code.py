"""The code that a job runs: a digest of it that follows content, not names, and the versions of the packages it uses.

The digest of a file is that of its syntax tree and of what it imports, name by name. Paths are in none of it: a
moved or renamed module digests to what it did before. It stops at this package, f2llm/jobs: what surrounds a job
(notes, locks, progress, Slurm) decides no byte of a result. Code that reports on whole runs (estimate, report,
cards, lineage) only passes settings on, so a new setting changes nothing in it: there it stops at f2llm/config too.
"""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from inspect import getfile
from pathlib import Path
from typing import NamedTuple

from f2llm.records.files import read_json, write_json

ROOT = Path(__file__).parents[2]
CODE = ("Snakefile", "rules", "workflow", "f2llm")
STOPS_AT = "f2llm/jobs/"
SETTINGS = "f2llm/config/"
CARRIERS = ("f2llm.runs", "f2llm.estimate", "f2llm.lineage", "f2llm.report", "f2llm.publish")
BESIDE = "Path(__file__).parent"  # how a module names data files that it reads
# The planning process hands its digests to the jobs through this variable.
VARIABLE = "F2LLM_CODE_DIGESTS"
# Import name -> distributions of which one is installed; only packages that can change results.
RESULT_PACKAGES = {
    "datasets": ("datasets",),
    "duckdb": ("duckdb",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "gguf": ("gguf",),
    "mteb": ("mteb", "scikit-learn"),
    "numpy": ("numpy",),
    "openpyxl": ("openpyxl",),
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
BLOCKS = (*DOCUMENTED, ast.If, ast.For, ast.While, ast.With, ast.Try, ast.ExceptHandler)


class Import(NamedTuple):
    """One imported name of this project.

    Attributes:
        target: the file that it comes from, relative to the root; "" where the digest stops.
        name: what is taken of the file; "" for the module itself.
        bound: what it is called in the importing file; a module has a number there, by its first use.
    """

    target: str
    name: str
    bound: str


class CodeFile(NamedTuple):
    """The parts of one file that its digest is made of.

    Attributes:
        tree: digest of its syntax tree without docstrings and without imports of this project.
        imports: its imports of this project.
        packages: outside packages that it imports and that can change results.
        data: the data files that it names: path relative to the named place -> sha256 of the bytes.
    """

    tree: str
    imports: tuple[Import, ...]
    packages: frozenset[str]
    data: tuple[tuple[str, str], ...]


class CodeTree:
    """The code below a root, read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._edits: Mapping[str, str] = {}
        self._files: dict[str, CodeFile] = {}
        self._digests: dict[str, str] = {}

    def edited(self, edits: Mapping[str, str]) -> "CodeTree":
        """This code with other texts for some of its files (relative path -> text)."""
        other = CodeTree(self._root)
        other._edits = edits
        other._files = {path: file for path, file in self._files.items() if path not in edits}
        return other

    def digest(self, *scripts: str | Path) -> str:
        """16 hex digits of all code that `scripts` (relative to the root) run.

        Comments, docstrings and layout are left out, and so are the names and places of modules. Imports are
        followed transitively, also those inside functions. The versions of result-changing packages that any of the
        files imports are mixed in, and the bytes of the data files (templates) that any of them names as
        `Path(__file__).parent / "name"`.
        """
        paths = [str(script) for script in scripts]
        packages = frozenset[str]().union(*(self.file(path).packages for path in self.reached(*paths)))
        digests = [self._digest(path) for path in paths]
        versions = [f"{name}=={version}" for name, version in sorted(_versions(packages).items())]
        return _hashed([*digests, *versions])[:16]

    def reached(self, *scripts: str) -> list[str]:
        """All files that `scripts` run, themselves included, sorted."""
        reached, waiting = set(), list(scripts)
        while waiting:
            path = waiting.pop()
            if path not in reached:
                reached.add(path)
                waiting += [imported.target for imported in self.file(path).imports if imported.target]
        return sorted(reached)

    def file(self, path: str) -> CodeFile:
        """The digested parts of one file, read once."""
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _digest(self, path: str) -> str:
        if path not in self._digests:
            for circle in self._circles(path):
                self._digest_circle(circle)
        return self._digests[path]

    def _digest_circle(self, circle: list[str]) -> None:
        """Digest files that import each other; all that they import besides is digested already."""
        # Inside a circle a file stands for its own tree: the digest of the whole is what is being made.
        known = {member: f"circle {self.file(member).tree}" for member in circle} | self._digests
        alone = {member: _hashed([self.file(member).tree, *self._imported(member, known)]) for member in circle}
        together = sorted(alone.values()) if len(circle) > 1 else []
        for member in circle:
            self._digests[member] = _hashed([alone[member], *together])

    def _imported(self, path: str, known: Mapping[str, str]) -> list[str]:
        """Imported names and data of a file, in an order that does not depend on the names of modules."""
        file = self.file(path)
        imports = {f"{known.get(target, 'jobs')} {name} {bound}" for target, name, bound in file.imports}
        return sorted(imports) + [f"{name}\0{sha256}" for name, sha256 in file.data]

    def _circles(self, start: str) -> list[list[str]]:
        """Files reached from `start` that have no digest yet: those that import each other together, imported first.

        Tarjan's algorithm (SIAM J. Comput. 1(2), 1972). Modules import each other in a circle only inside functions.
        """
        order: dict[str, int] = {}
        lowest: dict[str, int] = {}
        stack: list[str] = []
        circles: list[list[str]] = []

        def visit(path: str) -> None:
            order[path] = lowest[path] = len(order)
            stack.append(path)
            for target in sorted({imported.target for imported in self.file(path).imports} - {""}):
                if target in self._digests:
                    continue
                if target not in order:
                    visit(target)
                    lowest[path] = min(lowest[path], lowest[target])
                elif target in stack:
                    lowest[path] = min(lowest[path], order[target])
            # No file below it on the stack is reached from here: what lies above it is one whole circle.
            if lowest[path] == order[path]:
                first = stack.index(path)
                circles.append(stack[first:])
                del stack[first:]

        visit(start)
        return circles

    def _read(self, path: str) -> CodeFile:
        text = self._edits[path] if path in self._edits else (self._root / path).read_text(encoding="utf-8")
        reader = _Reader(self, Path(path).parent)
        tree = reader.visit(ast.parse(text, filename=path))
        # The name of a module is no content: `web.get` stays what it was when web.py becomes http.py.
        numbers: dict[str, str] = {}
        for node in ast.walk(tree) if reader.modules else ():
            if isinstance(node, ast.Name) and node.id in reader.modules:
                node.id = numbers.setdefault(node.id, f"@{len(numbers)}")
        modules = [Import(target, "", numbers.get(bound, "")) for bound, target in reader.modules.items()]
        imports = [*reader.imports, *modules]
        if path.replace("/", ".").startswith(CARRIERS) or (not path.startswith("f2llm/") and reader.names_carrier):
            imports = [name._replace(target="") if name.target.startswith(SETTINGS) else name for name in imports]
        return CodeFile(_hashed([ast.dump(tree)]), tuple(imports), frozenset(reader.packages), tuple(reader.data))

    def module_file(self, module: str) -> str | None:
        """The file of a module of this project, relative to the root; None where the name is no module."""
        base = Path(*module.split("."))
        for path in (str(base.with_suffix(".py")), str(base / "__init__.py")):
            if (self._root / path).is_file():
                return path
        return None

    def data_files(self, place: Path) -> list[tuple[str, str]]:
        """A named data file, or the files of a named folder, with their sha256; modules are no data."""
        top = self._root / place
        files = sorted(file for file in [top, *top.rglob("*")] if file.is_file())
        return [
            (str(file.relative_to(top.parent)), hashlib.sha256(file.read_bytes()).hexdigest())
            for file in files
            if file.suffix not in (".py", ".pyc")
        ]


class _Reader(ast.NodeTransformer):
    """Removes docstrings and imports of this project from a tree, and collects its imports, packages and data files."""

    def __init__(self, tree: CodeTree, folder: Path) -> None:
        self._tree, self._folder = tree, folder
        self.imports: list[Import] = []
        self.packages: set[str] = set()
        self.names_carrier = False
        self.data: list[tuple[str, str]] = []
        self.modules: dict[str, str] = {}  # local name of an imported module -> its file

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        super().generic_visit(node)
        if isinstance(node, BLOCKS) and not node.body:
            node.body = [ast.Pass()]
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import:
        self.packages |= {alias.name.split(".")[0] for alias in node.names} & RESULT_PACKAGES.keys()
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        package = (node.module or "").split(".")[0]
        if package != "f2llm":
            self.packages |= {package} & RESULT_PACKAGES.keys()
            return node
        self.names_carrier |= node.module.startswith(CARRIERS)
        for alias in node.names:
            module = self._tree.module_file(f"{node.module}.{alias.name}")
            target = module or self._tree.module_file(node.module) or ""
            target = "" if target.startswith(STOPS_AT) else target
            if module:
                self.modules[alias.asname or alias.name] = target
            else:
                self.imports.append(Import(target, alias.name, alias.asname or alias.name))
        return None

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant) and ast.unparse(node.left) == BESIDE:
            self.data += self._tree.data_files(self._folder / str(node.right.value))
        return self.generic_visit(node)


class KeptDigests:
    """Digests computed once: kept in a file for the next call, and handed to the jobs of a run.

    Parsing all modules takes two seconds of processor time, and every job reads the workflow anew. A kept digest is
    used only while every byte of the code and every version that it mixes in are unchanged, so an edit beside a live
    run takes effect. The file may be deleted at any time.
    """

    def __init__(self, *, kept: str | Path, planning: bool) -> None:
        """Read kept digests: the planning process from the file `kept`, its jobs from their environment."""
        self._kept, self._planning = Path(kept), planning
        versions = json.dumps(result_versions(), sort_keys=True)
        self._key = _hashed([code_hash(), versions])
        stored = self._read() if planning else json.loads(os.environ.get(VARIABLE) or "{}")
        self._known: dict[str, str] = dict(stored["digests"]) if stored.get("key") == self._key else {}
        self._hand_to_jobs()

    def of(self, *paths: str) -> str:
        """Digest of the code that `paths` (relative to the repository root) run; jobs of this process get it too."""
        name = " ".join(paths)
        if name not in self._known:
            self._known[name] = code_digest(*paths)
            self._hand_to_jobs()
        return self._known[name]

    def keep(self) -> None:
        """Write the file; a folder that cannot be written to is no fault."""
        content = {"key": self._key, "digests": self._known}
        if self._planning and content != self._read():
            with contextlib.suppress(OSError):
                write_json(self._kept, content)

    def _hand_to_jobs(self) -> None:
        if self._planning:
            os.environ[VARIABLE] = json.dumps({"key": self._key, "digests": self._known})

    def _read(self) -> dict[str, object]:
        try:
            return read_json(self._kept)
        except (OSError, ValueError):
            return {}


def code_digest(*starts: str | Path | type | Callable[..., object]) -> str:
    """16 hex digits of the code of this checkout that is run from `starts`; see `CodeTree.digest`.

    Each is the path of a script, relative to the root, or a class or function, which stands for its module.
    """
    paths = [start if isinstance(start, str | Path) else Path(getfile(start)).relative_to(ROOT) for start in starts]
    return _code_of_checkout(ROOT).digest(*paths)


def code_hash() -> str:
    """16 hex digits over all code of this checkout, as bytes."""
    files = [ROOT / CODE[0], *(file for name in CODE[1:] for file in sorted((ROOT / name).rglob("*")))]
    total = hashlib.sha256()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            total.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def result_versions() -> dict[str, str]:
    """Versions of all installed packages that can change results, and Python's."""
    return _versions(RESULT_PACKAGES) | {"python": platform.python_version()}


@functools.cache
def _code_of_checkout(root: Path) -> CodeTree:
    return CodeTree(root)


def _versions(packages: Iterable[str]) -> dict[str, str]:
    versions = {}
    for distribution in sorted({name for package in packages for name in RESULT_PACKAGES[package]}):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[distribution] = importlib.metadata.version(distribution).split("+")[0]
    return versions


def _hashed(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
