"""What the heads of a source's files say of it: its own adapter reads them, and rows are held against the stanza."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.config.rights import Licence
from f2llm.records.errors import InputError
from f2llm.records.schemas.probe import ProbedRows
from f2llm.rows.archives import raw_files
from f2llm.rows.layout import WORKBOOKS, RowFile, RowLayout, holds_rows
from f2llm.rows.reader import sound_rows
from f2llm.sources.adapters import LAYOUT, Reader
from f2llm.sources.probe.heads import Head, Heads
from f2llm.sources.probe.part import Probed
from f2llm.sources.records import Labelled, Pair, Passage, Query, Record, Skipped
from f2llm.sources.staging import RECORDS_OF, record_fault

FAR_OVER, FAR_UNDER, UNDER = 2.0, 0.5, 0.9  # times the published count
LISTED = 3
NO_LICENCE = {"", "other", "unknown"}  # of a card


class Verdict(NamedTuple):
    """Rows, columns of each pattern's files, what is wrong and what is worth a look."""

    rows: ProbedRows | None
    columns: dict[str, list[str]]
    faults: list[str]
    remarks: list[str]


def judge_rows(part: Probed, heads: Heads, *, folder: Path) -> Verdict:
    """Read the local files in `folder` as a run reads the whole ones, and judge what comes of it."""
    verdict = Verdict(None, _columns(part, heads, folder), [], [])
    verdict.faults.extend(f"{part.owner}: {fault}" for fault in _mixed_columns(heads.heads))
    if not heads.heads:
        return verdict
    try:
        with raw_files(folder, heads.names) as files:
            reader = Reader(files, name=part.name, adapter=part.adapter, options=part.options)
            records = [*reader, *reader.left_out()]
    except InputError as error:
        verdict.faults.extend(_owned(part, error.faults))
        return verdict
    for head in heads.heads:
        if head.seen and holds_rows(head.where, of=WORKBOOKS):  # whole, and only its reader can tell the rows
            head.seen = head.rows = len({record.row for record in records if record.file == head.where})
    seen = {head.where for head in heads.heads if head.seen}
    of_seen = [record for record in records if record.file in seen]
    usable = [record for record in of_seen if not isinstance(record, Skipped) and not record_fault(record)]
    if fault := _unfit(part, of_seen, usable):
        if seen or all(head.rows == 0 for head in heads.heads):
            verdict.faults.append(f"{part.owner}: {fault}")
        else:
            parquet = any(head.columns for head in heads.heads)
            alone = "the first rows take too many bytes: of Parquet the columns were judged alone"
            verdict.remarks.append(alone if parquet else "no rows were seen, so nothing of them was judged")
        return verdict
    labels = {record.label for record in usable if isinstance(record, Labelled)}
    if len(labels) == 1:
        verdict.remarks.append(f"all texts that were seen have the label {labels.pop()!r}")
    if part.task == "retrieval" and not any(isinstance(record, Query) for record in usable):
        verdict.remarks.append("no query was seen with its passage: they lie in different files")
    rows = count_rows(heads, usable)
    used = {(record.file, record.row) for record in usable}
    share = len(used) / max(len(used), sum(head.seen for head in heads.heads))
    known = compare_counts(part, rows, used_share=share) if rows else ([], ["how many rows there are is not known"])
    faults, remarks = known
    verdict.faults.extend(f"{part.owner}: {fault}" for fault in faults)
    verdict.remarks.extend(remarks)
    return verdict._replace(rows=rows)


def count_rows(heads: Heads, records: Sequence[Record]) -> ProbedRows | None:
    """Rows, queries and passages of all files, as many for each byte as in those that were looked into."""
    pattern_of = {head.where: head.pattern for head in heads.heads}
    rows = {pattern: count for pattern in heads.sizes if (count := _rows_of(pattern, heads)) is not None}
    if not rows:
        return None
    texts: dict[type, defaultdict[str, set[str]]] = {Query: defaultdict(set), Passage: defaultdict(set)}
    for record in records:
        if isinstance(record, Passage | Query | Labelled | Pair) and record.file in pattern_of:
            kind = Passage if isinstance(record, Passage) else Query
            texts[kind][pattern_of[record.file]].add(record.text)
    queries, passages = (_whole_count(of_pattern, rows, heads) for of_pattern in texts.values())
    joined = bool(texts[Passage]) and not texts[Query].keys() & texts[Passage].keys()
    if not texts[Passage]:  # of clustering each text is a passage, too
        passages, texts[Passage] = queries, texts[Query]
    exact = all(
        sum(head.rows is not None for head in heads.heads if head.pattern == pattern) == count
        for pattern, count in heads.files.items()
    )
    sizes = [_mean_bytes(texts[kind]) for kind in (Query, Passage)]
    return ProbedRows(sum(rows.values()), exact, None if joined else queries, passages, *sizes)


