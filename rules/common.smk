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
from f2llm.config.load import load_run
from f2llm.estimate.job_shares import embed_jobs, mine_jobs
from f2llm.config.variants import keys_of
from f2llm.jobs.code import KeptDigests
from f2llm.errors import InputError
from f2llm.config.scoring_jobs import candidates
from f2llm.jobs.environment import check_environment
from f2llm.jobs.lock import acquire
from f2llm.sources.adapters import check_adapters
from f2llm.sources.fetch import local_files
from f2llm.jobs.status import closing_lines, failures_since, note_call

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
DIGESTS = KeptDigests(
    kept=".snakemake/code-digests.json", planning=workflow.is_main_process
)
SOURCES = {source.name: source for source in (*RUN.sources, *RUN.heldout_sources)}
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
    """Refuse to run beside another live run on the same results, and leave word of what this one makes."""
    try:
        acquire("results/.lock")
    except InputError as error:
        raise WorkflowError(str(error)) from None
    note_call(list(RUNS))


def print_closing_lines():
    """Say where model, scoreboard and report are, once the whole run is there."""
    if Path(f"results/runs/{RUN.run}/gate.json").is_file():
        print(closing_lines("results", run=RUN.run))
    if CHANGED and Path(EFFECTS).is_file() and Path(EFFECTS).stat().st_mtime > BEGAN:
        print_effects()


def print_effects():
    """Say what each change did to the scores, once that was made."""
    from f2llm.evaluate.ablation import effect_lines, read_effects

    print(f"\n{effect_lines(read_effects(EFFECTS), run=RUN.run)}")
    print(f"page        {Path(EFFECTS).with_name('index.html')}")


def print_failures():
    """Say again at the end what failed: on a cluster, and in a long run, the first time is easily missed."""
    if said := failures_since(BEGAN):
        print(f"\nwhat failed, once more:\n{said}", file=sys.stderr)


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


def effects(wildcards):
    """What the target `ablate` makes; a config without changes has nothing to compare."""
    if not CHANGED:
        raise WorkflowError(
            "config: there is no `ablate`; say `ablate: leave_one_source_out`, or list changes (docs/evaluation.md)"
        )
    return EFFECTS
