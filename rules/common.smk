"""The validated runs, the paths' variant keys, and the few functions that rules share."""

import functools
import re
import sys
import time
from operator import attrgetter
from pathlib import Path

from snakemake.exceptions import WorkflowError

from f2llm.config.build import plain
from f2llm.config.changed_runs import load_changed_runs
from f2llm.config.exclusions import of_source
from f2llm.config.load import load_run
from f2llm.config.shares import embed_jobs, mine_jobs
from f2llm.config.variants import keys_of
from f2llm.curate.folder import audited_files
from f2llm.digests import Digests
from f2llm.errors import InputError
from f2llm.evaluate.jobs import candidates, own_candidates
from f2llm.preflight import check_environment
from f2llm.run_lock import acquire
from f2llm.sources.adapters import check_adapters
from f2llm.sources.fetch import local_files
from f2llm.status import closing_lines, failures_since
from f2llm.config.geometry import weights

if "sources" not in config:

    configfile: "config/config.yaml"


try:
    check_environment(lock=Path(workflow.basedir) / "requirements.lock")
    PLACE = {"folder": config.get("stanzas", "config"), "where": "config"}
    RUN = load_run(config, **PLACE)
    CANDIDATES = candidates(RUN)
    CHANGED = load_changed_runs(
        RUN, config, **PLACE, taken=[candidate.name for candidate in CANDIDATES]
    )
    # All runs of this workflow: the config's own comes first, and makes what others share with it.
    RUNS = {run.run: run for run in (RUN, *CHANGED)}
    STANZAS = {source.name: source for run in RUNS.values() for source in run.stanzas}
    if workflow.is_main_process and (faults := check_adapters(STANZAS.values())):
        raise InputError(faults)
except InputError as error:
    raise WorkflowError(
        f"this run cannot work as it is ({len(error.faults)} to mend):\n{error}"
    ) from None

BEGAN = time.time()
DIGESTS = Digests(
    kept=".snakemake/code-digests.json", planning=workflow.is_main_process
)
SOURCES = {source.name: source for source in (*RUN.sources, *RUN.heldout_sources)}
RELEASED = {pair.source: pair.released for pair in RUN.compare}
TRAINED = [source.name for source in RUN.sources]
MODELS = {
    model.name: model for model in (RUN.backbone, RUN.retriever, *RUN.scored_models)
}
# With those of the changed runs.
ALL_SOURCES = {
    source.name: source
    for run in RUNS.values()
    for source in (*run.sources, *run.heldout_sources)
}
ALL_MODELS = MODELS | {
    model.name: model for run in CHANGED for model in (run.backbone, run.retriever)
}
TASKS = {task.name: task for task in RUN.benchmark.tasks}
# Where the rows of a task come from (drawn | mteb | local) -> its names.
TASKS_OF = {
    kind: [name for name, task in TASKS.items() if task.kind == kind]
    for kind in ("drawn", "mteb", "local")
}
NOT_STATED = {"id": "LicenseRef-Not-Stated", "commercial": "unknown", "note": ""}
# What of a task decides none of its texts.
UNREAD = {"instruction": "", "batch": "", "tiers": []}
# What stands in the paths of each run, and the keys in those of the config's own.
KEYS = {
    name: keys_of(run)._asdict()
    | {"run": name, "backbone": run.backbone.name, "retriever": run.retriever.name}
    for name, run in RUNS.items()
}
CURATION, EVALUATION_TEXTS, ENCODER, MINING, TOKENS = keys_of(RUN)
SOURCES_OF = {
    name: {source.name for source in run.stanzas} for name, run in RUNS.items()
}
# Sources whose texts are compared with those of the others.
SHARED_AMONG = [
    source.name
    for source in RUN.sources
    if RUN.curation_of(source).across.policy != "off"
]


