"""Inputs, outputs and parameters of the jobs that score models on tasks."""

from f2llm.config.scoring_jobs import jobs, own_candidates, score_paths
from f2llm.estimate.job_shares import shards, task_rows
from f2llm.estimate.sizing import request_for
from f2llm.evaluate.published import published_files

EVALUATIONS = jobs(RUN)
SCORES = score_paths(RUN, folder="results/scores")
MODEL = "results/runs/{run}/model"
OF_RUN = MODEL.format(run=RUN.run)
# Vectors by the content of their texts, shared by tasks and runs: no declared output, safe to delete.
EVALUATION_STORE = "results/vectors/evaluation/store"
SCORED_STANZAS = {name: plain(task) | UNSCORED for name, task in INSTRUCTED.items()}
MODEL_IN = {f"results/models/{name}/model": model for name, model in ALL_MODELS.items()}


def scored_folder(job):
    """The folder of the model that a job scores; for the run's own model, with the wildcard of all runs."""
    return MODEL if job.folder == OF_RUN else job.folder


def scored_names(job):
    """The names of a job's candidates in paths; for the run's own model, with the wildcard of all runs."""
    names = [candidate.name for candidate in job.candidates]
    return (
        [f"{{run}}{name.removeprefix(RUN.run)}" for name in names]
        if job.folder == OF_RUN
        else names
    )


def scored_models(job):
    """The candidates that a job scores: a function of the run for its own model, else the same for all runs."""
    if job.folder != OF_RUN:
        return plain(job.candidates)
    candidates_of = {
        name: plain(own_candidates(run)) for name, run in RUNS.by_name.items()
    }

    def candidates_of_run(wildcards):
        return candidates_of[wildcards.run]

    return candidates_of_run


def task_files_of_job(job, path):
    """The files of a job's tasks; if each task is a job of its own, the path with the wildcard of the task."""
    return (
        [path.replace("{task}", task.name) for task in job.tasks]
        if job.batch
        else [path]
    )


def score_files(job, path):
    """The files of all candidates and tasks of a job, candidate by candidate."""
    return [
        file.replace("{candidate}", name)
        for name in scored_names(job)
        for file in task_files_of_job(job, path)
    ]


def unit_of_job(job):
    """The end of the path of a job's log and manifest: its model, and its task if that is a job of its own."""
    name = scored_names(job)[0]
    return name if job.batch else f"{name}/{{task}}"


def encode_rule(job):
    """The name of the rule that encodes large tasks ahead of a job."""
    return f"encode{job.name.removeprefix('evaluate')}"


def scored_task_names(wildcards, job):
    """The tasks of a job: all of its batch, or the one in its path."""
    return [task.name for task in job.tasks] if job.batch else [wildcards.task]


def scored_task_stanzas(wildcards, job):
    """The part of a job's tasks that decides their scores: another batch or tier scores nothing again."""
    return [SCORED_STANZAS[name] for name in scored_task_names(wildcards, job)]


def check_files(names):
    """The results of the check of the data of those tasks that are from mteb."""
    return [
        f"results/benchmarks/{name}/checked.json"
        for name in names
        if TASKS[name].kind == "mteb"
    ]


def checks_of_job(wildcards, job):
    """The results of the checks of the tasks that a job scores."""
    return check_files(scored_task_names(wildcards, job))


def shard_manifests(wildcards, job):
    """Manifests of the jobs that encode the passages of a large task before it is scored."""
    if job.batch:
        return []
    name = scored_names(job)[0].format(**dict(wildcards.items()))
    count = shards(TASKS[wildcards.task], shard_texts=RUN.evaluate.shard_texts)
    return [
        f"results/vectors/evaluation/{name}/{wildcards.task}/{part}-of-{count}.json"
        for part in range(count)
    ]


def scoring_request(wildcards, rulename, job):
    """The resources that a job needs for its network and the texts of its tasks."""
    run = RUNS.of(wildcards)
    model = run.backbone if job.folder == OF_RUN else MODEL_IN[job.folder]
    rows = sum(task_rows(TASKS[name]) for name in scored_task_names(wildcards, job))
    texts = rows / int(dict(wildcards.items()).get("parts", 1))
    # A large task's passages are encoded by other jobs.
    encoded = texts if job.batch else min(texts, run.evaluate.shard_texts)
    sizes = sizes_of_run(run.run, on_gpu=asks_gpu(rulename))
    return request_for(sizes.scoring(model, texts=texts, encoded=encoded))


def scoring_memory_mb(wildcards, attempt, rulename, job):
    """Memory in MB of a job that scores or encodes, more at each attempt."""
    return scoring_request(wildcards, rulename, job).memory_mb * attempt


def scoring_minutes(wildcards, attempt, rulename, job):
    """Time limit in minutes, more at each attempt: at least an hour, since mteb's work beside vectors has no curve."""
    return max(60, scoring_request(wildcards, rulename, job).minutes) * attempt


def manifests_of_job(job):
    """Manifests of the jobs of one rule, for the config's own run."""
    name = job.candidates[0].name
    if job.batch:
        return [f"results/lineage/jobs/{job.name}/{name}.json"]
    return [
        f"results/lineage/jobs/{job.name}/{name}/{task.name}.json" for task in job.tasks
    ]


@functools.cache
def published():
    """The files of published results that the scoreboard shows."""
    folder = RUN.evaluate.leaderboard
    return published_files(folder, INSTRUCTED) if folder else []


def board_files(wildcards):
    """Published results that the scoreboard shows, as inputs."""
    return dateless(published())


def board_content(wildcards):
    """The content of the published results that the scoreboard shows, so that an edit is seen."""
    return content_of(*published())


def declared_tasks():
    """The evaluation tasks whose train split is, as its stanza declares, in a trained source."""
    return sorted({task for source in RUN.sources for task in source.in_domain})


def undropped_sources():
    """The sources from which evaluation texts are not dropped, by policy."""
    policies = {
        source.name: RUN.curation_of(source).decontaminate.policy
        for source in RUN.sources
    }
    return {
        policy: [name for name in TRAINED if policies[name] == policy]
        for policy in ("off", "report")
    }
