"""The report of a run: one HTML file that needs no network and no knowledge of the code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.exclusions import EXCLUDED
from f2llm.config.sources import Source
from f2llm.errors import InputError
from f2llm.lineage import figures
from f2llm.lineage.curation import SIZES, hit_examples, read_contamination, read_shared
from f2llm.lineage.estimate import read_estimate
from f2llm.lineage.examples import cluster_example, removed_examples, tuple_examples
from f2llm.lineage.funnel import Funnel, read_funnel
from f2llm.lineage.layout import Layout, read_layout
from f2llm.lineage.marked import found_inside
from f2llm.lineage.mining import Mining, in_words, read_mining, rejected_examples
from f2llm.records.files import atomic_open, read_json
from f2llm.records.tables import read_metadata, read_table

TEMPLATES = Path(__file__).parent / "templates"
STAGE_OF_RULE = {
    "fetch_source": "fetch",
    "normalise_source": "fetch",
    "prepare_model": "fetch",
    "build_task": "evaluate",
    "curate_source": "curate",
    "index_texts": "curate",
    "check_splits": "curate",
    "find_shared": "curate",
    "audit_folder": "curate",
    "embed_source": "mine",
    "mine_source": "mine",
    "tokenise_source": "train",
    "plan_run": "train",
    "train_model": "train",
}
IN_DOMAIN = "in-domain"
HITS_SHOWN = 2  # of each task
MOSTLY_DROPPED = 0.5  # share of a source's queries lost in mining that the report warns about


class Validation(NamedTuple):
    """The loss on the held-out tuples of a source, before the first and after the last step."""

    source: str
    tuples: int
    before: float
    after: float


class Cost(NamedTuple):
    """Time of a stage's jobs, added up, and the highest memory of any of them."""

    stage: str
    jobs: int
    seconds: float
    peak_memory_mb: int


def build_report(
    results: str | Path, *, run: str, heldout: Sequence[Source], jobs: Sequence[str], output: str | Path
) -> dict[str, Any]:
    """Write the report of a run, and beside it tuples.html, a sample of its tuples to read.

    `heldout` are the sources only scored on, `jobs` the manifests of all jobs.

    Raises:
        InputError: a table is missing.
    """
    import jinja2

    layout = read_layout(results, run=run)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    try:
        content = _content(layout, heldout=heldout, jobs=[read_json(path) for path in sorted(jobs)])
    except FileNotFoundError as error:
        raise InputError(
            f"report: a table is missing ({error.filename or error}); `snakemake --cores all report` makes it"
        ) from None
    written = 0
    for template, path in (("tuples", Path(output).with_name("tuples.html")), ("report", Path(output))):
        html = environment.get_template(f"{template}.html.j2").render(content).encode()
        with atomic_open(path) as file:
            file.write(html)
        written += len(html)
    return {"bytes": written, "sources": len(layout.sources)}


