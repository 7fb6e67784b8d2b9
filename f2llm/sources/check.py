"""Check one source before a run: fetch it, read it as a run does, show a sample, labels, counts and faults.

Only the store of fetched files and the lock file are written.
"""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.config.exclusions import FILE as EXCLUDE
from f2llm.config.exclusions import Exclusion, read_exclusions
from f2llm.config.sources import Source
from f2llm.config.stanzas import read_stanza
from f2llm.fetch.cache import CACHE
from f2llm.fetch.fetch import Fetched, fetch_files, remarks_on
from f2llm.jobs.progress import progress
from f2llm.records.errors import InputError
from f2llm.rows.archives import raw_files
from f2llm.rows.layout import holds_rows
from f2llm.sources import survey
from f2llm.sources.adapters import Reader, check_adapters
from f2llm.sources.exclude import without_excluded
from f2llm.sources.named_files import unread_files
from f2llm.sources.normalise import Reading, used_records
from f2llm.sources.records import PASSAGE, QUERY, Labelled, Pair, Passage, Query, Record
from f2llm.sources.staging import RECORDS_OF, Staged, record_fault

ROWS = 500_000  # records read; half a minute
FEW_SKIPPED = 0.5  # share of queries; more are worth a warning
STANZAS = Path("config/sources")
TABBED = (".tsv", ".tab")


class SourceCheck(NamedTuple):
    """A source's stanza, its files, and what its records hold."""

    source: Source
    files: list[Fetched]
    examples: list[str]
    labels: survey.Labels
    counts: dict[str, int]
    skipped: dict[str, int]
    records: int  # that were read
    complete: bool  # whether these are all
    warnings: list[str]


def check_source(name: str, *, stanzas: Path = STANZAS, rows: int = ROWS) -> SourceCheck:
    """Check the source `name` of the folder `stanzas`, or the stanza in the file `name`, on at most `rows` records.

    Raises:
        InputError: all faults of the stanza; a file that cannot be fetched or read; no record that
            fits the task.
    """
    if rows < 1:
        raise InputError(f"{rows} records: nothing would be read; give a number of at least 1")
    source = load_source(name, stanzas=stanzas)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".check-", suffix=".part", dir=CACHE) as raw:
        files = fetch_files(source.fetch, raw, owner=f"source {source.name}")
        excluded = [entry for entry in read_exclusions(stanzas.parent / EXCLUDE) if entry.source == source.name]
        return check_files(source, files, raw=raw, excluded=excluded, rows=rows)


def check_files(
    source: Source, files: Sequence[Fetched], *, raw: str | Path, excluded: Sequence[Exclusion] = (), rows: int = ROWS
) -> SourceCheck:
    """Check a source on at most `rows` records of `files`, which lie in the folder `raw`; more is written there.

    Raises:
        InputError: a file that cannot be read; no record that fits the task.
    """
    with raw_files(raw, [file.name for file in files]) as opened:
        reader = Reader(opened, name=source.name, adapter=source.adapter, options=source.options)
        first = _FirstRecords(reader, most=rows)
        shown = progress(first, f"read {source.name}", total=None, unit="records")
        records = without_excluded(shown, excluded, task=source.shape)
        reading = Reading(name=source.name, task=source.shape, adapter=source.adapter)
        staging = Path(raw, ".staged")
        with used_records(records, reading, staging=staging, unusable=first.unusable) as (database, staged, _):
            counts, skipped = _counts(source, staged, read=first.count)
            labels = survey.labels_of(database)
            warnings = [*remarks_on(files), *_warnings(source, counts, skipped, labels)]
            if survey.in_one_group(database):
                warnings.append(
                    "all rows are in one group so far, so the split into train, dev and test would be empty; check "
                    "`group`"
                )
            warnings += _rights_and_tokens(source, *survey.control_tokens(database))
            warnings += survey.doubts(database, tabs=any(holds_rows(file.name, of=TABBED) for file in files))
            examples = survey.examples_of(database)
    return SourceCheck(
        source, list(files), examples, labels, counts, dict(skipped), first.count, first.complete, warnings
    )