def compare_counts(part: Probed, rows: ProbedRows, *, used_share: float) -> tuple[list[str], list[str]]:
    """Faults and remarks on counts far from the published ones, within the caps.

    Of clustering and classification a row is a query, so far more of them is a fault; of other tasks queries are
    left out later, and passages that no query uses are searched on purpose. Of the rows that were seen `used_share`
    gave a record; others may lie behind them, so counts are far too small only if all rows gave one.
    """
    faults, remarks = [], []
    counts = [("queries", rows.queries, part.max_queries, part.expected_queries)]
    if part.task != "classification":
        counts.append(("passages", rows.passages, part.max_passages, part.expected_passages))
    about = "" if rows.exact else "about "
    for name, count, cap, expected in counts:
        if count is None or not expected:
            continue
        kept, most = (min(each, cap or each) for each in (count, count / used_share))
        said = f"{about}{kept:,} {name}, published are {expected:,}"
        if kept > FAR_OVER * expected:
            if part.options.get("distinct"):
                remarks.append(f"{said}; rows of one {part.options['distinct']!r} count once later")
            elif part.task in ("clustering", "classification"):
                faults.append(f"{said}; set max_{name} to about as many")
            elif name == "queries":
                remarks.append(f"{said}; max_{name} would keep as many")
        elif most < FAR_UNDER * expected:
            faults.append(f"{said}; name files that hold more, or raise max_{name}")
        elif kept < UNDER * expected:
            remarks.append(said)
    return faults, remarks


def compare_licence(licence: Licence, card: str, *, owner: str) -> tuple[list[str], list[str]]:
    """Faults and remarks on the licence of a card against that of the stanza."""
    if card.lower() in {*NO_LICENCE, licence.id.lower()}:
        return [], []
    said = f"the card states the licence {card}, the stanza {licence.id}"
    if licence.commercial == "yes" and "-nc" in card.lower():
        return [f"{owner}: {said} and commercial use; correct `licence`"], []
    return [], [said]


def _columns(part: Probed, heads: Heads, folder: Path) -> dict[str, list[str]]:
    """The columns of the first file of each pattern that rows were seen of."""
    layout = RowLayout(**{option: value for option, value in part.options.items() if option in LAYOUT})
    columns: dict[str, list[str]] = {}
    with raw_files(folder, heads.names) as files:
        opened = {file.name: file for file in files}
        for head in heads.heads:
            name, _, member = head.where.partition("!")
            if head.pattern in columns or name not in opened:
                continue
            try:
                row = next(iter(sound_rows(RowFile(opened[name], member), layout)), {})
            except InputError:  # which the adapter will meet, too
                continue
            columns[head.pattern] = list(row) if isinstance(row, Mapping) else []
    return columns


def _mixed_columns(heads: Sequence[Head]) -> Iterator[str]:
    """Yield a fault for each pattern whose Parquet files have different columns."""
    of_pattern: defaultdict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
    for head in heads:
        if head.columns:
            of_pattern[head.pattern].setdefault(tuple(sorted(head.columns)), head.where)
    for pattern, kinds in of_pattern.items():
        if len(kinds) > 1:
            listed = "; ".join(
                f"{where} has {', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else ''}"
                for names, where in kinds.items()
            )
            yield f"{pattern!r} matches files of {len(kinds)} kinds: {listed}; name the folder of one kind in `files`"


def _unfit(part: Probed, records: Sequence[Record], usable: Sequence[Record]) -> str:
    """Why the records are not those of the task; "" if they are."""
    fitting = RECORDS_OF[part.task]
    kinds = sorted({type(record).__name__ for record in usable if not isinstance(record, fitting)})
    if kinds:
        return (
            f"adapter {part.adapter!r} yields {', '.join(kinds)}, which is not what {part.task} is made of; correct it"
        )
    if usable:
        return ""
    reasons = Counter[str]()
    for record in records:
        reasons[record.reason if isinstance(record, Skipped) else record_fault(record)] += getattr(record, "count", 1)
    listed = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common(LISTED))
    return f"no record in the rows that were seen: {listed or 'there are none'}; correct the options"


def _owned(part: Probed, faults: Sequence[str]) -> list[str]:
    return [fault if fault.startswith(part.owner) else f"{part.owner}: {fault}" for fault in faults]


def _rows_of(pattern: str, heads: Heads) -> int | None:
    """Rows of all files of a pattern; None where none of them was looked into, or their sizes are not known."""
    of_pattern = [head for head in heads.heads if head.pattern == pattern]
    known = [(head.rows, head.size) for head in of_pattern if head.rows is not None]
    if len(known) == heads.files[pattern]:
        return sum(rows for rows, _ in known)
    known = known or [(head.seen, head.seen_bytes) for head in of_pattern]
    rows, size = (sum(column) for column in zip(*known, strict=True)) if known else (0, 0)
    return round(rows / size * heads.sizes[pattern]) if rows and size and heads.sizes[pattern] else None


def _whole_count(texts: Mapping[str, set[str]], rows: Mapping[str, int], heads: Heads) -> int:
    """Texts of all files: those of the rows that were seen, times the rows for each of these."""
    seen: Counter[str] = Counter()
    for head in heads.heads:
        seen[head.pattern] += head.seen
    return round(sum(len(texts[pattern]) * rows[pattern] / seen[pattern] for pattern in texts if rows.get(pattern)))


def _mean_bytes(texts: Mapping[str, set[str]]) -> float:
    sizes = [len(text.encode()) for of_pattern in texts.values() for text in of_pattern]
    return round(sum(sizes) / max(1, len(sizes)), 1)
