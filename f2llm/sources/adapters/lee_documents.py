"""Pairs of news documents with the mean of human similarity ratings (Lee, Pincombe and Welsh 2005)."""

from collections.abc import Iterator, Sequence

from f2llm.records.errors import InputError
from f2llm.rows.archives import RawFile
from f2llm.rows.fields import one_line
from f2llm.sources.records import Pair


def lee_documents(files: Sequence[RawFile], *, documents: str, similarities: str) -> Iterator[Pair]:
    """Yield each pair of documents once with its similarity (0..1); split by the first document."""
    for file in files:
        with file.text(documents, encoding="latin-1") as lines:
            texts = [one_line(line) for line in lines if line.strip()]
        with file.text(similarities) as lines:
            matrix = [[float(value) for value in line.split()] for line in lines if line.strip()]
        if [len(line) for line in matrix] != [len(texts)] * len(texts):
            raise InputError(
                f"{file.where(similarities)}: not {len(texts)} x {len(texts)} numbers; use the matching files"
            )
        where = file.where(documents)
        for row in range(len(texts)):
            for column in range(row + 1, len(texts)):
                grade = matrix[row][column]
                yield Pair(texts[row], texts[column], grade, texts[row], where, row, "document", "document", column)
