"""Summary of a Python function, labelled with the module that it lies in."""

from collections.abc import Iterator, Sequence

from f2llm.rows.archives import RawFile
from f2llm.sources.formats.python_code import functions
from f2llm.sources.records import Labelled, Skipped

LEVELS = 2  # of the path: package and module or subpackage


def python_modules(files: Sequence[RawFile], *, packages: Sequence[str]) -> Iterator[Labelled | Skipped]:
    """Yield summaries with labels such as "sympy.core"; split by file path, as `python_functions`."""
    for function in functions(files, packages):
        if isinstance(function, Skipped):
            yield function
            continue
        module = ".".join(function.member.removesuffix(".py").split("/")[:LEVELS])
        if module.endswith(".__init__"):
            yield Skipped("function lies in the package itself, in no module", function.file, function.row)
        else:
            place = (function.file, function.row, "docstring", "module")
            yield Labelled(function.summary, module, function.member, *place)
