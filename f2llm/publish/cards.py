"""Model card and data card of a finished run, with the fields that the hub reads.

The model folder has a card of its own since training. It stays as it is, since manifests hash the folder; this one
repeats it and adds what is known after evaluation. `f2llm push` uploads it in the other's place.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.config.curate import Curate
from f2llm.config.licences import OTHER, canonical
from f2llm.config.run import Energy
from f2llm.config.sources import Source
from f2llm.publish.croissant import write_croissant
from f2llm.publish.energy import JobEnergy, assumptions, estimate_energy
from f2llm.publish.licences import hub_name
from f2llm.publish.scores import evaluation_results, languages_of, mteb_version, read_scoreboard, score_table
from f2llm.records.errors import InputError
from f2llm.records.files import atomic_path, read_json
from f2llm.records.schemas.publish import ENERGY
from f2llm.records.schemas.sources import SkippedSources
from f2llm.records.tables import write_rows
from f2llm.runs.funnel import Funnel, read_contamination, read_funnel
from f2llm.runs.gaps import NoGaps
from f2llm.runs.layout import Layout, read_layout
from f2llm.runs.manifests import newest, read_content
from f2llm.runs.skipped import read_skipped

TEMPLATES = Path(__file__).parent / "templates"
CARD = "README.md"  # of a model's folder, of a submission
MODEL_CARD, DATA_CARD, CROISSANT, ENERGY_TABLE = "model_card.md", "data_card.md", "croissant.json", "energy.parquet"
TAGS = ("sentence-transformers", "feature-extraction", "sentence-similarity", "mteb", "f2llm")
# The hub's size categories: an upper bound of rows, and the name below it.
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGEST = "10M<n<100M"


def write_cards(
    results: str | Path,
    *,
    run: str,
    tasks: Sequence[Task],
    heldout: Sequence[Source],
    jobs: Sequence[str | Path],
    energy: Energy,
    folder: str | Path,
) -> dict[str, Any]:
    """Write both cards, the Croissant file and the table of energy of a run into `folder`; return counts.

    `tasks` are those that the run was scored on, `heldout` the sources that it is only scored on, `jobs` the manifests
    of all its jobs.

    Raises:
        InputError: no such run, no scores of it, or a table is missing.
    """
    layout, folder = read_layout(results, run=run), Path(folder)
    board = read_scoreboard(layout.results, run=run)
    manifests = [read_content(path) for path in jobs]
    estimates = estimate_energy(manifests, energy=energy)
    curate = build(Curate, layout.content["settings"]["curate"])
    try:
        funnel = read_funnel(layout, jobs=manifests, gaps=NoGaps(layout.results))
        skipped = read_skipped(layout, heldout)
        texts = {
            "statement": _statement(layout, funnel, manifests, curate=curate, skipped=skipped),
            "energy": energy_text(estimates, energy=energy),
        }
        body = _body(layout.of_run("model") / CARD)
    except FileNotFoundError as error:
        raise InputError(
            f"cards: {error.filename or error} is missing; `snakemake --cores all forms` makes it"
        ) from None
    write_rows(folder / ENERGY_TABLE, schema=ENERGY, rows=estimates)
    _write(folder / MODEL_CARD, _model_card(layout, board, tasks, body=body, texts=texts))
    _write(folder / DATA_CARD, _data_card(layout, board, funnel, curate=curate, skipped=skipped, texts=texts))
    write_croissant(folder / CROISSANT, layout=layout, description=texts["statement"], published=newest(jobs))
    return {
        "tuples": sum(row.tuples for row in funnel),
        "tuples_trained": sum(row.trained for row in funnel),
        "kwh": round(sum(row.kwh for row in estimates), 6),
        "grams_co2": round(sum(row.grams for row in estimates), 3),
    }


def write_submission_card(summary: str | Path, *, tasks: Sequence[Task], model: str | Path, folder: str | Path) -> None:
    """Write README.md of a submission into `folder`: the trained model's own card with the scores of all models.

    `summary` is scoreboard.json; the scores of its run go into the metadata. A model without a card gets one.
    """
    from huggingface_hub import ModelCard

    board, card = read_json(summary), Path(model, CARD)
    scored = ModelCard(card.read_text(encoding="utf-8") if card.is_file() else "")
    scored.data.model_name = board["run"]
    scored.data.eval_results = evaluation_results(board, tasks)
    scored.data.tags = list(dict.fromkeys([*(scored.data.tags or ()), "mteb"]))
    table = score_table(board, columns=("task", "metric"))
    scored.text = f"{scored.text.rstrip()}\n\n## Scores\n\nMain scores of mteb, in points.\n\n{table}\n"
    _write(Path(folder, CARD), str(scored))


def energy_text(estimates: Sequence[JobEnergy], *, energy: Energy) -> str:
    """The estimate as Markdown: the sum, the rules that took most, and what is assumed."""
    kwh, grams = sum(row.kwh for row in estimates), sum(row.grams for row in estimates)
    rules: dict[str, list[JobEnergy]] = {}
    for row in estimates:
        rules.setdefault(row.rule, []).append(row)
    ordered = sorted(rules.items(), key=lambda item: (-sum(row.kwh for row in item[1]), item[0]))
    lines = [
        f"About {kwh:.3g} kWh and {grams:.3g} g of CO2 equivalents, estimated from the time and memory of "
        f"{len(estimates)} jobs; nothing was measured at a meter, and the making of the machines is not counted.",
        "",
        "| rule | jobs | core hours | GPU hours | kWh | g CO2 |",
        "|---|---|---|---|---|---|",
        *(_rule_line(rule, jobs) for rule, jobs in ordered),
        "",
        "| assumed | value | default and its source |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in assumptions(energy)),
    ]
    return "\n".join(lines)


def size_category(rows: int) -> str:
    """The hub's size category of a number of rows."""
    return next((name for bound, name in SIZES if rows < bound), LARGEST)


