"""Definition of an ontology term -> its name."""

from collections.abc import Iterator, Sequence

from f2llm.rows.archives import RawFile
from f2llm.sources.formats.obo import terms
from f2llm.sources.records import Passage, Query, Skipped


def obo_definitions(files: Sequence[RawFile], *, member: str) -> Iterator[Passage | Query | Skipped]:
    """Yield the names of all live terms as passages and definitions as queries; split by term id."""
    for file in files:
        where = file.where(member)
        for term in terms(file, member):
            if term.obsolete:
                yield Skipped("term is obsolete", where, term.row, "passage")
                continue
            yield Passage(term.id, term.name, where, term.row, "name")
            if term.definition:
                yield Query(term.definition, (term.id,), (), term.id, where, term.row, "def")
            else:
                yield Skipped("term has no definition", where, term.row)