def only(names):
    """A wildcard's pattern of these names alone."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def known(key):
    """What stands for a wildcard in the paths of the runs."""
    return sorted({keys[key] for keys in KEYS.values()})


wildcard_constraints:
    run=only(RUNS),
    curation=only(known("curation")),
    evaluation_texts=only(known("evaluation_texts")),
    encoder=only(known("encoder")),
    mining=only(known("mining")),
    tokens=only(known("tokens")),
    source="[a-z0-9_]+",
    model="[a-z0-9._-]+",
    task="[A-Za-z0-9][A-Za-z0-9._-]*",
    part="[0-9]+",
    parts="[0-9]+",
    audit="[a-z0-9_]+",


def code_digest(*paths):
    """Digest of what the paths (scripts of workflow/scripts by name, modules by path) run."""
    return DIGESTS.of(
        *(
            path if path.startswith("f2llm") else f"workflow/scripts/{path}"
            for path in paths
        )
    )


def run_of(wildcards):
    """The first run that has what a job makes: what runs share is the same for all of them."""
    given = dict(wildcards.items())
    return next(
        run
        for name, run in RUNS.items()
        if all(given.get(key, own) == own for key, own in KEYS[name].items())
        and ("source" not in given or given["source"] in SOURCES_OF[name])
    )


def setting(name):
    """A setting of the job's run, such as `mine.max_length`."""
    values = {run.run: plain(attrgetter(name)(run)) for run in RUNS.values()}

    def value(wildcards):
        return values[run_of(wildcards).run]

    return value


def upstream(path):
    """A file that a job reads: the keys of its run, its source and the like are filled in."""

    def filled(wildcards):
        keys = KEYS[run_of(wildcards).run]
        return path.format(**(keys | dict(wildcards.items())))

    return filled


def of_each_source(*paths):
    """Files of all sources that the job's run is trained on."""

    def filled(wildcards):
        run = run_of(wildcards)
        return [
            path.format(source=source.name, **KEYS[run.run])
            for source in run.sources
            for path in paths
        ]

    return filled


def source_stanza(wildcards):
    """The stanza of one source; only its own change re-runs its jobs."""
    return plain_stanza(wildcards.source)


@functools.cache
def plain_stanza(source):
    """The same by the source's name: thousands of jobs ask for it."""
    return plain(STANZAS[source])


def model_stanza(wildcards):
    """The stanza of one model."""
    return plain(ALL_MODELS[wildcards.model])


def task_stanza(wildcards):
    """The stanza of one evaluation task."""
    return plain(TASKS[wildcards.task])


def print_barred():
    """Say which sources the licence policy keeps out."""
    for barred in RUN.barred:
        print(
            f"licences: {RUN.licences}: {barred.name} is left out ({barred.reason})",
            file=sys.stderr,
        )


if workflow.is_main_process:
    print_barred()


def take_lock():
    """Refuse to run beside another live run on the same results."""
    try:
        acquire("results/.lock")
    except InputError as error:
        raise WorkflowError(str(error)) from None


def print_closing_lines():
    """Say where model, scoreboard and report are, once the whole run is there."""
    if Path(f"results/runs/{RUN.run}/gate.json").is_file():
        print(closing_lines("results", run=RUN.run))
    if CHANGED and Path(EFFECTS).is_file() and Path(EFFECTS).stat().st_mtime > BEGAN:
        print_effects()


def print_effects():
    """Say what each change did to the scores, once that was made."""
    from f2llm.evaluate.ablation import (
        effect_lines,
        read_effects,
    )  # not heavy, but for the end alone

    print(f"\n{effect_lines(read_effects(EFFECTS), run=RUN.run)}")
    print(f"page        {Path(EFFECTS).with_name('index.html')}")


def print_failures():
    """Say again at the end what failed: on a cluster, and in a long run, the first time is easily missed."""
    if said := failures_since(BEGAN):
        print(f"\nwhat failed, once more:\n{said}", file=sys.stderr)


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


# Here and not at each job, so that these digests are kept for the next call with the others.
READING_CODE = {
    adapter: code_digest("normalise_source.py", f"f2llm/sources/adapters/{adapter}.py")
    for adapter in sorted({stanza.adapter for stanza in STANZAS.values()})
}


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


