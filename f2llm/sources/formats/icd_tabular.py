"""The tabular list of ICD-10-CM (XML of CMS and NCHS): chapters, codes, descriptions, inclusion terms."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from f2llm.rows.archives import RawFile
from f2llm.rows.fields import one_line
from f2llm.sources.formats.xml_elements import xml_elements

CATEGORY_DIGITS = 3  # of a code: the category, by which both ICD sources are split


class Diagnosis(NamedTuple):
    """One code; `row` is its ordinal in the file."""

    row: int
    chapter: str  # number, as in "19"
    chapter_title: str  # without the range of codes
    code: str
    description: str
    category: str  # the first three characters of the code
    inclusion_terms: tuple[str, ...]


def diagnoses(file: RawFile, member: str) -> Iterator[Diagnosis]:
    """Yield all codes in the order of the file."""
    row = 0
    for chapter in xml_elements(file, member, tag="chapter"):
        number = one_line(chapter.findtext("name"))
        title = re.sub(r"\s*\(.*\)$", "", one_line(chapter.findtext("desc")))
        for diagnosis in chapter.iter("diag"):
            terms = tuple(one_line(note.text) for note in diagnosis.findall("inclusionTerm/note"))
            code, description = one_line(diagnosis.findtext("name")), one_line(diagnosis.findtext("desc"))
            yield Diagnosis(row, number, title, code, description, code[:CATEGORY_DIGITS], terms)
            row += 1