def _content(layout: Layout, *, heldout: Sequence[Source], jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    funnel = read_funnel(layout)
    mining = _mining(layout, funnel, jobs)
    metrics = read_table(layout.of_run("metrics.parquet")).to_pydict()
    summary = read_json(layout.results / "scores" / "scoreboard.json")
    sources = [*layout.sources, *heldout]
    return {
        "run": layout,
        "funnel": funnel,
        "funnel_figure": figures.funnel_bars(
            {
                "normalised": [row.normalised for row in funnel],
                "curated": [row.curated for row in funnel],
                "mined": [row.tuples for row in funnel],
                "in the plan": [row.planned for row in funnel],
            },
            sources=[row.source for row in funnel],
        ),
        "published": any(row.published is not None for row in funnel),
        "released": _released(layout),
        "reasons": _reasons(funnel),
        "clusters": [cluster_example(layout, row.source) for row in funnel],
        "cluster_sizes": SIZES,
        "contamination": read_contamination(layout, jobs),
        "hits": [(hit, *found_inside(hit.text, hit.test_text)) for hit in hit_examples(layout, each=HITS_SHOWN)],
        "shared": read_shared(layout),
        "removed": {row.source: removed_examples(layout, row.source) for row in funnel},
        "mining": mining,
        "tuples": {row.source: tuple_examples(layout, row.source) for row in funnel},
        "rejected": {row.source: rejected_examples(layout, row.source) for row in funnel},
        "metrics": metrics,
        "loss_figure": figures.loss_curve(
            metrics["step"], {name.removeprefix("loss_"): metrics[name] for name in metrics if name.startswith("loss_")}
        ),
        "validation": _validation(layout),
        "summary": summary,
        "means": {model["role"]: model["means"] for model in summary["models"]},
        "rows": sorted(summary["tasks"], key=lambda row: (row["domain"] != IN_DOMAIN, row["type"], row["task"])),
        "manifests": {source.name: read_json(layout.source(source.name) / "manifest.json") for source in sources},
        "sources": sources,
        "costs": _costs(jobs),
        "estimate": read_estimate(layout.of_run("estimate.parquet")),
        "versions": jobs[-1]["versions"] if jobs else {},
        "platform": jobs[-1]["platform"] if jobs else "",
        "warnings": _skipped(layout, heldout) + _warnings(funnel, summary),
    }


def _reasons(funnel: Sequence[Funnel]) -> list[tuple[str, str, str, int]]:
    """Return (role, stage, reason, rows) over all sources, most first."""
    total: Counter[tuple[str, str, str]] = Counter()
    for row in funnel:
        total.update(row.removed)
    return [(*reason, rows) for reason, rows in sorted(total.items(), key=lambda item: (-item[1], item[0]))]


def _validation(layout: Layout) -> list[Validation]:
    """Return the first and last held-out loss of each source; empty where nothing is held out."""
    table = read_table(layout.of_run("validation.parquet"), columns=["step", "source", "loss", "tuples"])
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        rows.setdefault(row["source"], []).append(row)
    return [Validation(name, own[0]["tuples"], own[0]["loss"], own[-1]["loss"]) for name, own in sorted(rows.items())]


def _released(layout: Layout) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what the comparison of each source with published tuples found, where one was made."""
    files = [(source.name, layout.mined(source.name) / "released.json") for source in layout.sources]
    return [(name, read_json(path)) for name, path in files if path.is_file()]


def _skipped(layout: Layout, heldout: Sequence[Source]) -> list[str]:
    """Name the sources that the run went on without, and why."""
    found = [
        f"{one.name}: {one.reason}."
        if one.reason.startswith(EXCLUDED)
        else f"{one.name}: left out by the licence policy of the run ({one.reason})."
        for one in layout.barred
    ]
    reasons = {source.name: read_json(layout.source(source.name) / "manifest.json") for source in heldout}
    for name in (source.name for source in layout.sources):
        fetched = read_json(layout.source(name) / "manifest.json")
        reasons[name] = fetched | read_metadata(layout.source(name) / "queries.parquet")
    return found + [
        f"{name}: skipped, and the run went on without it: {about['skipped']}"
        for name, about in sorted(reasons.items())
        if "skipped" in about
    ]


def _mining(layout: Layout, funnel: Sequence[Funnel], jobs: Sequence[Mapping[str, Any]]) -> list[Mining]:
    """Return what mining found in each source, by its table and the counts of its job."""
    counts: dict[str, dict[str, Any]] = {}
    for job in jobs:
        if job["rule"] in ("mine_source", "mine_part") and "source" in job.get("wildcards", {}):
            counts.setdefault(job["wildcards"]["source"], {}).update(job["counts"])
    return [read_mining(layout, row, counts=counts.get(row.source, {})) for row in funnel]


def _costs(jobs: Sequence[Mapping[str, Any]]) -> list[Cost]:
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for job in jobs:
        stages.setdefault(STAGE_OF_RULE.get(job["rule"], "evaluate"), []).append(job)
    order = {stage: number for number, stage in enumerate(("fetch", "curate", "mine", "train", "evaluate"))}
    return [
        Cost(stage, len(found), sum(job["seconds"] for job in found), max(_memory(job) for job in found))
        for stage, found in sorted(stages.items(), key=lambda entry: order[entry[0]])
    ]


def _memory(job: Mapping[str, Any]) -> int:
    """Return the peak memory of a job or of the processes that it started."""
    return max([job["peak_memory_mb"], *(value for key, value in job["counts"].items() if "peak_memory_mb" in key)])


def _warnings(funnel: Sequence[Funnel], summary: Mapping[str, Any]) -> list[str]:
    found = []
    for row in funnel:
        lost = sum(row.rejected.values())
        if lost > MOSTLY_DROPPED * max(1, lost + row.tuples):
            reason = Counter(in_words(row.rejected)).most_common(1)[0][0]
            found.append(
                f"{row.source}: mining dropped {lost:,} of {lost + row.tuples:,} tuples, mostly because: {reason}."
            )
        if not row.planned:
            found.append(f"{row.source}: no batch of the plan is from this source.")
    if summary["tasks_not_improved"]:
        found.append(
            "Tasks that did not improve over the better pooling of the base model: "
            + ", ".join(summary["tasks_not_improved"])
            + "."
        )
    return found
