"""Terms of an ontology in the OBO 1.4 flat file format."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from f2llm.rows.archives import RawFile
from f2llm.rows.fields import one_line

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": " ", "t": " ", "W": " "}


class Term(NamedTuple):
    """One [Term] stanza; `row` is its ordinal among the terms of the file."""

    row: int
    id: str
    name: str
    definition: str  # "" where there is none
    parents: tuple[str, ...]
    obsolete: bool


def terms(file: RawFile, member: str) -> Iterator[Term]:
    """Yield the terms in the order of the file, obsolete ones included."""
    row, tags, inside = 0, [], False
    with file.text(member) as lines:
        for line in itertools.chain(lines, ["[End]"]):
            if line.startswith("["):
                if inside:
                    yield _term(row, tags)
                    row += 1
                inside, tags = line.strip() == "[Term]", []
            elif inside and ": " in line:
                tags.append(tuple(line.rstrip("\r\n").split(": ", 1)))


def _term(row: int, tags: list[tuple[str, str]]) -> Term:
    first = dict(reversed(tags))  # the first value of each tag
    quoted = _QUOTED.match(first.get("def", ""))
    definition = one_line(_ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), quoted[1])) if quoted else ""
    parents = tuple(value.split(" ")[0] for tag, value in tags if tag == "is_a")
    obsolete = first.get("is_obsolete", "").startswith("true")
    return Term(row, first.get("id", ""), one_line(first.get("name", "")), definition, parents, obsolete)
