"""The training data statement of a run's cards, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from f2llm.config.curate import Curate
from f2llm.runs.funnel import Funnel, read_contamination
from f2llm.runs.layout import Layout


def statement(
    layout: Layout, funnel: Sequence[Funnel], manifests: Sequence[Mapping[str, Any]], *, curate: Curate
) -> str:
    """What the model is trained on; `manifests` are those of the run's jobs.

    Every count of `funnel` that is used must be known: it is read without gaps.
    """
    unclear = sum(source.licence.commercial != "yes" for source in layout.sources)
    barred = [f"{len(layout.barred)} sources are left out by the licence policy."] if layout.barred else []
    return " ".join(
        [
            f"{sum(row.trained for row in funnel):,} tuples of a query, a positive and hard negatives, from "
            f"{sum(row.trained > 0 for row in funnel)} sources, and nothing else; "
            f"{sum(row.tuples for row in funnel):,} were mined.",
            f"{unclear} of {len(layout.sources)} sources do not clearly allow commercial use.",
            *barred,
            _contamination(layout, manifests, curate=curate),
        ]
    )


def _contamination(layout: Layout, manifests: Sequence[Mapping[str, Any]], *, curate: Curate) -> str:
    """Which evaluation texts were found in the sources, dropped and left, in words."""
    policy = curate.decontaminate.policy
    if policy == "off":
        return "Evaluation texts were not looked for among the sources' texts (policy of decontamination: off)."
    tasks = read_contamination(layout, manifests)
    dropped = [task.dropped for task in tasks if task.dropped]
    reported = [kept for task in tasks if (kept := task.reported + task.corpus)]
    return (
        f"Policy of decontamination: {policy}. Rows with texts of {len(dropped)} evaluation tasks were found and "
        f"dropped ({sum(dropped):,} findings); rows with texts of {len(reported)} tasks were found and reported, not "
        f"dropped ({sum(reported):,} findings, {sum(task.corpus for task in tasks):,} of them equal to a passage "
        "that a task searches)."
    )