def _rule_line(rule: str, jobs: Sequence[JobEnergy]) -> str:
    cores = sum(row.seconds * row.cores for row in jobs) / 3600
    gpus = sum(row.seconds * row.gpus for row in jobs) / 3600
    kwh, grams = sum(row.kwh for row in jobs), sum(row.grams for row in jobs)
    return f"| {rule} | {len(jobs)} | {cores:.4f} | {gpus:.4f} | {kwh:.5f} | {grams:.3f} |"


def _model_card(
    layout: Layout, board: Mapping[str, Any], tasks: Sequence[Task], *, body: str, texts: Mapping[str, str]
) -> str:
    from huggingface_hub import ModelCard, ModelCardData

    unclear = [source for source in layout.sources if source.licence.commercial != "yes"]
    licence = OTHER if unclear else hub_name([layout.backbone.licence.id])
    names = [row["task"] for row in board["tasks"]]
    data = ModelCardData(
        base_model=layout.backbone.fetch.repository or None,
        datasets=_repositories(layout.sources) or None,
        language=languages_of(layout.results, run=layout.run, tasks=names) or None,
        library_name="sentence-transformers",
        license=licence,
        license_name="rights-of-sources-differ" if licence == OTHER else None,
        pipeline_tag="sentence-similarity",
        tags=list(TAGS),
        model_name=layout.run,
        eval_results=evaluation_results(board, tasks) or None,
    )
    fields = {
        "body": body,
        "table": score_table(board, columns=("task", "type", "metric", "domain")),
        "mteb": mteb_version(layout.results, run=layout.run),
        "not_improved": ", ".join(board["tasks_not_improved"]),
        "skipped": ", ".join(map(str, board["tasks_skipped"])),
    }
    return str(ModelCard.from_template(data, template_path=str(TEMPLATES / "model_card.md.j2"), **fields, **texts))


