"""Records that must not be used, left out before anything is written, and accounted for."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from f2llm.config.exclusions import Exclusion
from f2llm.records.ids import doc_id, query_id
from f2llm.sources.records import PASSAGE, QUERY, Labelled, Pair, Passage, Query, Record, Skipped
from f2llm.sources.staging import PAIR_SEPARATOR

EXCLUDED = "excluded on request"


def without_excluded(records: Iterable[Record], exclusions: Sequence[Exclusion], *, task: str) -> Iterator[Record]:
    """Yield the records, those of excluded rows or texts as skipped ones."""
    rows = {(one.file, one.row) for one in exclusions if one.file}
    ids = {bytes.fromhex(one.id) for one in exclusions if one.id}
    for record in records:
        if isinstance(record, Skipped):
            yield record
        elif _places(record) & rows or (ids and _ids(record, task) & ids):
            role = PASSAGE if isinstance(record, Passage) else QUERY
            yield Skipped(EXCLUDED, record.file, record.row, role)
        else:
            yield record


def _places(record: Passage | Query | Labelled | Pair) -> set[tuple[str, int | None]]:
    places: set[tuple[str, int | None]] = {(record.file, record.row)}
    return places | {(record.file, record.other_row)} if isinstance(record, Pair) else places


def _ids(record: Passage | Query | Labelled | Pair, task: str) -> set[bytes]:
    """The ids of the texts of a record, whatever their role."""
    if isinstance(record, Pair):
        texts = [record.text, record.other]
        pair = {query_id(task, _nfc(f"{record.text}{PAIR_SEPARATOR}{record.other}"))}
    else:
        texts, pair = [record.text], set()
    return pair | {doc_id(_nfc(text)) for text in texts} | {query_id(task, _nfc(text)) for text in texts}


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