def curation_scope(wildcards):
    """What of a stanza decides the curated tables."""
    stanza = source_stanza(wildcards) | {"task": STANZAS[wildcards.source].shape}
    return {key: stanza[key] for key in ("name", "task", "max_queries", "max_passages")}


def curation_settings(wildcards):
    """The policies and thresholds of one source: the run's, but for what its stanza says."""
    return plain(run_of(wildcards).curation_of(STANZAS[wildcards.source]))


def earlier_sources(wildcards):
    """The sources whose queries this one shall not repeat: of the same shape, before it in the config."""
    run, source = run_of(wildcards), STANZAS[wildcards.source]
    if run.curation_of(source).across.policy != "drop":
        return []
    earlier = run.sources[: [other.name for other in run.sources].index(source.name)]
    return [other.name for other in earlier if other.shape == source.shape]


def earlier_queries(wildcards):
    """The curated queries of these sources."""
    return [
        f"results/curated/{wildcards.curation}/{name}/queries.parquet"
        for name in earlier_sources(wildcards)
    ]


def missing_texts(wildcards):
    """Whether tasks without test data stop the runs: not where nothing is matched against them."""
    runs = [
        run
        for name, run in RUNS.items()
        if KEYS[name]["evaluation_texts"] == wildcards.evaluation_texts
    ]
    matched = any(
        run.audit or run.curation_of(source).decontaminate.policy != "off"
        for run in runs
        for source in run.sources
    )
    return runs[0].curate.decontaminate.missing if matched else "allow"


def declared_tasks():
    """The evaluation tasks whose train split a trained source says it holds."""
    return sorted({task for source in RUN.sources for task in source.in_domain})


def decontamination():
    """The sources from which no evaluation text is dropped, by policy."""
    policies = {
        source.name: RUN.curation_of(source).decontaminate.policy
        for source in RUN.sources
    }
    return {
        policy: [name for name in TRAINED if policies[name] == policy]
        for policy in ("off", "report")
    }


def audited(wildcards):
    """Files of an audited folder, so that an edit is seen; a missing folder is the script's to report."""
    return audited_files(RUN.audit[wildcards.audit].path)


def audit_path(wildcards):
    """The folder of an audit."""
    return RUN.audit[wildcards.audit].path


def audit_fields(wildcards):
    """The columns that are read of it."""
    return list(RUN.audit[wildcards.audit].fields)


def instruction(wildcards):
    """The only thing of a stanza that decides its tokens."""
    return STANZAS[wildcards.source].instruction


def parts(jobs, path):
    """The files of all jobs that share the work on a source; none where one job does it all."""
    return (
        [path.format(part=part, parts=jobs) for part in range(jobs)] if jobs > 1 else []
    )


def embedded_parts(wildcards):
    """Manifests of the jobs that encode a large source."""
    path = (
        f"results/vectors/{wildcards.encoder}/{wildcards.curation}/{wildcards.source}"
    )
    return parts(
        embed_jobs(STANZAS[wildcards.source], run_of(wildcards).mine),
        f"{path}-{{part}}-of-{{parts}}.json",
    )


def mined_tuples(wildcards):
    """Tuples of the jobs that search for a large source."""
    path = f"results/mined/{wildcards.mining}/{wildcards.source}"
    return parts(
        mine_jobs(STANZAS[wildcards.source], run_of(wildcards).mine),
        f"{path}/part-{{part}}-of-{{parts}}/tuples.parquet",
    )


def mined_rejected(wildcards):
    """Rejected pairs of the same jobs."""
    return [
        path.replace("tuples.parquet", "rejected.parquet")
        for path in mined_tuples(wildcards)
    ]


def trained_sources(wildcards):
    """The names of the sources of a run."""
    return [source.name for source in run_of(wildcards).sources]


def run_settings(wildcards):
    """What of a run decides its training."""
    return training_settings(run_of(wildcards))


def run_keys(wildcards):
    """A stage's folder -> the variant key of a run."""
    folders = {
        "curated": "curation",
        "vectors": "encoder",
        "mined": "mining",
        "tokens": "tokens",
    }
    return {folder: KEYS[wildcards.run][key] for folder, key in folders.items()}


