"""What jobs that fetch, draw and check the data of evaluation tasks are told."""

from f2llm.config.scoring_jobs import instructed_tasks

# The tasks that are scored, each with an instruction.
INSTRUCTED = {task.name: task for task in instructed_tasks(RUN)}
# What of a task decides none of its scores, and none of its texts.
UNSCORED = {"batch": "", "tiers": []}
UNREAD = UNSCORED | {"instruction": ""}


def task_files(wildcards):
    """Local files of a task, so that an edit is seen."""
    return local_files(TASKS[wildcards.task].data)


def task_corpus(wildcards):
    """Passages of the source that a task is drawn from."""
    return f"results/sources/{TASKS[wildcards.task].source}/corpus.parquet"


def task_queries(wildcards):
    """Queries of the source that a task is drawn from."""
    return f"results/sources/{TASKS[wildcards.task].source}/queries.parquet"


def fetched_task_order(wildcards):
    """What is fetched of a task of mteb."""
    return task_order(TASKS[wildcards.task])


def read_task_stanza(wildcards):
    """What of a task decides its rows and their check: a change of its instruction or batch draws nothing anew."""
    return plain(TASKS[wildcards.task]) | UNREAD