class _FirstRecords:
    """The first `most` records of a reader, and the rows that were left out before its adapter saw them.

    Attributes:
        count: of the records that were read.
        complete: whether these are all.
    """

    def __init__(self, reader: Reader, *, most: int) -> None:
        self._reader, self._most = reader, most
        self._unusable: set[str] = set()
        self.count, self.complete = 0, True

    def __iter__(self) -> Iterator[Record]:
        for record in self._reader:
            if self.count == self._most:
                self.complete = False
                break
            self.count += 1
            if isinstance(record, Passage) and record_fault(record):
                self._unusable.add(record.key)
            yield record
        yield from self._reader.left_out()

    def unusable(self) -> Collection[str] | None:
        """Keys of the passages that cannot be used; None where all records were read."""
        return None if self.complete else self._unusable


def load_source(name: str, *, stanzas: Path = STANZAS) -> Source:
    """The stanza of a name or file.

    Raises:
        InputError: there is no such stanza, or it has faults; all are named.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else stanzas / f"{name}.yaml"
    source, faults = read_stanza(Source, path)
    if source is None:
        raise InputError(faults)
    if faults := check_adapters([source]) or unread_files([source]):
        raise InputError(faults)
    return source


def as_text(checked: SourceCheck) -> str:
    """The check as lines for a person."""
    source, labels = checked.source, checked.labels
    head = f"{source.name}: {source.task}, licence {source.licence.id} (commercial use: {source.licence.commercial})"
    lines = [head, *(f"  file {file.name}: {file.bytes:,} bytes, sha256 {file.sha256}" for file in checked.files)]
    read = "all" if checked.complete else f"of the first {checked.records:,} records, the limit of this check:"
    lines.append(f"  {read} {_listed(checked.counts)}")
    if checked.skipped:
        lines.append(f"  left out: {_listed(checked.skipped)}")
    if source.expected.queries is not None:
        expected = {"queries": source.expected.queries, "passages": source.expected.passages or 0}
        lines.append(f"  published for the finished data: {_listed(expected)}")
    lines += [f"  label {label!r}: {count:,} texts, as {survey.short(text)}" for label, count, text in labels.listed]
    if labels.others:
        lines.append(f"  {labels.others:,} other labels: {labels.texts_of_others:,} texts")
    lines += [f"  example {number}: {example}" for number, example in enumerate(checked.examples, 1)]
    return "\n".join([*lines, *(f"  look at this: {warning}" for warning in checked.warnings)])


_NAMES = {Query: "queries", Passage: "passages", Labelled: "labelled texts", Pair: "graded pairs"}


def _counts(source: Source, staged: Staged, *, read: int) -> tuple[dict[str, int], Counter[str]]:
    """Used records by what they are, and the others by reason.

    Raises:
        InputError: none can be used.
    """
    # A text of clustering and a label are passages, too; they count as what the adapter yields.
    roles = (PASSAGE, QUERY) if source.shape == "retrieval" else (QUERY,)
    skipped = sum((staged.skipped[role] for role in roles), Counter())
    of_role = {_NAMES[kind]: PASSAGE if kind is Passage else QUERY for kind in RECORDS_OF[source.shape]}
    used = {name: staged.read[role] - staged.skipped[role].total() for name, role in of_role.items()}
    counts = {name: count for name, count in used.items() if count}
    if not counts:
        raise InputError(
            f"source {source.name}: no record in the first {read:,}: {_listed(skipped) or 'the files are empty'}; "
            "check the stanza's options against the files"
        )
    return counts, skipped


def _warnings(source: Source, counts: dict[str, int], skipped: Counter[str], labels: survey.Labels) -> Iterator[str]:
    used, lost = sum(counts.values()) - counts.get("passages", 0), skipped.total()
    if lost > FEW_SKIPPED * (used + lost):
        yield f"{lost:,} of {used + lost:,} rows are left out; see the reasons"
    if len(labels.listed) == 1:
        yield f"all texts have the label {labels.listed[0][0]!r} so far; check the label column"


def _rights_and_tokens(source: Source, named: int, tokens: Sequence[str]) -> Iterator[str]:
    if source.licence.commercial == "unknown":
        yield "it is not known whether the licence allows commercial use"
    if named:
        yield (
            f"{named:,} texts hold the name of a control token ({', '.join(tokens)}); models read it as letters, but "
            "for those whose stanza says `control_tokens: tokens`"
        )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
