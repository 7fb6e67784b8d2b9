"""Leave out records that the user excludes, before anything is written, and account for each."""

from collections.abc import Iterable, Iterator, Sequence

from f2llm.config.exclusions import Exclusion
from f2llm.records.ids import doc_id, query_id
from f2llm.records.text_keys import without_ignorable
from f2llm.sources.records import PASSAGE, QUERY, Labelled, Pair, Passage, Query, Record, Skipped
from f2llm.sources.staging import PAIR_SEPARATOR

EXCLUDED = "excluded on request"


def without_excluded(records: Iterable[Record], exclusions: Sequence[Exclusion], *, task: str) -> Iterator[Record]:
    """Yield `records`; those of an excluded row or text become `Skipped`."""
    rows = {(exclusion.file, exclusion.row) for exclusion in exclusions if exclusion.file}
    ids = {bytes.fromhex(exclusion.id) for exclusion in exclusions if exclusion.id}
    for record in records:
        if isinstance(record, Skipped):
            yield record
        elif _places(record) & rows or (ids and _ids(record, task) & ids):
            yield Skipped(EXCLUDED, record.file, record.row, PASSAGE if isinstance(record, Passage) else QUERY)
        else:
            yield record


def _places(record: Passage | Query | Labelled | Pair) -> set[tuple[str, int | None]]:
    rows = (record.row, record.other_row) if isinstance(record, Pair) else (record.row,)
    return {(record.file, row) for row in rows}


def _ids(record: Passage | Query | Labelled | Pair, task: str) -> set[bytes]:
    """All ids that the texts of a record may have, as passage or as query, and that their displayed characters have."""
    texts = [record.text, record.other] if isinstance(record, Pair) else [record.text]
    known = {PAIR_SEPARATOR.join(texts), *texts}  # the join of a single text is the text itself
    known |= set(map(without_ignorable, known))
    return {identity for text in known for identity in (doc_id(text), query_id(task, text))}
