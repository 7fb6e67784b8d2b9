"""What jobs that make tasks, and score models on them, are told."""

from f2llm.estimate.job_shares import shards, task_rows
from f2llm.estimate.sizing import request_for
from f2llm.config.scoring_jobs import instructed_tasks, own_candidates
from f2llm.evaluate.published import published_files

INSTRUCTED = {task.name: task for task in instructed_tasks(RUN)}
# What of a task decides none of its scores, and none of its texts.
UNSCORED = {"batch": "", "tiers": []}
UNREAD = UNSCORED | {"instruction": ""}


def task_stanza(wildcards):
    """The stanza of one evaluation task."""
    return plain(TASKS[wildcards.task])


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


def declared_tasks():
    """The evaluation tasks whose train split a trained source says it holds."""
    return sorted({task for source in RUN.sources for task in source.in_domain})


def board_files(wildcards):
    """Published results that stand in a scoreboard, so that an edit is seen."""
    folder = RUN.evaluate.leaderboard
    return published_files(folder, INSTRUCTED) if folder else []


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


def scoring(task):
    """What of a task decides its scores: a change of its batch or tiers scores nothing anew."""
    return plain(task) | UNSCORED


def scored_stanza(wildcards):
    """The stanza of the one task that a job scores."""
    return [scoring(INSTRUCTED[wildcards.task])]


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


def scoring_memory_mb(wildcards, attempt, rulename, job):
    """Memory of a job that scores or encodes, more at each attempt."""
    return scoring_cost(wildcards, rulename, job).memory_mb * attempt


def scoring_minutes(wildcards, attempt, rulename, job):
    """Time limit likewise: no less than an hour, since what mteb computes beside vectors has no curve."""
    return max(60, scoring_cost(wildcards, rulename, job).minutes) * attempt


def scoring_cost(wildcards, rulename, job):
    """What the network and the texts of its tasks ask for."""
    run = run_of(wildcards)
    models = {
        f"results/models/{name}/model": model for name, model in ALL_MODELS.items()
    }
    model = run.backbone if job.folder == OF_RUN else models[job.folder]
    given = dict(wildcards.items())
    tasks = [TASKS[given["task"]]] if "task" in given else job.tasks
    texts = sum(task_rows(task) for task in tasks) / int(given.get("parts", 1))
    # A large task's passages are encoded by other jobs.
    encoded = texts if job.batch else min(texts, run.evaluate.shard_texts)
    sizes = sizes_of(run.run, on_gpu=asks_gpu(rulename))
    return request_for(sizes.scoring(model, texts=texts, encoded=encoded))


def manifests_of(job):
    """Manifests of the jobs of one rule."""
    first = job.candidates[0].name
    if job.batch:
        return [f"results/lineage/jobs/{job.name}/{first}.json"]
    return [
        f"results/lineage/jobs/{job.name}/{first}/{task.name}.json"
        for task in job.tasks
    ]
