"""Definition of an ontology term, labelled with the branch below a root that it belongs to."""

from collections.abc import Iterator, Mapping, Sequence

from f2llm.sources.archives import RawFile
from f2llm.sources.formats.obo import Term, terms
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
            reason = _reason_to_skip(term, parents, branches)
            if reason:
                yield Skipped(reason, where, term.row)
            else:
                label = branches[_above(term.id, parents, branches).pop()]
                yield Labelled(term.definition, label, term.id, where, term.row, "def", "is_a")


def _reason_to_skip(term: Term, parents: Mapping[str, tuple[str, ...]], branches: Mapping[str, str]) -> str:
    if not term.definition:
        return "term has no definition"
    if term.id in branches:
        return "term is itself a branch"
    count = len(_above(term.id, parents, branches))
    return {0: "term is below no branch", 1: ""}.get(count, "term is below several branches")


def _above(term: str, parents: Mapping[str, tuple[str, ...]], branches: Mapping[str, str]) -> set[str]:
    """The branches that are reached first on any way up from `term`."""
    reached, seen, todo = set(), set(), [term]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in branches:
            reached.add(current)
        else:
            todo += parents.get(current, ())
    return reached
