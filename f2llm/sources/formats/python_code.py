"""Functions of Python packages, read as syntax trees: nothing is imported or run."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from f2llm.records.words import count_words
from f2llm.rows.archives import RawFile
from f2llm.rows.fields import one_line
from f2llm.sources.records import Skipped

LEAST_SUMMARY_WORDS = 4
MOST_SUMMARY_CHARACTERS = 300
LEAST_CODE_LINES = 3
MOST_CODE_CHARACTERS = 1200
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_PARAGRAPH = re.compile(r"\n\s*\n")


class Function(NamedTuple):
    """A documented function; `row` is the 0-based line of its `def`, `member` the path of its file."""

    file: str  # "wheel!member"
    member: str
    row: int
    summary: str  # first paragraph of the docstring
    code: str  # without the docstring


def functions(files: Sequence[RawFile], packages: Sequence[str]) -> Iterator[Function | Skipped]:
    """Yield the documented functions of each file's package (a folder), tests left out; reasons for the others."""
    for file, package in zip(files, packages, strict=True):
        for member in file.members(prefix=f"{package}/", suffix=".py"):
            if "/tests/" not in member:
                yield from _functions_of(file, member)


def _functions_of(file: RawFile, member: str) -> Iterator[Function | Skipped]:
    where = file.where(member)
    try:
        source = file.read(member).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        yield Skipped("file is not Python that this version can parse", where, 0)
        return
    lines = source.split("\n")
    for node in _statements(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield _function(node, lines, file=where, member=member)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield all statements, nested ones too; expressions, which hold no `def`, are not visited."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        for block in _BLOCKS:
            statements = getattr(node, block, None)
            if isinstance(statements, list):
                todo += statements


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str], *, file: str, member: str
) -> Function | Skipped:
    row, docstring = node.lineno - 1, ast.get_docstring(node)
    if not docstring or node.name.startswith("__"):
        return Skipped("function has no docstring or is a special method", file, row)
    summary = one_line(_PARAGRAPH.split(docstring.strip())[0])
    if count_words(summary) < LEAST_SUMMARY_WORDS or len(summary) > MOST_SUMMARY_CHARACTERS:
        return Skipped(
            f"summary has under {LEAST_SUMMARY_WORDS} words or over {MOST_SUMMARY_CHARACTERS} characters", file, row
        )
    docs = node.body[0]
    code = "\n".join(lines[row : docs.lineno - 1] + lines[docs.end_lineno : node.end_lineno])
    if len(node.body) < 2 or code.count("\n") < LEAST_CODE_LINES - 1:
        return Skipped(f"code has under {LEAST_CODE_LINES} lines without its docstring", file, row)
    return Function(file, member, row, summary, textwrap.dedent(code)[:MOST_CODE_CHARACTERS])
