"""What jobs that fetch and read sources and models, and the bundle of them, are told."""

from f2llm.config.exclusions import of_source
from f2llm.config.geometry import weights

NOT_STATED = {"id": "LicenseRef-Not-Stated", "commercial": "unknown", "note": ""}
RELEASED = {pair.source: pair.released for pair in RUN.compare}
# Here and not at each job, so that these digests are kept for the next call with the others.
READING_CODE = {
    adapter: code_digest("normalise_source.py", f"f2llm/sources/adapters/{adapter}.py")
    for adapter in sorted({stanza.adapter for stanza in STANZAS.values()})
}


def fetch_stanza(wildcards):
    """What of a stanza decides the fetched files: a change of anything else fetches nothing."""
    stanza = source_stanza(wildcards)
    return {key: stanza[key] for key in ("name", "task", "licence", "fetch")}


def reading_stanza(wildcards):
    """What of a stanza decides the tables of the source."""
    stanza = source_stanza(wildcards) | {"task": STANZAS[wildcards.source].shape}
    keys = ("name", "task", "adapter", "options", "held_out")
    excluded = of_source(RUN.exclude, wildcards.source)
    # The key is there only where it says something, so that other sources are left as they are.
    return {key: stanza[key] for key in keys} | (
        {"exclude": excluded} if excluded else {}
    )


def reading_code(wildcards):
    """The code of the rule and of this source's adapter, not of the others."""
    return READING_CODE[STANZAS[wildcards.source].adapter]


def source_files(wildcards):
    """Local files of a source, so that an edit is seen; a missing one is the script's to report."""
    stanza = STANZAS[wildcards.source]
    return [
        file for fetch in stanza.fetch if fetch.path for file in local_files(fetch.path)
    ]


def model_files(wildcards):
    """Local files of a model."""
    path = ALL_MODELS[wildcards.model].fetch.path
    return local_files(path) if path else []


def released_table(wildcards, table):
    """A table of the published tuples that a source's own are compared with."""
    return f"results/sources/{RELEASED[wildcards.source].name}/{table}.parquet"


def released_corpus(wildcards):
    """Passages of the published tuples."""
    return released_table(wildcards, "corpus")


def released_queries(wildcards):
    """Queries of the published tuples."""
    return released_table(wildcards, "queries")


def model_memory_mb(wildcards):
    """Memory to convert a model: its weights in float32 as they are read and once more as they are written."""
    geometry = ALL_MODELS[wildcards.model].geometry
    return 4000 + (2 * 4 * weights(geometry) // 10**6 if geometry else 0)


def packed():
    """What the offline bundle holds: every source, model and task with the manifest of its files."""
    sources = [("source", source, source.fetch) for source in STANZAS.values()]
    models = [("model", model, (model.fetch,)) for model in ALL_MODELS.values()]
    stanzas = [
        {
            "kind": kind,
            "name": stanza.name,
            "fetch": plain(fetch),
            "licence": plain(stanza.licence),
            "manifest": f"results/{kind}s/{stanza.name}/manifest.json",
        }
        for kind, stanza, fetch in [*sources, *models]
    ]
    return [*stanzas, *map(packed_task, [*TASKS_OF["mteb"], *TASKS_OF["local"]])]


def packed_task(name):
    """What the offline bundle holds of a task that is not drawn from sources."""
    task = TASKS[name]
    local = [{"kind": "local", "path": task.data}]
    return {
        "kind": "task",
        "name": name,
        "fetch": order_of(task)["fetch"] if task.mteb else local,
        "licence": NOT_STATED,
        "manifest": f"results/benchmarks/{name}/manifest.json" if task.mteb else "",
    }


def stanza_files():
    """The files of all stanzas that the config names."""
    return [
        *(
            f"sources/{name}.yaml"
            for name in sorted({*ALL_SOURCES, *config.get("compare", {}).values()})
        ),
        *(f"models/{name}.yaml" for name in sorted(ALL_MODELS)),
        f"benchmarks/{RUN.benchmark.name}.yaml",
    ]
