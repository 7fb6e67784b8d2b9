"""Summary of a Python function -> its code without the docstring."""

from collections.abc import Iterator, Sequence

from f2llm.rows.archives import RawFile
from f2llm.sources.formats.python_code import functions
from f2llm.sources.records import Passage, Query, Skipped


def python_functions(files: Sequence[RawFile], *, packages: Sequence[str]) -> Iterator[Passage | Query | Skipped]:
    """Yield the functions of each file's package (a folder in the wheel, one for each file); split by file path."""
    for function in functions(files, packages):
        if isinstance(function, Skipped):
            yield function
            continue
        key = f"{function.file}:{function.row}"
        yield Passage(key, function.code, function.file, function.row, "code")
        yield Query(function.summary, (key,), (), function.member, function.file, function.row, "docstring")
