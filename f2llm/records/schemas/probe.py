"""`results/probe.json`: what was seen of the places of sources, models and tasks, before anything is fetched."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from f2llm.records.files import read_json, write_json

PROBE = "probe.json"  # below results/
FORMAT = 1


class ProbedPlace(NamedTuple):
    """One place: how the lock file names it, its commit ("" where there is none), its files and their bytes."""

    place: str
    commit: str
    files: int
    bytes: int  # of those whose size is said
    missing_bytes: int  # of these what is not in the store yet


class ProbedRows(NamedTuple):
    """Rows of a source, judged by the heads of its files; equal texts of different heads are counted twice.

    `queries` and `passages` are None where they lie in different files, of which heads show nothing together. Bytes
    are means of a text.
    """

    rows: int
    exact: bool  # whether footers of all files say so
    queries: int | None
    passages: int | None
    query_bytes: float
    passage_bytes: float


class ProbeRecord(NamedTuple):
    """What a probe saw of one source, model or task (`kind`).

    `key` names what is read of it (`f2llm.config.fetch.reading_key`), `date` is that of UTC, `columns` are those of
    the files of each pattern, `read_bytes` what their heads took of the network.
    """

    kind: str
    name: str
    key: str
    date: str
    places: tuple[ProbedPlace, ...]
    rows: ProbedRows | None
    columns: Mapping[str, list[str]]
    read_bytes: int
    faults: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(place.bytes for place in self.places)

    @property
    def commit(self) -> str:
        """The commit of its first repository; "" if it has none."""
        return next((place.commit for place in self.places if place.commit), "")


def read_probe(path: str | Path) -> list[ProbeRecord]:
    """The records of a file; none where there is no file or one of another format."""
    if not Path(path).is_file():
        return []
    content = read_json(path)
    return [_record(**entry) for entry in content["probed"]] if content.get("format") == FORMAT else []


def write_probe(path: str | Path, records: Iterable[ProbeRecord]) -> None:
    """Write records in the order of kinds and names; those that the file has of others stay."""
    kept = {(record.kind, record.name): record for record in [*read_probe(path), *records]}
    write_json(path, {"format": FORMAT, "probed": [_plain(record) for _, record in sorted(kept.items())]})


def _plain(record: ProbeRecord) -> dict[str, object]:
    rows = record.rows._asdict() if record.rows else None
    return record._asdict() | {"places": [place._asdict() for place in record.places], "rows": rows}


def _record(*, places: list[dict[str, object]], rows: dict[str, object] | None, **more: object) -> ProbeRecord:
    lists = {name: tuple(more.pop(name)) for name in ("faults", "remarks")}  # type: ignore[arg-type] - of JSON
    whole = ProbedRows(**rows) if rows else None  # type: ignore[arg-type]
    return ProbeRecord(places=tuple(ProbedPlace(**place) for place in places), rows=whole, **more, **lists)  # type: ignore[arg-type]
