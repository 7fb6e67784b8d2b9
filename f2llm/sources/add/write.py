"""Look at a file, folder or repository of the hub, and write the stanza that reads it, each guess with its reason."""

import itertools
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from f2llm.config.fetch import Fetch
from f2llm.config.licences import OWN, canonical
from f2llm.config.rights import Licence
from f2llm.fetch import hub
from f2llm.fetch.cache import CACHE
from f2llm.fetch.databases import is_database, tables_of
from f2llm.fetch.fetch import Fetched, fetch_files, local_path
from f2llm.records.errors import InputError
from f2llm.records.files import atomic_path, sha256_file
from f2llm.rows.archives import RawFile, raw_files
from f2llm.rows.json_rows import parse_json
from f2llm.rows.layout import (
    DELIMITERS,
    JSON_LINES,
    SUFFIXES,
    WORKBOOKS,
    Flaw,
    RowFile,
    RowLayout,
    Values,
    holds_rows,
    is_beside,
)
from f2llm.rows.reader import sound_rows
from f2llm.rows.tables import filled_sheets
from f2llm.sources.add.files import HELD_OUT, judgements, train_files
from f2llm.sources.add.guess import Guess, guess
from f2llm.sources.check import STANZAS, SourceCheck, as_text, check_files, load_source
from f2llm.sources.probe.heads import write_heads
from f2llm.sources.probe.part import Probed
from f2llm.sources.probe.places import SeenPlace, look_at
from f2llm.sources.probe.remote import Budget

ROWS = 1000  # that are guessed from
RECORDS = 20_000  # that are checked
MOST_BYTES = 8 << 20  # of a file of the hub
CONVERTED = "refs/convert/parquet"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LINE_TOP = 120
MARKS = ";\t|,"  # that may separate columns
MOST_WORDS = 4  # of the name of a column
# Licences that allow commercial use, named by SPDX; of others it is not known without reading them.
FREE = frozenset("MIT Apache-2.0 BSD-2-Clause BSD-3-Clause CC0-1.0 CC-BY-3.0 CC-BY-4.0 ODC-By-1.0 PDDL-1.0".split())


class Origin(NamedTuple):
    """What was looked at: the place as a stanza names it, its files in a local folder, and what to say of them."""

    fetch: dict[str, Any]
    files: list[Fetched]
    reference: str
    licence: Licence
    remarks: list[str]
    whole: bool  # whether the files are those of the place, and not their first rows


class AddedSource(NamedTuple):
    """A stanza that was written, and what its source holds."""

    path: Path
    checked: SourceCheck
    remarks: list[str]


def add_source(place: str, *, name: str = "", stanzas: Path = STANZAS) -> AddedSource:
    """Write the stanza of a file, a folder or `owner/name` of the hub to the folder `stanzas`.

    Of the hub the listing is read and the first rows of one file. What is written has passed the schema and the check
    of these rows.

    Raises:
        InputError: no such place, or one outside of the working directory; a stanza of this name is there; nothing can
            be read or recognised. Nothing is written then.
    """
    name = name or re.sub(r"[^a-z0-9]+", "_", Path(place).name.split(".")[0].lower()).strip("_")
    path = stanzas / f"{name}.yaml"
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise InputError(f"{name or place}: no name for a source; give one of a-z, 0-9 and _ with --name")
    if path.exists():
        raise InputError(f"{path}: is there already; give another name with --name, or delete it")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".add-", suffix=".part", dir=CACHE) as work:
        raw = Path(work, "raw")
        raw.mkdir()
        origin = _look(place, raw, owner=f"source {name}")
        guessed, remarks = _guess(origin, raw, place=place)
        text = stanza_text(name, origin, guessed, remarks)
        draft = Path(work, path.name)
        draft.write_text(text, encoding="utf-8")
        checked = check_files(load_source(str(draft)), origin.files, raw=raw, rows=RECORDS)
        with atomic_path(path) as aside:
            aside.write_text(text, encoding="utf-8")
    if not origin.whole:
        checked = checked._replace(files=[], complete=False)
    return AddedSource(path, checked, [*origin.remarks, *remarks])


def _guess(origin: Origin, raw: Path, *, place: str) -> tuple[Guess, list[str]]:
    """What the files are for, and how else they could be read."""
    if qrels := judgements([file.name for file in origin.files]):
        why = {"task": "files of a corpus, of queries and of judgements, as BEIR has them", "qrels": "by its name"}
        given = "Given a query, retrieve passages that answer it."
        return Guess("retrieval", "beir", {"qrels": qrels}, given, "smallest id of a positive", why), []
    with raw_files(raw, [file.name for file in origin.files]) as files:
        layout, rows, remarks = first_rows(files)
    try:
        guessed = guess(rows)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    return guessed._replace(options=guessed.options | layout), remarks


