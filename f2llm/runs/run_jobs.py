"""Which of the jobs in a results folder belong to a run, followed back from what it made."""

from collections.abc import Callable, Sequence

from f2llm.runs.manifests import FOLDER, NAME, Job, upstream

REPORTS = ("build_report", "write_crate")  # rules whose outputs are those of the run that was made last


def jobs_of(jobs: Sequence[Job], run: str) -> list[Job]:
    """Return the jobs of a run: those that made its own files, those that theirs came from, and its report."""
    prefixes = (f"results/runs/{run}/", f"results/scores/{run}/", f"results/cards/{run}/")
    last = [job for job in jobs if any(output.startswith(prefixes) for output in job.outputs)]
    last += [job for job in jobs if job.rule == "build_scoreboard" and any(map(_starts(prefixes), job.inputs))]
    last += [job for job in jobs if job.rule in REPORTS and job.path.stem == run]
    own = [job for job in jobs if _of(job, run)]
    manifests = {path for job in last for path in job.inputs if path.startswith(f"{NAME}/{FOLDER}/")}
    last += [job for job in own if any(str(job.path).endswith(path.removeprefix(NAME)) for path in manifests)]
    behind = upstream(own, [path for job in last for path in job.inputs])
    return list({job.path: job for job in [*last, *behind]}.values())


def jobs_beside(jobs: Sequence[Job], run: str) -> list[Job]:
    """Return the jobs that passed a run's scores on, which nothing of the run came from: its export, its ablation."""
    model = f"{NAME}/runs/{run}/model"
    return [
        job
        for job in jobs
        if (job.rule == "export_scores" and model in job.inputs)
        or (job.rule == "compare_changes" and job.path.stem == run)
    ]


def _starts(prefixes: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda path: path.startswith(prefixes)


def _of(job: Job, run: str) -> bool:
    """Say whether a job that made something a run reads made it for this run: a scoreboard is of one run alone."""
    return job.rule != "build_scoreboard" or any(path.startswith(f"results/scores/{run}/") for path in job.inputs)
