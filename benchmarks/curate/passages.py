"""Collect real passages for the benchmarks of curation: embedded sources, and sources and docs of installed packages.

    python -m benchmarks.curate.passages --sources results/sources --out /tmp/passages.parquet

Nothing is downloaded. Four kinds: the passages of the normalised sources of a run; docstrings, and functions of six
lines and more, of all Python files of this interpreter and of `--packages` folders (a file that is there twice is
read once); paragraphs of the packages' READMEs; descriptions of Debian packages, where apt knows any. Texts of fewer
than 20 characters or 5 words are left out, long ones cut to 700 words. Equal texts stay: copies are what is looked for.
The order is that of a keyed hash of kind, place and text, so the first rows are a sample of the whole.
"""

import argparse
import ast
import hashlib
import re
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LEAST_CHARACTERS, LEAST_WORDS, MOST_WORDS, LEAST_LINES = 20, 5, 700, 6


class Passage(NamedTuple):
    """A text and where it is from."""

    kind: str
    text: str


def main() -> None:
    """Collect and write the table (kind, text), and print how many there are of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, help="results/sources of a run")
    parser.add_argument("--packages", type=Path, nargs="*", default=[], help="more folders of Python files")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file")
    options = parser.parse_args()
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = collect(options.sources, packages=options.packages)
    pq.write_table(pa.table({"kind": [row.kind for row in rows], "text": [row.text for row in rows]}), options.out)
    kinds = [row.kind for row in rows]
    print({kind: kinds.count(kind) for kind in sorted(set(kinds))}, len(rows))


def collect(sources: Path | None, *, packages: Sequence[Path]) -> list[Passage]:
    """Return all passages in the order of their keyed hashes."""
    folders = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")] + list(packages)
    found = [*_sources(sources), *_python(folders), *_readmes(folders), *_debian()]
    kept = [Passage(kind, cut) for kind, text in found if (cut := _cut(text))]
    order = [hashlib.blake2b(f"{at}\0{row.kind}\0{row.text}".encode(errors="replace")).digest() for at, row in
             enumerate(kept)]  # fmt: skip
    return [kept[at] for at in sorted(range(len(kept)), key=order.__getitem__)]


def _cut(text: str) -> str | None:
    text = text.strip().encode(errors="ignore").decode()
    words = text.split()
    if len(text) < LEAST_CHARACTERS or len(words) < LEAST_WORDS:
        return None
    return text if len(words) <= MOST_WORDS else " ".join(words[:MOST_WORDS])


def _sources(folder: Path | None) -> Iterator[Passage]:
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*/corpus.parquet")) if folder else ():
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist():
            yield Passage(path.parent.name, text)


def _python(folders: Sequence[Path]) -> Iterator[Passage]:
    seen: set[bytes] = set()
    for path in sorted({path for folder in folders for path in folder.rglob("*.py")}):
        try:
            content = path.read_bytes()
            digest = hashlib.md5(content, usedforsecurity=False).digest()
            if digest in seen:
                continue
            seen.add(digest)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(content)
            lines = content.decode().splitlines()
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        yield from _documented(tree, lines)


def _documented(tree: ast.Module, lines: Sequence[str]) -> Iterator[Passage]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            if text := ast.get_docstring(node):
                yield Passage("docstring", text)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            code = lines[node.lineno - 1 : node.end_lineno]
            if len(code) >= LEAST_LINES:
                yield Passage("function", "\n".join(code))


def _readmes(folders: Sequence[Path]) -> Iterator[Passage]:
    for path in sorted({path for folder in folders for path in folder.glob("*.dist-info/METADATA")}):
        text = path.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[-1]
        yield from (Passage("readme", part) for part in re.split(r"\n\s*\n", text))


def _debian() -> Iterator[Passage]:
    try:
        found = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return
    for entry in found.decode(errors="replace").split("\n\n"):
        if match := re.search(r"^Description(?:-en)?: (.*(?:\n .*)*)", entry, re.MULTILINE):
            yield Passage("debian", re.sub(r"\n \.?", "\n", match[1]))


if __name__ == "__main__":
    sys.exit(main())
