"""The validated runs, the variant keys in paths, and the few functions that all rules share."""

import functools
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from f2llm.config.build import plain
from f2llm.config.scoring_jobs import candidates
from f2llm.config.changed_runs import load_changed_runs
from f2llm.config.check import load_schema, texts_as_values
from f2llm.config.load import load_run
from f2llm.config.runs import Runs
from f2llm.config.variants import keys_of
from f2llm.records.errors import InputError
from f2llm.jobs.code import ROOT, KeptDigests
from f2llm.jobs.environment import check_environment
from f2llm.records.hashes import content_digest
from f2llm.sources.adapters import check_adapters
from f2llm.sources.named_files import unread_files

PROFILES = ("profiles/default/config.yaml", "slurm/config.yaml")

if "sources" not in config:

    configfile: "config/config.yaml"


def written_files():
    """The files of the config and of the profiles, which Snakemake has read; jobs leave their check to the start."""
    files = [*workflow.configfiles, *filter(Path.is_file, map(Path, PROFILES))]
    return map(os.path.relpath, files) if workflow.is_main_process else ()


try:
    check_environment(lock=ROOT / "requirements.lock")
    PLACE = {"folder": config.get("stanzas", "config"), "where": "config"}
    # Snakemake takes the last of two equal keys, and reads nested values of --config as texts.
    config.update(
        texts_as_values(config, workflow.config_settings.config, load_schema("config"))
    )
    RUN = load_run(config, **PLACE, files=written_files())
    CANDIDATES = candidates(RUN)
    CHANGED = load_changed_runs(
        RUN, config, **PLACE, taken=[candidate.name for candidate in CANDIDATES]
    )
    RUNS = Runs((RUN, *CHANGED))
    STANZAS = RUNS.stanzas
    if workflow.is_main_process and (
        faults := check_adapters(STANZAS.values()) or unread_files(STANZAS.values())
    ):
        raise InputError(faults)
except InputError as error:
    raise WorkflowError(
        f"this run cannot work as it is ({len(error.faults)} to mend):\n{error}"
    ) from None

if workflow.is_main_process:
    for barred in RUN.barred:
        print(
            f"licences: {RUN.licences}: {barred.name} is left out ({barred.reason})",
            file=sys.stderr,
        )

DIGESTS = KeptDigests(
    kept=".snakemake/code-digests.json", planning=workflow.is_main_process
)
# SOURCES are those of the config's own run; ALL_SOURCES and ALL_MODELS include those of the changed runs.
SOURCES = {source.name: source for source in (*RUN.sources, *RUN.heldout_sources)}
ALL_SOURCES = RUNS.sources
ALL_MODELS = RUNS.models
TRAINED = [source.name for source in RUN.sources]
TASKS = {task.name: task for task in RUN.benchmark.tasks}
# Where the rows of a task come from (drawn | mteb | local) -> its names.
TASKS_OF = {
    kind: [name for name, task in TASKS.items() if task.kind == kind]
    for kind in ("drawn", "mteb", "local")
}
CURATION, EVALUATION_TEXTS, ENCODER, MINING, TOKENS = keys_of(RUN)


def pattern_of(names):
    """A regular expression for a wildcard that matches exactly these names."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    run=pattern_of(RUNS.in_use("run")),
    curation=pattern_of(RUNS.in_use("curation")),
    evaluation_texts=pattern_of(RUNS.in_use("evaluation_texts")),
    encoder=pattern_of(RUNS.in_use("encoder")),
    mining=pattern_of(RUNS.in_use("mining")),
    tokens=pattern_of(RUNS.in_use("tokens")),
    source="[a-z0-9_]+",
    model="[a-z0-9._-]+",
    task="[A-Za-z0-9][A-Za-z0-9._-]*",
    part="[0-9]+",
    parts="[0-9]+",
    audit="[a-z0-9_]+",


@functools.cache
def content_of(*paths):
    """One digest of the contents of local files.

    It decides whether a job is done, as a parameter, and not the files' dates: a file that is replaced by an older one
    is seen, and one that is touched re-runs nothing.
    """
    return content_digest(paths)


def dateless(paths):
    """Local files as inputs whose dates do not count; their content is a parameter (`content_of`)."""
    return [ancient(str(path)) for path in paths]


def code_digest(*paths):
    """The digest of the code that `paths` run: scripts of workflow/scripts by name, modules by path."""
    return DIGESTS.of(
        *(
            path if path.startswith("f2llm") else f"workflow/scripts/{path}"
            for path in paths
        )
    )
