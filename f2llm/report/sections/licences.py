"""Section: what the licences ask of who uses the data or the model, by the terms of their SPDX ids. No legal advice."""

from collections.abc import Mapping
from typing import Any

from f2llm.config.licences import named
from f2llm.config.models import Model
from f2llm.config.sources import Source
from f2llm.records.files import read_json
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, LONG, TEXT, ReportTable, columns
from f2llm.runs.withheld import withheld

CREDIT = "name the authors"
NOTICE = "keep the licence text and notices"
ALIKE = "share what is made from it under the same licence"
NO_COMMERCE = "no commercial use"
NO_CHANGE = "no sharing of changed versions"
OPEN_SOURCE = "give the source code with copies"
FREE = "none"
READ = "read its terms"
# Beginnings of SPDX ids -> obligations (spdx.org/licenses and the licences' own texts); the first that fits.
TERMS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("CC-BY-NC-ND-",), (CREDIT, NO_COMMERCE, NO_CHANGE)),
    (("CC-BY-NC-SA-",), (CREDIT, NO_COMMERCE, ALIKE)),
    (("CC-BY-NC-",), (CREDIT, NO_COMMERCE)),
    (("CC-BY-ND-",), (CREDIT, NO_CHANGE)),
    (("CC-BY-SA-", "ODbL-"), (CREDIT, ALIKE)),
    (("CC-BY-", "ODC-By-"), (CREDIT,)),
    (("CC0-", "PDDL-", "Unlicense", "0BSD"), (FREE,)),
    (("CDLA-Permissive-", "Apache-", "MIT", "BSD-", "ISC", "Unicode-"), (NOTICE,)),
    (("MPL-", "LGPL-"), (NOTICE, OPEN_SOURCE)),
    (("GPL-", "AGPL-"), (NOTICE, OPEN_SOURCE, ALIKE)),
)
LICENCES = (
    *columns(TEXT, "name", "use", "licence", "commercial"),
    *columns(LONG, obligations="asks for"),
    *columns(COUNT, tuples="tuples trained on"),
    *columns(LONG, files="files (sha256)", note="note and reference", citation="cite"),
)
OBLIGATIONS = (*columns(TEXT, "obligation"), *columns(LONG, names="because of"))
FILES_NAMED = 3


def obligations_of(licence: str) -> tuple[str, ...]:
    """The obligations of an SPDX expression; of a choice (OR) all are named, since who uses it chooses."""
    obligations: dict[str, None] = {}
    for part in named(licence) if licence else ():
        obligations |= dict.fromkeys(next((terms for starts, terms in TERMS if part.startswith(starts)), (READ,)))
    if len(obligations) > 1:
        obligations.pop(FREE, None)
    return tuple(obligations) or (READ,)


def _licences(run: ReportedRun) -> list[tuple]:
    """Rows of LICENCES: the sources that were trained on or scored on, then the models."""
    layout, tuples = run.layout, {row.source: row.trained for row in run.funnel}
    rows = []
    for use, sources in (("trained on", layout.sources), ("scored on", run.heldout)):
        for source in sources:
            manifest: Mapping[str, Any] = {}
            with run.gaps.noting(f"{source.name}, files"):
                manifest = read_json(layout.source(source.name) / "manifest.json")
            files = f"{_files(manifest)}{_choice(source)}"
            rows.append(_row(use, source, tuples=tuples.get(source.name), files=files))
    for use, model in (("backbone", layout.backbone), ("retriever", layout.retriever)):
        place = withheld(model.fetch.package or model.fetch.repository or model.fetch.url or model.fetch.path)
        digest = model.fetch.sha256 or model.fetch.revision
        rows.append(_row(use, model, tuples=None, files=f"{place} ({digest[:12]})"))
    return rows


def _row(use: str, stanza: Source | Model, *, tuples: int | None, files: str) -> tuple:
    licence = stanza.licence
    note = withheld(" ".join(f"{licence.note} {stanza.reference}".split()))
    citation = withheld(getattr(stanza, "citation", ""))
    asked = "; ".join(obligations_of(licence.id))
    if licence.commercial == "no" and NO_COMMERCE not in asked:
        asked = f"{NO_COMMERCE}; {asked}"
    return (stanza.name, use, licence.id, licence.commercial, asked, tuples, files, note, citation)


def _files(manifest: Mapping[str, Any]) -> str:
    files = manifest.get("files", [])
    named = [f"{withheld(file['name'])} ({file['sha256'][:12]})" for file in files[:FILES_NAMED]]
    return ", ".join(named) + (f" and {len(files) - FILES_NAMED} more" if len(files) > FILES_NAMED else "")


def _choice(source: Source) -> str:
    chosen = sum(place.shards or 0 for place in source.fetch)
    return f"; {chosen} files chosen by a hash of their names (`shards`)" if chosen else ""


def licences_section(run: ReportedRun) -> Section:
    """Under which licences data and models are, and what these ask for."""
    rows, asked = _licences(run), dict[str, list[str]]()
    for name, use, _, _, obligations, *_ in rows:
        for obligation in obligations.split("; ") if use != "scored on" else ():
            asked.setdefault(obligation, []).append(name)
    listed = [
        (obligation, ", ".join(dict.fromkeys(names))) for obligation, names in asked.items() if obligation != FREE
    ]
    tables = {"licences": ReportTable(LICENCES, rows), "obligations": ReportTable(OBLIGATIONS, sorted(listed))}
    sources, warnings = run.layout.sources, []
    if unclear := [
        f"{source.name} ({licence})" for source in sources if (licence := source.licence.commercial) != "yes"
    ]:
        allowed = f"{len(unclear)} of {len(sources)} sources do not clearly allow commercial use"
        warnings = [f"{allowed}: {', '.join(unclear)}."]
    return Section(tables, {}, {"barred": run.layout.barred}, ("results/sources/*/manifest.json",), warnings)
