"""Question -> the answer that people scored best (ELI5)."""

from collections.abc import Iterator

from f2llm.records.ids import doc_id
from f2llm.records.text_keys import is_empty
from f2llm.rows.fields import Columns, field_of, group_of, text_of, value_of
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Passage, Query, Skipped


def best_answer(
    rows: RawRows, *, query: Columns = "title", answers: str = "answers.text", scores: str = "answers.score"
) -> Iterator[Passage | Query | Skipped]:
    """Yield one query a row with its best scored answer; of equal ones the first. Split by question.

    `answers` and `scores` are columns, or paths into nested ones, that hold lists of one length.
    """
    for row in rows.read(query, answers, scores):
        question = text_of(row.values, query)
        texts, grades = value_of(row.values, answers), value_of(row.values, scores)
        if isinstance(texts, list) and isinstance(grades, list) and len(texts) != len(grades):
            yield Skipped(f"{answers!r} and {scores!r} are not of one length", row.file, row.row)
            continue
        scored = zip(grades, texts, strict=True) if isinstance(texts, list) and isinstance(grades, list) else ()
        answered = [(score, text.strip()) for score, text in scored if isinstance(text, str) and not is_empty(text)]
        usable = [(score, text) for score, text in answered if isinstance(score, int | float)]
        if not question or not usable:
            fault = f"{scores!r} has no number" if question and answered else ""
            yield Skipped(fault or f"{answers if question else field_of(query)!r} is empty", row.file, row.row)
            continue
        best = max(usable, key=lambda answer: answer[0])[1]
        key = doc_id(best).hex()
        yield Passage(key, best, row.file, row.row, answers)
        split_group = group_of(row.values, "", default=question)
        yield Query(question, (key,), (), split_group, row.file, row.row, field_of(query))
