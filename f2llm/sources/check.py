"""Check one source before a run: fetch it, read its first rows as a run does, show examples, counts and faults.

Only the store of fetched files and the lock file are written.
"""

import itertools
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.config.exclusions import FILE as EXCLUDE
from f2llm.config.exclusions import read_exclusions
from f2llm.config.sources import Source
from f2llm.config.stanzas import read_stanza
from f2llm.errors import InputError
from f2llm.rows.archives import raw_files
from f2llm.rows.fields import number_in
from f2llm.rows.layout import holds_rows
from f2llm.sources.adapters import Reader, check_adapters
from f2llm.sources.cache import CACHE
from f2llm.sources.exclude import without_excluded
from f2llm.sources.fetch import Fetched, fetch_files, remarks_on
from f2llm.sources.normalise import NO_POSITIVE, Reading, used_records
from f2llm.sources.records import PASSAGE, QUERY, Labelled, Pair, Passage, Query, Record, Skipped
from f2llm.sources.staging import RECORDS_OF, Staged, record_fault

ROWS = 10_000  # records read; seconds on any source
EXAMPLES = 10
MOST_CHARACTERS = 300  # of a text in an example
FEW_SKIPPED = 0.5  # share of queries; more are worth a warning
MOST_TEXTS = 0.5  # share of a column's texts that look like something else
STANZAS = Path("config/sources")
# Names that models in use have for control tokens; which ones a model has, its tokenizer says.
CONTROL_TOKENS = re.compile(r"<\|\w+\|>|</?s>|<(?:bos|cls|eos|mask|pad|sep|unk)>|\[(?:BOS|CLS|EOS|MASK|PAD|SEP|UNK)\]")


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
            reader = Reader(opened, name=source.name, adapter=source.adapter, options=source.options)
            all_records = iter(reader)
            records = list(itertools.islice(all_records, rows))
            complete = next(all_records, None) is None
            records += reader.left_out()
        excluded = [entry for entry in read_exclusions(stanzas.parent / EXCLUDE) if entry.source == source.name]
        records = list(without_excluded(records, excluded, task=source.shape))
        _refuse_unfit(source, records)
        records = _without_unanswered(records)
        reading = Reading(name=source.name, task=source.shape, adapter=source.adapter)
        with used_records(records, reading, staging=Path(raw, ".staged"), later=not complete) as (_, staged, _):
            return _summary(source, files, records, staged, complete=complete)


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


def _refuse_unfit(source: Source, records: Sequence[Record]) -> None:
    kinds = Counter(type(record) for record in records)
    fitting = RECORDS_OF[source.shape]
    unfit = sorted({kind.__name__ for kind in kinds} - {kind.__name__ for kind in (*fitting, Skipped)})
    if unfit:
        raise InputError(
            f"source {source.name}: adapter {source.adapter!r} yields {', '.join(unfit)}, a {source.task} source is "
            f"made of {' and '.join(kind.__name__ for kind in fitting)}; choose another adapter or task"
        )


def _without_unanswered(records: Sequence[Record]) -> list[Record]:
    """The records; queries whose passages are all there and cannot be used are left out, as a run does."""
    unusable = {record.key for record in records if isinstance(record, Passage) and record_fault(record)}
    return [
        Skipped(NO_POSITIVE, record.file, record.row)
        if isinstance(record, Query) and not record_fault(record) and unusable.issuperset(record.positives)
        else record
        for record in records
    ]


def _summary(
    source: Source, files: list[Fetched], records: Sequence[Record], staged: Staged, *, complete: bool
) -> SourceCheck:
    # A text of clustering and a label are passages, too; they count as what the adapter yields.
    roles = (PASSAGE, QUERY) if source.shape == "retrieval" else (QUERY,)
    skipped = sum((staged.skipped[role] for role in roles), Counter())
    of_role = {_NAMES[kind]: PASSAGE if kind is Passage else QUERY for kind in RECORDS_OF[source.shape]}
    used = {name: staged.read[role] - staged.skipped[role].total() for name, role in of_role.items()}
    counts = {name: count for name, count in used.items() if count}
    if not counts:
        raise InputError(
            f"source {source.name}: no record in the first {len(records):,}: "
            f"{_listed(skipped) or 'the files are empty'}; check the stanza's options against the files"
        )
    usable = [record for record in records if not isinstance(record, Skipped) and not record_fault(record)]
    examples = list(itertools.islice(_examples(usable), EXAMPLES))
    warnings = [*remarks_on(files), *_warnings(source, usable, counts, skipped)]
    warnings += _doubts(usable, [file.name for file in files])
    return SourceCheck(source, files, examples, counts, dict(skipped), complete, warnings)


_NAMES = {Query: "queries", Passage: "passages", Labelled: "labelled texts", Pair: "graded pairs"}


def _examples(records: Sequence[Record]) -> Iterator[str]:
    texts = {record.key: record.text for record in records if isinstance(record, Passage)}
    for record in records:
        if isinstance(record, Query) and record.positives:
            negatives = [f"not {_short(texts.get(key, key))}" for key in (*record.negatives, *record.later_negatives)]
            known = [key for key in record.positives if key in texts] or record.positives
            passages = [_short(texts.get(key, f"passage {key}")) for key in known]
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
    if named := [names for record in records if (names := _control_tokens(record))]:
        warnings.append(
            f"{len(named):,} texts hold the name of a control token ({', '.join(sorted(set().union(*named)))}); models "
            "read it as letters, but for those whose stanza says `control_tokens: tokens`"
        )
    return warnings


def _control_tokens(record: Record) -> set[str]:
    texts = (getattr(record, field, None) for field in ("text", "other"))
    return {name for text in texts if isinstance(text, str) for name in CONTROL_TOKENS.findall(text)}


def _doubts(records: Sequence[Record], files: Sequence[str]) -> Iterator[str]:
    """Yield what is read to the letter and may be meant otherwise: lists and marks in texts, numbers as labels."""
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for record in records:
        texts[record.field].append(record.text)
    tabs = any(holds_rows(name, of=(".tsv", ".tab")) for name in files)
    for field, of_field in texts.items():
        most = MOST_TEXTS * len(of_field)
        if sum(text[:1] == "[" and text[-1:] == "]" for text in of_field) > most:
            yield (
                f"most texts of {field!r} begin with [ and end with ]; if they are lists, read them with the option "
                f"`lists: [{field}]`"
            )
        if tabs and sum(text[:1] == text[-1:] == '"' for text in of_field) > most:
            yield (
                f"most texts of {field!r} stand between quotation marks; if these are none of the text, give the "
                "option `quoting: minimal`"
            )
    numbers: defaultdict[float, set[str]] = defaultdict(set)
    for label in {record.label for record in records if isinstance(record, Labelled)}:
        if (number := number_in(label)) is not None:
            numbers[number].add(label)
    for labels in (sorted(labels) for _, labels in sorted(numbers.items()) if len(labels) > 1):
        listed = " and ".join(map(repr, labels))
        yield f"the labels {listed} are one number and different classes; give them one word with the option `labels`"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}...")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
