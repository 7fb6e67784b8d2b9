"""ICD-10-CM description, labelled with its chapter."""

from collections.abc import Iterator, Sequence

from f2llm.rows.archives import RawFile
from f2llm.sources.formats.icd_tabular import diagnoses
from f2llm.sources.records import Labelled, Skipped


def icd_chapters(
    files: Sequence[RawFile], *, member: str, exclude_chapters: Sequence[str] = ()
) -> Iterator[Labelled | Skipped]:
    """Yield every description with the title of its chapter; split by category, as `icd_synonyms`."""
    for file in files:
        where = file.where(member)
        for diagnosis in diagnoses(file, member):
            if diagnosis.chapter in exclude_chapters:
                yield Skipped("chapter is left out by the stanza", where, diagnosis.row)
            else:
                label, group = diagnosis.chapter_title, diagnosis.category
                yield Labelled(diagnosis.description, label, group, where, diagnosis.row, "desc", "chapter")
