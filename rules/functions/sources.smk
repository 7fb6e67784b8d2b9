"""Inputs and parameters of the jobs that fetch and read sources and models, and of the offline bundle."""

from f2llm.config.build import part
from f2llm.config.exclusions import of_source
from f2llm.config.fetch import FetchedModel, Order, plain_places
from f2llm.config.geometry import weights
from f2llm.fetch.pins import PINS
from f2llm.rows.files import local_files
from f2llm.sources.probe.of_run import probed_run

NOT_STATED = {"id": "LicenseRef-Not-Stated", "commercial": "unknown", "note": ""}
# Computed here and not for each job, so that these digests are kept for the next call like the others.
READING_CODE = {
    adapter: code_digest("normalise_source.py", f"f2llm/sources/adapters/{adapter}.py")
    for adapter in sorted({stanza.adapter for stanza in STANZAS.values()})
}


def fetch_stanza(wildcards):
    """The part of a stanza that decides the fetched files: a change of the rest fetches nothing."""
    stanza = STANZAS[wildcards.source]
    return part(stanza, Order) | {"fetch": plain_places(stanza.fetch)}


def probed_parts():
    """What a probe is given of all that the run fetches."""
    return [plain(probed) for probed in probed_run(RUN)]


def reading_stanza(wildcards):
    """The part of a stanza that decides the tables of the source."""
    source = STANZAS[wildcards.source]
    excluded = of_source(RUN.exclude, wildcards.source)
    content = {
        "name": source.name,
        "task": source.shape,
        "adapter": source.adapter,
        "options": plain(source.options),
        "held_out": source.held_out,
    }
    # Only with a value, so that sources without exclusions keep their parameters.
    return content | ({"exclude": excluded} if excluded else {})


def reading_code(wildcards):
    """The digest of the code of the rule and of this source's adapter, not of the others."""
    return READING_CODE[STANZAS[wildcards.source].adapter]


@functools.cache
def local_files_of(*paths):
    """All local files below the paths of a stanza."""
    return [str(file) for path in paths if path for file in local_files(path)]


def files_of_source(name):
    """Local files of a source; none of those that are missing, which the script reports."""
    return local_files_of(*(fetch.path for fetch in STANZAS[name].fetch))


def source_files(wildcards):
    """Local files of a source, as inputs."""
    return dateless(files_of_source(wildcards.source))


def source_content(wildcards):
    """The content of the local files of a source, so that an edit is seen."""
    return content_of(*files_of_source(wildcards.source))


def model_files(wildcards):
    """Local files of a model, as inputs."""
    return dateless(local_files_of(ALL_MODELS[wildcards.model].fetch.path))


def model_content(wildcards):
    """The content of the local files of a model, so that an edit is seen."""
    return content_of(*local_files_of(ALL_MODELS[wildcards.model].fetch.path))


def model_stanza(wildcards):
    """The part of a model's stanza that decides the files of its folder."""
    model = ALL_MODELS[wildcards.model]
    return part(model, FetchedModel) | {"fetch": plain_places([model.fetch])[0]}


def model_memory_mb(wildcards):
    """Memory in MB to convert a model: its weights in float32, once as they are read and once as they are written."""
    geometry = ALL_MODELS[wildcards.model].geometry
    return 4000 + (2 * 4 * weights(geometry) // 10**6 if geometry else 0)


def task_order(task):
    """The files of a task of mteb at the pinned commit, in the form in which `fetch_source` gets those of a source."""
    return {
        "name": task.name,
        "task": task.type,
        "licence": NOT_STATED,
        "fetch": [
            {
                "kind": "hub",
                "repository": task.mteb.repository,
                "revision": task.mteb.revision,
                "files": list(task.mteb.files),
            }
        ],
    }


def task_entry(name):
    """The entry of the offline bundle for a task that is not drawn from sources."""
    task = TASKS[name]
    local = [{"kind": "local", "path": task.data}]
    return {
        "kind": "task",
        "name": name,
        "fetch": task_order(task)["fetch"] if task.mteb else local,
        "licence": NOT_STATED,
        "manifest": f"results/benchmarks/{name}/manifest.json" if task.mteb else "",
    }


def bundle_entries():
    """The entries of the offline bundle: every source, model and task with the manifest of its files."""
    sources = [("source", source, source.fetch) for source in STANZAS.values()]
    models = [("model", model, (model.fetch,)) for model in ALL_MODELS.values()]
    stanzas = [
        {
            "kind": kind,
            "name": stanza.name,
            "fetch": plain_places(fetch),
            "licence": plain(stanza.licence),
            "manifest": f"results/{kind}s/{stanza.name}/manifest.json",
        }
        for kind, stanza, fetch in [*sources, *models]
    ]
    return [*stanzas, *map(task_entry, [*TASKS_OF["mteb"], *TASKS_OF["local"]])]


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


def bundled_content(wildcards):
    """The content of what a bundle is packed of besides fetched files: local files, stanzas and the lock file."""
    root = config.get("stanzas", "config")
    places = [place["path"] for entry in bundle_entries() for place in entry["fetch"]]
    files = [str(Path(root, name)) for name in stanza_files()]
    return content_of(*local_files_of(*places), *files, str(PINS))
