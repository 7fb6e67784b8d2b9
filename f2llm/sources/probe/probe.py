"""Probe sources, models and tasks: a few short requests each, no file whole, some at the same time."""

import datetime
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from f2llm.config.fetch import reading_key
from f2llm.fetch.cache import CACHE, CONNECTIONS_PER_HOST
from f2llm.fetch.reach import reach
from f2llm.fetch.retry import is_offline
from f2llm.jobs.progress import progress
from f2llm.records.errors import InputError
from f2llm.records.schemas.probe import PROBE, ProbeRecord, write_probe
from f2llm.sources.adapters import reads_rows
from f2llm.sources.probe.heads import write_heads
from f2llm.sources.probe.part import Probed
from f2llm.sources.probe.places import SeenPlace, check_access, look_at
from f2llm.sources.probe.remote import Budget
from f2llm.sources.probe.verdict import Verdict, compare_licence, judge_rows

OF_ROWS = ("hub", "http", "local")  # kinds of places whose files hold rows
MOST_BYTES = 1_250_000  # of the files of one source, model or task; listings come on top
SHOWN_DIGITS = 12  # of a commit
GB, MB = 1e9, 1e6
NOTHING_SEEN = Verdict(None, {}, [], [])
logger = logging.getLogger(__name__)


class Probe(NamedTuple):
    """The records of all that was probed, and the bytes that are free on the disk of the store."""

    records: tuple[ProbeRecord, ...]
    free_bytes: int

    @property
    def missing_bytes(self) -> int:
        """Bytes to fetch; what several sources share counts once."""
        return sum(place.missing_bytes for place in {place for record in self.records for place in record.places})

    @property
    def faults(self) -> tuple[str, ...]:
        """All faults, that of the disk for all together included."""
        full = self.missing_bytes > self.free_bytes
        disk = [_disk_fault("all together", self.missing_bytes, self.free_bytes)] if full else []
        return (*(fault for record in self.records for fault in record.faults), *disk)


def probe_all(
    parts: Sequence[Probed], *, results: str | Path = "results", tell: Callable[[str], None] = logger.info
) -> Probe:
    """Probe the places of `parts`, say each finding by `tell`, and write all to `results`/probe.json.

    Raises:
        InputError: HF_HUB_OFFLINE forbids the network.
    """
    if is_offline():
        raise InputError("probe: the hub must be asked, and HF_HUB_OFFLINE forbids it; unset it")
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free
    records = []
    with ThreadPoolExecutor(CONNECTIONS_PER_HOST) as threads:
        found = threads.map(lambda part: _probe(part, free=free), parts)
        for record in progress(_with_index(found, parts), "probe", total=len(parts), unit="places"):
            records.append(record)
            for line in _lines_of(record, free=free):
                tell(line)
    write_probe(Path(results, PROBE), records)
    probe = Probe(tuple(records), free)
    tell(
        f"{len(records)} probed, {sum(bool(record.faults) for record in records)} with faults; "
        f"{_gb(probe.missing_bytes)} to fetch, {_gb(free)} free; "
        f"{sum(record.read_bytes for record in records) / MB:,.1f} MB of files were read for this"
    )
    return probe


def _with_index(records: Iterable[ProbeRecord], parts: Sequence[Probed]) -> Iterator[ProbeRecord]:
    """Yield the records; the first that has a package with the fault of the package index, which is asked once."""
    packages = [(part.owner, [place for place in part.fetch if place.kind == "package"]) for part in parts]
    faults = reach(packages).faults
    for record, (_, places) in zip(records, packages, strict=True):
        if places and faults:
            record, faults = record._replace(faults=(*record.faults, *faults)), ()
        yield record


def _lines_of(record: ProbeRecord, *, free: int) -> Iterator[str]:
    """Yield a line for a record, and its faults and remarks below it."""
    missing = sum(place.missing_bytes for place in record.places)
    files = sum(place.files for place in record.places)
    said = [
        f"{files:,} file{'s' * (files != 1)} of {_gb(record.bytes)}, {_gb(missing)} to fetch, {_gb(free)} free"
        if files
        else "",
        _rows_said(record),
        f"commit {record.commit[:SHOWN_DIGITS]}" if record.commit else "",
    ]
    head = f"{'fault' if record.faults else 'ok':<6}{record.kind} {record.name}"
    yield f"{head}: {', '.join(filter(None, said)) or ('no files' if record.places else 'of the package index')}"
    yield from (f"      fault: {fault}" for fault in record.faults)
    yield from (f"      remark: {remark}" for remark in record.remarks)


def _probe(part: Probed, *, free: int) -> ProbeRecord:
    budget = Budget(MOST_BYTES)
    places = [look_at(place, owner=part.owner, budget=budget) for place in part.fetch if place.kind != "package"]
    faults = [fault for place in places for fault in place.faults]
    remarks = [remark for place in places for remark in place.remarks]
    for place in places:
        if part.licence:
            more_faults, more_remarks = compare_licence(part.licence, place.licence, owner=part.owner)
            faults, remarks = faults + more_faults, remarks + more_remarks
    missing = sum(place.facts.missing_bytes for place in places)
    if missing > free:
        faults.append(_disk_fault(part.owner, missing, free))
    verdict = _look_into(part, places, budget) if not any(place.faults for place in places) else NOTHING_SEEN
    return ProbeRecord(
        kind=part.kind,
        name=part.name,
        key=reading_key(part.fetch, adapter=part.adapter, options=part.options),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        places=tuple(place.facts for place in places),
        rows=verdict.rows,
        columns=verdict.columns,
        read_bytes=budget.read,
        faults=tuple(dict.fromkeys([*faults, *verdict.faults])),
        remarks=tuple(dict.fromkeys([*remarks, *verdict.remarks])),
    )


def _look_into(part: Probed, places: Sequence[SeenPlace], budget: Budget) -> Verdict:
    """What the files hold: of sources their rows, of models and tasks only whether they may be read."""
    files = [file for place in places for file in place.files if file.place.kind in OF_ROWS]
    if part.kind != "source" or not reads_rows(part.adapter):
        denied = [fault for place in places for fault in check_access(place, owner=part.owner, budget=budget)]
        return NOTHING_SEEN._replace(faults=denied)
    with tempfile.TemporaryDirectory(prefix=".probe-", suffix=".part", dir=CACHE) as folder:
        try:
            heads = write_heads(part, files, folder=Path(folder), budget=budget)
        except InputError as error:
            return NOTHING_SEEN._replace(faults=list(error.faults))
        verdict = judge_rows(part, heads, folder=Path(folder))
    return verdict._replace(remarks=[*heads.remarks, *verdict.remarks])


def _disk_fault(owner: str, missing: int, free: int) -> str:
    return f"{owner}: {_gb(missing)} to fetch, {_gb(free)} are free for results/; free some, or name fewer files"


def _rows_said(record: ProbeRecord) -> str:
    if record.rows is None:
        return ""
    about = "" if record.rows.exact else "about "
    counts = [(record.rows.queries, "queries"), (record.rows.passages, "passages")]
    listed = ", ".join(f"{count:,} {name}" for count, name in counts if count is not None)
    return f"{about}{record.rows.rows:,} rows with {listed}"


def _gb(size: int) -> str:
    return f"{size / GB:,.1f} GB" if size >= GB else f"{size / MB:,.1f} MB"
