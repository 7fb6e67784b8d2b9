"""Inputs and parameters of the jobs that fetch, draw and check the data of evaluation tasks."""

from f2llm.config.scoring_jobs import instructed_tasks

# The tasks that are scored, each with an instruction.
INSTRUCTED = {task.name: task for task in instructed_tasks(RUN)}
# The keys of a task that decide none of its scores (UNSCORED), and none of its texts (UNREAD).
UNSCORED = {"batch": "", "tiers": []}
UNREAD = UNSCORED | {"instruction": ""}


def task_files(wildcards):
    """Local files of a task, as inputs."""
    return dateless(local_files_of(TASKS[wildcards.task].data))


def task_content(wildcards):
    """The content of the local files of a task, so that an edit is seen."""
    return content_of(*local_files_of(TASKS[wildcards.task].data))


def task_corpus(wildcards):
    """The corpus of the source that a task is drawn from."""
    return f"results/sources/{TASKS[wildcards.task].source}/corpus.parquet"


def task_queries(wildcards):
    """The queries of the source that a task is drawn from."""
    return f"results/sources/{TASKS[wildcards.task].source}/queries.parquet"


def fetched_task_order(wildcards):
    """The files to fetch for a task of mteb."""
    return task_order(TASKS[wildcards.task])


def read_task_stanza(wildcards):
    """The part of a task that decides its rows and their check: another instruction or batch draws nothing again."""
    return plain(TASKS[wildcards.task]) | UNREAD
