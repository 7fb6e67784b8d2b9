"""Definition of an ontology term, labelled with the branch below a root that it belongs to."""

from collections.abc import Iterator, Mapping, Sequence

from f2llm.rows.archives import RawFile
from f2llm.sources.formats.obo import terms
from f2llm.sources.records import Labelled, Skipped


def obo_branches(files: Sequence[RawFile], *, member: str, root: str) -> Iterator[Labelled | Skipped]:
    """Yield definitions of terms that lie below exactly one child of `root`, labelled with that child's name.

    Split by term id, as `obo_definitions`.
    """
    for file in files:
        where = file.where(member)
        live = [term for term in terms(file, member) if not term.obsolete]
        parents = {term.id: term.parents for term in live}
        branches = {term.id: term.name for term in live if root in term.parents}
        for term in live:
            above = _above(term.id, parents, branches)
            if not term.definition:
                yield Skipped("term has no definition", where, term.row)
            elif term.id in branches:
                yield Skipped("term is itself a branch", where, term.row)
            elif len(above) != 1:
                yield Skipped(f"term is below {'several branches' if above else 'no branch'}", where, term.row)
            else:
                yield Labelled(term.definition, branches[above.pop()], term.id, where, term.row, "def", "is_a")


def _above(term: str, parents: Mapping[str, tuple[str, ...]], branches: Mapping[str, str]) -> set[str]:
    """The branches that are reached first on any way up from `term`."""
    reached, seen, todo = set(), set(), [term]
    while todo:
        current = todo.pop()
        if current in branches:
            reached.add(current)
        elif current not in seen:
            todo += parents.get(current, ())
        seen.add(current)
    return reached