def _data_card(
    layout: Layout,
    board: Mapping[str, Any],
    funnel: Sequence[Funnel],
    *,
    curate: Curate,
    skipped: SkippedSources,
    texts: Mapping[str, str],
) -> str:
    from huggingface_hub import DatasetCard, DatasetCardData

    trained = {source.name for source in layout.sources}
    in_domain = [row["task"] for row in board["tasks"] if row["source"] in trained]
    licence = hub_name([source.licence.id for source in layout.sources])
    data = DatasetCardData(
        language=languages_of(layout.results, run=layout.run, tasks=in_domain) or None,
        license=licence,
        size_categories=size_category(sum(row.tuples for row in funnel)),
        source_datasets=_repositories(layout.sources) or None,
        task_categories=["sentence-similarity", "feature-extraction"],
        pretty_name=f"Training tuples of {layout.run}",
        tags=["f2llm", "hard-negatives"],
    )
    fields = {
        "run": layout.run,
        "sources": [_source_cells(source) for source in layout.sources],
        "barred": "; ".join(f"{source.name} ({source.reason})" for source in layout.barred),
        "skipped": [f"{_cell(one.source)}: {_cell(one.reason)}" for one in skipped.sources],
        "counts": [_count_cells(*pair) for pair in zip(funnel, layout.sources, strict=True)],
        "curate": curate,
        "mine": layout.mine,
        "retriever": layout.retriever.name,
        "retriever_licence": canonical(layout.retriever.licence.id),
    }
    return str(DatasetCard.from_template(data, template_path=str(TEMPLATES / "data_card.md.j2"), **fields, **texts))


def _statement(
    layout: Layout,
    funnel: Sequence[Funnel],
    manifests: Sequence[Mapping[str, Any]],
    *,
    curate: Curate,
    skipped: SkippedSources,
) -> str:
    """What the model is trained on, and what it is not; `manifests` are those of the run's jobs.

    Every count of `funnel` that is used must be known: it is read without gaps.
    """
    unclear = sum(source.licence.commercial != "yes" for source in layout.sources)
    barred = [f"{len(layout.barred)} sources are left out by the licence policy."] if layout.barred else []
    return " ".join(
        [
            f"{sum(row.trained for row in funnel):,} tuples of a query, a positive and hard negatives, from "
            f"{sum(row.trained > 0 for row in funnel)} sources, and nothing else; "
            f"{sum(row.tuples for row in funnel):,} were mined.",
            f"{unclear} of {len(layout.sources)} sources do not clearly allow commercial use.",
            *barred,
            *([f"{summary}."] if (summary := skipped.summary()) else []),
            _contamination(layout, manifests, curate=curate),
        ]
    )


def _contamination(layout: Layout, manifests: Sequence[Mapping[str, Any]], *, curate: Curate) -> str:
    """Which evaluation texts were found in the sources, dropped and left, in words."""
    policy = curate.decontaminate.policy
    if policy == "off":
        return "Evaluation texts were not looked for among the sources' texts (policy of decontamination: off)."
    tasks = read_contamination(layout, manifests)
    dropped = [task.dropped for task in tasks if task.dropped]
    reported = [kept for task in tasks if (kept := task.reported + task.corpus)]
    return (
        f"Policy of decontamination: {policy}. Rows with texts of {len(dropped)} evaluation tasks were found and "
        f"dropped ({sum(dropped):,} findings); rows with texts of {len(reported)} tasks were found and reported, not "
        f"dropped ({sum(reported):,} findings, {sum(task.corpus for task in tasks):,} of them equal to a passage "
        "that a task searches)."
    )


def _count_cells(row: Funnel, source: Source) -> list[str]:
    """The rows of a source in the order of the card's columns; what is not known or not set is a dash."""
    counts = (row.raw, row.normalised, row.evaluation, source.max_queries)
    counts += (row.curated, row.passages_curated, row.tuples, row.trained)
    return [row.source, *("–" if count is None else str(count) for count in counts)]


def _source_cells(source: Source) -> tuple[str, ...]:
    licence = source.licence
    cells = (source.name, source.task, source.instruction, canonical(licence.id), licence.commercial, licence.note)
    return tuple(map(_cell, (*cells, source.reference)))


def _cell(text: str) -> str:
    """A text as one line that ends no cell of a table."""
    return " ".join(text.replace("|", "/").split())


def _repositories(sources: Sequence[Source]) -> list[str]:
    """The hub's data sets among what the sources are fetched from."""
    fetches = [fetch for source in sources for fetch in source.fetch]
    return sorted({fetch.repository for fetch in fetches if fetch.repository_type == "dataset"} - {""})


def _body(card: Path) -> str:
    text = card.read_text(encoding="utf-8")
    return (text.split("---\n", 2)[2] if text.startswith("---\n") else text).strip()


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as aside:
        aside.write_text(text.rstrip() + "\n", encoding="utf-8")
