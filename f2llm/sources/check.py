"""Check one source before a run: fetch it, read its first rows, show examples, counts and faults.

Only the store of fetched files and the lock file are written.
"""

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.config.sources import Source
from f2llm.config.stanzas import read_stanza
from f2llm.errors import InputError
from f2llm.rows.archives import raw_files
from f2llm.sources.adapters import check_adapters, read_records
from f2llm.sources.cache import CACHE
from f2llm.sources.fetch import Fetched, fetch_files
from f2llm.sources.records import Labelled, Pair, Passage, Query, Record, Skipped
from f2llm.sources.staging import RECORDS_OF

ROWS = 10_000  # records read; seconds on any source
EXAMPLES = 10
MOST_CHARACTERS = 300  # of a text in an example
FEW_SKIPPED = 0.5  # share of queries; more are worth a warning
STANZAS = Path("config/sources")


class SourceCheck(NamedTuple):
    """A source's stanza, its files, and what its first records hold."""

    source: Source
    files: list[Fetched]
    examples: list[str]
    counts: dict[str, int]
    skipped: dict[str, int]
    complete: bool  # whether all records were read
    warnings: list[str]


def check_source(name: str, *, stanzas: Path = STANZAS, rows: int = ROWS) -> SourceCheck:
    """Check the source `name` of the folder `stanzas`, or the stanza in the file `name`, on its first `rows` records.

    Raises:
        InputError: all faults of the stanza; a file that cannot be fetched or read; no record that
            fits the task.
    """
    source = load_source(name, stanzas=stanzas)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".check-", suffix=".part", dir=CACHE) as raw:
        files = fetch_files(source.fetch, raw, owner=f"source {source.name}")
        with raw_files(raw, [file.name for file in files]) as opened:
            all_records = read_records(opened, name=source.name, adapter=source.adapter, options=source.options)
            records = list(itertools.islice(all_records, rows))
            complete = next(all_records, None) is None
    return _summary(source, files, records, complete=complete)


def load_source(name: str, *, stanzas: Path = STANZAS) -> Source:
    """The stanza of a name or file.

    Raises:
        InputError: there is no such stanza, or it has faults; all are named.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else stanzas / f"{name}.yaml"
    source, faults = read_stanza(Source, path)
    if source is None:
        raise InputError(faults)
    if faults := check_adapters([source]):
        raise InputError(faults)
    return source


def as_text(checked: SourceCheck) -> str:
    """The check as lines for a person."""
    source = checked.source
    head = f"{source.name}: {source.task}, licence {source.licence.id} (commercial use: {source.licence.commercial})"
    lines = [head, *(f"  file {file.name}: {file.bytes:,} bytes, sha256 {file.sha256}" for file in checked.files)]
    lines.append(f"  {'all' if checked.complete else 'the first'} {_listed(checked.counts)}")
    if checked.skipped:
        lines.append(f"  left out: {_listed(checked.skipped)}")
    if source.expected.queries is not None:
        expected = {"queries": source.expected.queries, "passages": source.expected.passages or 0}
        lines.append(f"  published for the finished data: {_listed(expected)}")
    lines += [f"  example {number}: {example}" for number, example in enumerate(checked.examples, 1)]
    return "\n".join([*lines, *(f"  look at this: {warning}" for warning in checked.warnings)])


def _summary(source: Source, files: list[Fetched], records: Sequence[Record], *, complete: bool) -> SourceCheck:
    kinds = Counter(type(record) for record in records)
    fitting = RECORDS_OF[source.shape]
    unfit = sorted({kind.__name__ for kind in kinds} - {kind.__name__ for kind in (*fitting, Skipped)})
    if unfit:
        raise InputError(
            f"source {source.name}: adapter {source.adapter!r} yields {', '.join(unfit)}, a {source.task} source is "
            f"made of {' and '.join(kind.__name__ for kind in fitting)}; choose another adapter or task"
        )
    skipped: Counter[str] = Counter()
    for record in records:
        if isinstance(record, Skipped):
            skipped[record.reason] += record.count
    counts = {_NAMES[kind]: count for kind, count in kinds.items() if kind is not Skipped}
    if not counts:
        raise InputError(
            f"source {source.name}: no record in the first {len(records):,}: "
            f"{_listed(skipped) or 'the files are empty'}; check the stanza's options against the files"
        )
    examples = list(itertools.islice(_examples(records), EXAMPLES))
    return SourceCheck(
        source, files, examples, counts, dict(skipped), complete, _warnings(source, records, counts, skipped)
    )


_NAMES = {Query: "queries", Passage: "passages", Labelled: "labelled texts", Pair: "graded pairs"}


def _examples(records: Sequence[Record]) -> Iterator[str]:
    texts = {record.key: record.text for record in records if isinstance(record, Passage)}
    for record in records:
        if isinstance(record, Query) and record.positives:
            negatives = [f"not {_short(texts.get(key, key))}" for key in (*record.negatives, *record.later_negatives)]
            passages = [_short(texts.get(key, f"passage {key}")) for key in record.positives]
            yield " | ".join([f"{_short(record.text)} -> {' or '.join(passages)}", *negatives])
        elif isinstance(record, Labelled):
            yield f"{_short(record.text)} is {record.label!r}"
        elif isinstance(record, Pair):
            yield f"{_short(record.text)} and {_short(record.other)}: {record.grade:g}"


def _warnings(source: Source, records: Sequence[Record], counts: dict[str, int], skipped: Counter[str]) -> list[str]:
    warnings = []
    used, lost = sum(counts.values()) - counts.get("passages", 0), skipped.total()
    if lost > FEW_SKIPPED * (used + lost):
        warnings.append(f"{lost:,} of {used + lost:,} rows are left out; see the reasons")
    labels = {record.label for record in records if isinstance(record, Labelled)}
    if len(labels) == 1:
        warnings.append(f"all texts have the label {labels.pop()!r} so far; check the label column")
    groups = {record.group for record in records if isinstance(record, Query | Labelled | Pair)}
    if len(groups) == 1 and used > 1:
        warnings.append(
            "all rows are in one group so far, so the split into train, dev and test would be empty; check `group`"
        )
    if source.licence.commercial == "unknown":
        warnings.append("it is not known whether the licence allows commercial use")
    return warnings


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}...")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