def as_lines(added: AddedSource) -> str:
    """What was written and what it reads, for a person."""
    remarks = [f"  {remark}" for remark in added.remarks]
    after = f"read and correct {added.path}, then: f2llm check-source {added.checked.source.name}"
    return "\n".join([f"{added.path}: written", *remarks, as_text(added.checked), after])


def first_rows(files: Sequence[RawFile]) -> tuple[dict[str, Any], list[Values], list[str]]:
    """The first rows of the first file that holds rows, the options that read it, and what else could be chosen.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    place = next((RowFile(file) for file in files if not is_beside(file.name)), None)
    if place is None:
        names = ", ".join(file.name for file in files[:8]) or "an empty folder"
        raise InputError(f"no rows are read of {names}; take files of {', '.join(SUFFIXES)}, or unpack them")
    options: dict[str, Any] = {}
    remarks = []
    if place.suffix in WORKBOOKS and len(sheets := filled_sheets(place)) > 1:
        options["sheet"] = sheets[0]
        remarks.append(f"{place.name} has the sheets {', '.join(map(repr, sheets))}; the first is taken")
    elif place.suffix in (*JSON_LINES, ".json") and (entries := _entries_of_first_line(place)):
        options["columns"] = [f"column_{number}" for number in range(1, entries + 1)]
        remarks.append(f"the rows of {place.name} are lists; their entries are named by their place, see `columns`")
    elif place.suffix in DELIMITERS and (mark := _other_delimiter(place)):
        options["delimiter"] = mark
    rows = _rows(place, options)
    if not rows:
        raise InputError(f"{place.where}: it holds no rows")
    if place.suffix in (*DELIMITERS, *WORKBOOKS) and any(len(name.split()) > MOST_WORDS for name in rows[0]):
        remarks.append(
            f"The first row of {place.name} reads like data; if the file has no header, name all columns in `columns`."
        )
    return options, rows, remarks


def stanza_text(name: str, origin: Origin, guessed: Guess, remarks: Sequence[str]) -> str:
    """The YAML of a stanza, with a comment above each key that is a guess."""
    why, licence = guessed.why, origin.licence
    parts = [
        f"# Written by f2llm add-source after a look at the data. Read it, correct it, then: f2llm check-source {name}"
    ]
    parts += _comments([*origin.remarks, *remarks])
    parts.append(_yaml({"name": name}))
    parts += [*_guessed(why.get("task", "")), _yaml({"task": guessed.task}), _yaml({"fetch": [origin.fetch]})]
    parts += [_yaml({"adapter": guessed.adapter}), "options:"]
    for option, value in guessed.options.items():
        lines = [*_guessed(why.get(option, "")), *_yaml({option: value}).split("\n")]
        parts += [f"  {line}" for line in lines]
    parts += ["# A guess: say in one sentence what the model is to do.", _yaml({"instruction": guessed.instruction})]
    if licence.commercial == "unknown":
        parts.append("# Not known: say yes or no once you know what its licence allows.")
    stated = {"id": licence.id, "commercial": licence.commercial, "note": licence.note}
    parts += [_yaml({"licence": stated}), _yaml({"reference": origin.reference})]
    parts += [
        *_guessed(why.get("group", "rows of one group never straddle train, dev and test")),
        _yaml({"group": guessed.group}),
    ]
    return "\n".join(parts) + "\n"


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=LINE_TOP).rstrip("\n")


def _guessed(reason: str) -> list[str]:
    return _comments([f"Guessed: {reason}."]) if reason else []


def _comments(lines: Sequence[str]) -> list[str]:
    return [f"# {' '.join(line.split())}" for line in lines]  # one line each, whatever names hold


def _look(place: str, raw: Path, *, owner: str) -> Origin:
    """The files of a place in the folder `raw`, or the first rows of one of them."""
    if not Path(place).exists() and REPOSITORY.fullmatch(place) and not holds_rows(place):
        return _look_at_hub(place, raw, owner=owner)
    here = Path.cwd()
    below = Path(place).is_absolute() and Path(place).is_relative_to(here)
    origin = local_path(str(Path(place).relative_to(here)) if below else place, owner=owner)
    unknown = Licence(id=f"{OWN}Unknown", commercial="unknown", note="Nothing states it.")
    if not is_database(origin):
        fetch = {"kind": "local", "path": origin.as_posix()}
        files = fetch_files([Fetch(**fetch)], raw, owner=owner)
        held_out = [file.name for file in files if len(files) > 1 and HELD_OUT.search(file.name)]
        remarks = [f"All files are read, {', '.join(held_out)} too; name the file of train to leave them out."]
        return Origin(fetch, files, place, unknown, remarks if held_out else [], whole=True)
    tables = tables_of(origin)
    if not tables:
        raise InputError(f"{place}: the database has no table that can be read")
    table = max(sorted(tables), key=lambda name: tables[name])
    fetch = {"kind": "sql", "path": origin.as_posix(), "query": f"SELECT * FROM {table}"}
    listed = ", ".join(f"{name} ({count:,} rows)" for name, count in tables.items())
    # More rows than are checked would be sorted for nothing.
    few = {"query": f"{fetch['query']} LIMIT {RECORDS}"} if tables[table] > RECORDS else {}
    files = fetch_files([Fetch(**fetch | few)], raw, owner=owner)
    return Origin(fetch, files, place, unknown, [f"Tables: {listed}; the largest is taken."], whole=not few)


def _look_at_hub(repository: str, raw: Path, *, owner: str) -> Origin:
    budget = Budget(MOST_BYTES)

    def listed(branch: str) -> SeenPlace:
        fetch = Fetch(kind="hub", repository=repository, branch=branch, files=("*",))
        return look_at(fetch, owner=owner, budget=budget)

    seen = listed("")
    if seen.faults:
        raise InputError(list(seen.faults))
    if not train_files([file.name for file in seen.files]).names and not (converted := listed(CONVERTED)).faults:
        seen = converted
    chosen = train_files([file.name for file in seen.files])
    if not chosen.names:
        names = ", ".join(file.name for file in seen.files[:8])
        raise InputError(f"{owner}: {repository}: no files of rows in it ({names}); take a data set that has them")
    if judgements([file.name for file in seen.files]):
        raise InputError(
            f"{owner}: {repository}: files of a corpus, of queries and of judgements, which heads of files say nothing "
            "of; write the stanza after config/sources/fiqa.yaml, with the adapter beir"
        )
    files = [file._replace(pattern=chosen.pattern) for file in seen.files if file.name in chosen.names]
    smallest = min(files, key=lambda file: (file.bytes or 0, file.name))
    # All columns: what the stanza will name is not known yet.
    part = Probed(kind="source", name=owner, fetch=(), licence=None, adapter="pairs", options={"negatives": ["*"]})
    heads = write_heads(part, [smallest], folder=raw, budget=budget)
    if not any(head.seen for head in heads.heads):
        raise InputError(
            [f"{owner}: {repository}: {remark}" for remark in heads.remarks]
            or f"{owner}: {repository}: {smallest.name}: no rows of it can be seen without fetching it"
        )
    written = [
        Fetched("hub", "", "", name, (raw / name).stat().st_size, sha256_file(raw / name)) for name in heads.names
    ]
    fetch = {"kind": "hub", "repository": repository, "revision": seen.facts.commit, "files": [chosen.pattern]}
    size = sum(file.bytes or 0 for file in files)
    others = f"; there are also {', '.join(chosen.others)}" if chosen.others else ""
    remarks = [
        f"{len(files)} file{'s' * (len(files) != 1)} like {chosen.pattern}, {size:,} bytes{others}.",
        f"Guessed from the first rows of {smallest.name}.", *seen.remarks,
    ]  # fmt: skip
    reference = f"{hub.ENDPOINT}/datasets/{repository}"
    return Origin(fetch, written, reference, _rights(seen.licence, seen.facts.commit), remarks, whole=False)


def _rights(card: str, commit: str) -> Licence:
    """The licence of a card as a stanza states it."""
    note = f"The card says {card!r} at commit {commit}." if card else f"The card states none at commit {commit}."
    try:
        spdx = canonical(card)
    except InputError:
        words = re.sub(r"[^A-Za-z0-9.]+", "-", card).strip("-")
        return Licence(id=f"{OWN}{words or 'Not-Stated'}", commercial="unknown", note=note)
    return Licence(id=spdx, commercial="no" if "-NC" in spdx else "yes" if spdx in FREE else "unknown", note=note)


def _rows(place: RowFile, options: dict[str, Any]) -> list[Values]:
    first = itertools.islice(sound_rows(place, RowLayout(**options)), ROWS)
    return [row.values if isinstance(row, Flaw) else row for row in first]


def _other_delimiter(place: RowFile) -> str:
    """What separates the names in the header, where it is not what the suffix says; else ""."""
    with place.file.text(place.member) as text:
        header = next((line for line in text if line.strip()), "")
    usual = DELIMITERS[place.suffix]
    mark = max((usual, *MARKS), key=header.count)
    return mark if mark != usual and header.count(mark) > header.count(usual) else ""


def _entries_of_first_line(place: RowFile) -> int:
    """How many entries the first row has, where it is a list and no object; else 0."""
    with place.file.text(place.member) as text:
        line = next((line for line in text if line.strip()), "")
    try:
        value = parse_json(line)
    except ValueError:
        return 0
    inner = (
        value[0]
        if place.suffix == ".json" and isinstance(value, list) and value and isinstance(value[0], list)
        else value
    )
    return len(inner) if isinstance(inner, list) and not any(isinstance(entry, dict) for entry in inner) else 0