def task_source_table(wildcards, table):
    """A table of the source that a task is drawn from."""
    return f"results/sources/{TASKS[wildcards.task].source}/{table}.parquet"


def task_corpus(wildcards):
    """Passages of the source that a task is drawn from."""
    return task_source_table(wildcards, "corpus")


def task_queries(wildcards):
    """Queries of the source that a task is drawn from."""
    return task_source_table(wildcards, "queries")


def drawn_stanza(wildcards):
    """What of a task decides its rows: a change of its instruction or batch draws nothing anew."""
    return task_stanza(wildcards) | UNREAD


def task_order(wildcards):
    """What is fetched of a task of mteb."""
    return order_of(TASKS[wildcards.task])


def order_of(task):
    """The files of the data set of a task of mteb at the pinned commit."""
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


def checked_stanza(wildcards):
    """What of a task of mteb decides what is checked."""
    return task_stanza(wildcards) | UNREAD


def task_files(wildcards):
    """Local files of a task, so that an edit is seen."""
    return local_files(TASKS[wildcards.task].data)


def task_inputs(names):
    """What scoring tasks reads: their data, and of mteb's tasks the verdict on it."""
    mteb = [name for name in names if TASKS[name].kind == "mteb"]
    return [f"results/benchmarks/{name}/checked.json" for name in mteb]


def scored_folder(job):
    """The folder of the model that a job scores, where that of the run stands for all runs."""
    return MODEL if job.folder == OF_RUN else job.folder


def scored_names(job):
    """The names of a job's candidates in paths, where those of the run stand for all runs."""
    names = [candidate.name for candidate in job.candidates]
    return (
        [f"{{run}}{name.removeprefix(RUN.run)}" for name in names]
        if job.folder == OF_RUN
        else names
    )


def scored_models(wildcards, job):
    """The candidates that a job scores: those of the run, or the same for all runs."""
    own = job.folder == OF_RUN
    return plain(own_candidates(RUNS[wildcards.run]) if own else job.candidates)


def scored_stanza(wildcards):
    """The stanza of the one task that a job scores."""
    return [plain(INSTRUCTED[wildcards.task])]


def scored_data(wildcards):
    """What the job of one task reads of it."""
    return [f"results/benchmarks/{wildcards.task}/data"]


def scored_verdict(wildcards):
    """That the data of a task of mteb were checked."""
    return task_inputs([wildcards.task])


def shard_manifests(wildcards, model):
    """Passages of a large task that other jobs encode before it is scored."""
    count = shards(TASKS[wildcards.task], shard_texts=RUN.evaluate.shard_texts)
    return [
        f"results/vectors/evaluation/{model.format(**dict(wildcards.items()))}/{wildcards.task}/{part}-of-{count}.json"
        for part in range(count)
    ]


def scoring_memory_mb(wildcards):
    """Memory to score one task: weights in float32, and its vectors up to three times."""
    task = TASKS[wildcards.task]
    found = [model.geometry for model in ALL_MODELS.values() if model.geometry]
    size = max([600, *(4 * weights(geometry) // 10**6 for geometry in found)])
    width = max([768, *(geometry.hidden for geometry in found)])
    texts = task.mteb.texts if task.mteb else 0
    return 2000 + size + 3 * 4 * width * texts // 10**6


def scoring_minutes(wildcards):
    """Time to score one task, at ten texts a second and more."""
    task = TASKS[wildcards.task]
    return 60 + (task.mteb.texts if task.mteb else 0) // 600


def manifests_of(job):
    """Manifests of the jobs of one rule."""
    first = job.candidates[0].name
    if job.batch:
        return [f"results/lineage/jobs/{job.name}/{first}.json"]
    return [
        f"results/lineage/jobs/{job.name}/{first}/{task.name}.json"
        for task in job.tasks
    ]


def effects(wildcards):
    """What the target `ablate` makes; a config without changes has nothing to compare."""
    if not CHANGED:
        raise WorkflowError(
            "config: there is no `ablate`; say `ablate: leave_one_source_out`, or list changes (docs/evaluation.md)"
        )
    return EFFECTS
