"""Probe sources, models and tasks: a few short requests each, no file whole, some at the same time."""

import datetime
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from f2llm.config.probed import Probed, reading_key
from f2llm.errors import InputError
from f2llm.jobs.progress import progress
from f2llm.records.schemas.probe import PROBE, ProbeRecord, write_probe
from f2llm.sources.adapters import reads_rows
from f2llm.sources.cache import CACHE
from f2llm.sources.probe.heads import write_heads
from f2llm.sources.probe.places import SeenPlace, check_access, look_at
from f2llm.sources.probe.remote import Budget
from f2llm.sources.probe.verdict import Verdict, compare_licence, judge_rows
from f2llm.sources.reach import reach
from f2llm.sources.retry import is_offline

AT_ONCE = 8
MOST_BYTES = 1_250_000  # of the files of one source, model or task; listings come on top
SHOWN_DIGITS = 12  # of a commit
GB = 1e9
NOTHING_SEEN = Verdict(None, {}, [], [])


class Probe(NamedTuple):
    """The records of all that was probed, and the bytes that are free on the disk of the store."""

    records: tuple[ProbeRecord, ...]
    free_bytes: int

    @property
    def faults(self) -> tuple[str, ...]:
        """All faults, that of the disk for all together included."""
        missing = sum(place.missing_bytes for record in self.records for place in record.places)
        disk = [_disk_fault("all together", missing, self.free_bytes)] if missing > self.free_bytes else []
        return (*(fault for record in self.records for fault in record.faults), *disk)


def probe_all(parts: Sequence[Probed], *, results: str | Path = "results") -> Probe:
    """Probe the places of `parts`, and write what was seen to `results`/probe.json.

    Raises:
        InputError: HF_HUB_OFFLINE forbids the network.
    """
    if is_offline():
        raise InputError("probe: the hub must be asked, and HF_HUB_OFFLINE forbids it; unset it")
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free
    packages = [(part.owner, [place for place in part.fetch if place.kind == "package"]) for part in parts]
    index_faults = reach(packages).faults
    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = threads.map(lambda part: _probe(part, free=free), parts)
        records = list(progress(found, "probe", total=len(parts), unit="places"))
    if index_faults:
        first = next(number for number, (_, places) in enumerate(packages) if places)
        records[first] = records[first]._replace(faults=(*records[first].faults, *index_faults))
    write_probe(Path(results, PROBE), records)
    return Probe(tuple(records), free)


def lines_of(probe: Probe) -> Iterator[str]:
    """Yield a line for each record, its faults and remarks below it, and one for all."""
    for record in probe.records:
        missing = sum(place.missing_bytes for place in record.places)
        files = sum(place.files for place in record.places)
        said = [
            f"{files:,} files",
            f"{_gb(record.bytes)} ({_gb(missing)} to fetch, {_gb(probe.free_bytes)} free)",
            _rows_said(record),
            f"commit {record.commit[:SHOWN_DIGITS]}" if record.commit else "",
        ]
        yield f"{'fault' if record.faults else 'ok':<6}{record.kind} {record.name}: {', '.join(filter(None, said))}"
        yield from (f"      fault: {fault}" for fault in record.faults)
        yield from (f"      remark: {remark}" for remark in record.remarks)
    failed = sum(bool(record.faults) for record in probe.records)
    missing = sum(place.missing_bytes for record in probe.records for place in record.places)
    read = sum(record.read_bytes for record in probe.records)
    yield (
        f"{len(probe.records)} probed, {failed} with faults; {_gb(missing)} to fetch, {_gb(probe.free_bytes)} free; "
        f"{read / 1e6:,.1f} MB of files were read for this"
    )


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
        key=reading_key(part),
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
    files = [file for place in places for file in place.files]
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
    return f"{size / GB:,.1f} GB" if size >= GB else f"{size / 1e6:,.1f} MB"
