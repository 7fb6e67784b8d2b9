"""Section: what the licences ask of who uses the data or the model, by the terms of their SPDX ids. No legal advice."""

from collections.abc import Mapping, Sequence
from typing import Any

from f2llm.config.licences import named
from f2llm.config.models import Model
from f2llm.config.sources import Source
from f2llm.records.files import read_json
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, LONG, TEXT, Column, ReportTable
from f2llm.runs.withheld import withheld

CREDIT = "name the authors"
NOTICE = "keep the licence text and notices"
ALIKE = "share what is made from it under the same licence"
NO_COMMERCE = "no commercial use"
NO_CHANGE = "no sharing of changed versions"
OPEN_SOURCE = "give the source code with copies"
FREE = "none"
READ = "read its terms"
# Beginning of an SPDX id -> obligations (spdx.org/licenses and the licences' own texts); the first that fits.
TERMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("CC-BY-NC-ND-", (CREDIT, NO_COMMERCE, NO_CHANGE)),
    ("CC-BY-NC-SA-", (CREDIT, NO_COMMERCE, ALIKE)),
    ("CC-BY-NC-", (CREDIT, NO_COMMERCE)),
    ("CC-BY-ND-", (CREDIT, NO_CHANGE)),
    ("CC-BY-SA-", (CREDIT, ALIKE)),
    ("CC-BY-", (CREDIT,)),
    ("CC0-", (FREE,)),
    ("PDDL-", (FREE,)),
    ("Unlicense", (FREE,)),
    ("0BSD", (FREE,)),
    ("ODC-By-", (CREDIT,)),
    ("ODbL-", (CREDIT, ALIKE)),
    ("CDLA-Permissive-", (NOTICE,)),
    ("Apache-", (NOTICE,)),
    ("MIT", (NOTICE,)),
    ("BSD-", (NOTICE,)),
    ("ISC", (NOTICE,)),
    ("Unicode-", (NOTICE,)),
    ("MPL-", (NOTICE, OPEN_SOURCE)),
    ("LGPL-", (NOTICE, OPEN_SOURCE)),
    ("GPL-", (NOTICE, OPEN_SOURCE, ALIKE)),
    ("AGPL-", (NOTICE, OPEN_SOURCE, ALIKE)),
)
LICENCES = (
    Column("name", "name", TEXT),
    Column("use", "use", TEXT),
    Column("licence", "licence", TEXT),
    Column("commercial", "commercial", TEXT),
    Column("obligations", "asks for", LONG),
    Column("tuples", "tuples trained on", COUNT),
    Column("files", "files (sha256)", LONG),
    Column("note", "note and reference", LONG),
    Column("citation", "cite", LONG),
)
OBLIGATIONS = (
    Column("obligation", "obligation", TEXT),
    Column("names", "because of", LONG),
)
FILES_NAMED = 3


def obligations_of(licence: str) -> tuple[str, ...]:
    """The obligations of an SPDX expression; of a choice (OR) all are named, since who uses it chooses."""
    obligations: dict[str, None] = {}
    for part in named(licence) if licence else ():
        obligations |= dict.fromkeys(next((terms for start, terms in TERMS if part.startswith(start)), (READ,)))
    if len(obligations) > 1:
        obligations.pop(FREE, None)
    return tuple(obligations) or (READ,)


def licence_tables(
    trained: Sequence[Source],
    scored: Sequence[Source],
    models: Mapping[str, Model],
    *,
    tuples: Mapping[str, int | None],
    manifests: Mapping[str, Mapping[str, Any]],
) -> dict[str, ReportTable]:
    """The tables `licences` and `obligations`.

    `models` maps a use to a model, `tuples` sources to tuples that were trained on, `manifests` sources to what
    their fetching recorded.
    """
    rows = [
        _row(source.name, use, source, tuples=tuples.get(source.name), files=_files(manifests.get(source.name, {})))
        for use, sources in (("trained on", trained), ("scored on", scored))
        for source in sources
    ]
    for use, model in models.items():
        place = withheld(model.fetch.package or model.fetch.repository or model.fetch.url or model.fetch.path)
        digest = model.fetch.sha256 or model.fetch.revision
        rows.append(_row(model.name, use, model, tuples=None, files=f"{place} ({digest[:12]})"))
    asked: dict[str, list[str]] = {}
    for row in rows:
        for obligation in row[4].split("; ") if row[1] != "scored on" else ():
            asked.setdefault(obligation, []).append(row[0])
    listed = [
        (obligation, ", ".join(dict.fromkeys(names))) for obligation, names in asked.items() if obligation != FREE
    ]
    return {"licences": ReportTable(LICENCES, rows), "obligations": ReportTable(OBLIGATIONS, sorted(listed))}


def _row(name: str, use: str, stanza: Source | Model, *, tuples: int | None, files: str) -> tuple:
    licence = stanza.licence
    note = withheld(" ".join(f"{licence.note} {stanza.reference}".split()))
    citation = withheld(getattr(stanza, "citation", ""))
    asked = "; ".join(obligations_of(licence.id))
    if licence.commercial == "no" and NO_COMMERCE not in asked:
        asked = f"{NO_COMMERCE}; {asked}"
    return (name, use, licence.id, licence.commercial, asked, tuples, files, note, citation)


def _files(manifest: Mapping[str, Any]) -> str:
    files = manifest.get("files", [])
    named = [f"{withheld(file['name'])} ({file['sha256'][:12]})" for file in files[:FILES_NAMED]]
    return ", ".join(named) + (f" and {len(files) - FILES_NAMED} more" if len(files) > FILES_NAMED else "")


def licences_section(run: ReportedRun) -> Section:
    """Under which licences data and models are, and what these ask for."""
    layout, manifests = run.layout, {}
    for source in (*layout.sources, *run.heldout):
        with run.gaps.noting(f"{source.name}, files"):
            manifests[source.name] = read_json(layout.source(source.name) / "manifest.json")
    tables = licence_tables(
        layout.sources,
        run.heldout,
        {"backbone": layout.backbone, "retriever": layout.retriever},
        tuples={row.source: row.trained for row in run.funnel},
        manifests=manifests,
    )
    unclear = [source for source in layout.sources if source.licence.commercial != "yes"]
    warnings = [
        f"{len(unclear)} of {len(layout.sources)} sources do not clearly allow commercial use: "
        + ", ".join(f"{source.name} ({source.licence.commercial})" for source in unclear)
        + "."
    ] if unclear else []  # fmt: skip
    return Section(tables, {}, {"barred": layout.barred}, ("results/sources/*/manifest.json",), warnings)
