"""A task's score in the words of the hub's metadata."""

import pytest

from f2llm.config.benchmarks import MtebData, Task
from f2llm.config.stanzas import filled
from f2llm.publish.scores import hub_result

DATA = MtebData(
    repository="mteb/sts", revision="f" * 40, splits=("test",), subsets=("default",), type="STS", main_score="cosine_spearman", texts=2
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "named"), [("pairs", "PairClassification"), ("summarisation", "Summarization"), ("retrieval", "Retrieval")]
)
def test_a_task_of_ones_own_has_mtebs_name_of_its_type_and_no_commit(kind, named):
    found = hub_result(filled(Task, name="own", type=kind, data="data/own"), metric="main_score", points=12.34567)
    assert (found.task_type, found.dataset_type, found.dataset_name) == (named, "own", "own")
    assert (found.metric_value, found.dataset_revision) == (12.346, None)


def test_a_task_of_mteb_has_its_repository_at_the_commit():
    found = hub_result(filled(Task, name="Small", type="sts", mteb=DATA), metric="cosine_spearman", points=50.0)
    assert (found.task_type, found.dataset_type, found.dataset_name) == ("STS", "mteb/sts", "MTEB Small")
    assert (found.dataset_revision, found.dataset_split, found.dataset_config) == ("f" * 40, "test", "default")
