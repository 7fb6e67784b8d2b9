"""ICD-10-CM inclusion term -> the description of its code."""

from collections.abc import Iterator, Sequence

from f2llm.rows.archives import RawFile
from f2llm.sources.formats.icd_tabular import diagnoses
from f2llm.sources.records import Passage, Query, Skipped


def icd_synonyms(
    files: Sequence[RawFile], *, member: str, exclude_chapters: Sequence[str] = ()
) -> Iterator[Passage | Query | Skipped]:
    """Yield descriptions as passages and inclusion terms as queries; `exclude_chapters` are numbers ("19").

    Split by category, the first three characters of the code.
    """
    for file in files:
        where = file.where(member)
        for diagnosis in diagnoses(file, member):
            if diagnosis.chapter in exclude_chapters:
                yield Skipped("chapter is left out by the stanza", where, diagnosis.row, "passage")
                continue
            yield Passage(diagnosis.code, diagnosis.description, where, diagnosis.row, "desc")
            for term in diagnosis.inclusion_terms:
                if term.lower() == diagnosis.description.lower():
                    yield Skipped("inclusion term equals the description", where, diagnosis.row)
                else:
                    yield Query(term, (diagnosis.code,), (), diagnosis.category, where, diagnosis.row, "inclusionTerm")
