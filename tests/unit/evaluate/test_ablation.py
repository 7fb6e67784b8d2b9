import pyarrow as pa
import pytest

from f2llm.evaluate.ablation import BOUNDED, MEAN, ablation_effects, effect_lines, read_effects, write_effects
from f2llm.evaluate.items import ITEMS
from f2llm.records.files import write_json
from f2llm.records.tables import write_table

TASKS = {"A": "a", "B": "b"}


@pytest.fixture
def scores(tmp_path):
    points = {"toy": (0.5, 0.5), "toy-without-a": (0.2, 0.5), "toy-without-b": (0.5, None)}
    for run, pair in points.items():
        for task, score in zip("AB", pair, strict=True):
            if score is None:
                continue
            write_json(tmp_path / f"{run}/{task}.json", {"scores": {"test": [{"main_score": score}]}})
            rows = [
                {
                    "split": "test",
                    "subset": "default",
                    "item": str(item),
                    "score": score + (item % 2) / 10,
                    "gold": None,
                }
                for item in range(40)
            ]
            write_table(
                tmp_path / f"{run}/items/{task}.parquet",
                schema=ITEMS,
                rows=[pa.Table.from_pylist(rows, schema=ITEMS)],
            )
    return tmp_path


def test_differences_come_with_intervals_and_the_mean_with_its_own(scores):
    effects = ablation_effects(scores, run="toy", changed=["toy-without-a"], tasks=TASKS)
    by_task = {one.task: one for one in effects}
    assert by_task["A"].points == pytest.approx(-30)
    assert by_task["A"].real and by_task["A"].high < 0
    assert (by_task["B"].points, by_task["B"].real) == (0, False)
    assert by_task[MEAN].points == pytest.approx(-15)
    assert by_task[MEAN].low <= -15 <= by_task[MEAN].high


def test_a_task_that_one_run_lacks_has_no_difference(scores):
    effects = ablation_effects(scores, run="toy", changed=["toy-without-b"], tasks=TASKS)
    assert [(one.task, one.points) for one in effects] == [("A", 0), ("B", None), (MEAN, 0), (BOUNDED, 0)]


def test_tasks_without_intervals_leave_a_mean_of_those_that_have_one(scores):
    (scores / "toy/items/B.parquet").unlink()
    effects = ablation_effects(scores, run="toy", changed=["toy-without-a"], tasks=TASKS)
    by_task = {one.task: one for one in effects}
    assert (by_task[MEAN].points, by_task[MEAN].low, by_task[MEAN].real) == (pytest.approx(-15), None, None)
    assert by_task[BOUNDED].points == pytest.approx(-30)
    assert by_task[BOUNDED].low == pytest.approx(by_task["A"].low, abs=1) and by_task[BOUNDED].real


def test_changes_stand_beside_each_other_and_the_table_is_written(scores, tmp_path):
    effects = ablation_effects(scores, run="toy", changed=["toy-without-a", "toy-without-b"], tasks=TASKS)
    lines = effect_lines(effects, run="toy").splitlines()
    assert lines[0].split() == ["less", "toy", "without-a", "without-b"]
    assert lines[1].split() == ["A", "-30.00*", "+0.00"]
    assert lines[2].split() == ["B", "+0.00", "-"]


def test_the_table_holds_all_effects(scores, tmp_path):
    changed, table = ["toy-without-a", "toy-without-b"], tmp_path / "effects.parquet"
    assert write_effects(scores, run="toy", changed=changed, tasks=TASKS, table=table) == 8
    assert read_effects(table) == ablation_effects(scores, run="toy", changed=changed, tasks=TASKS)
