import pyarrow as pa
import pytest

from f2llm.evaluate.ablation import ABLATIONS, MEAN, ablation_effects, effect_lines, write_effects
from f2llm.evaluate.items import ITEMS
from f2llm.records.files import write_json
from f2llm.records.tables import read_table, write_table


@pytest.fixture
def results(tmp_path):
    tasks = [{"task": "A", "source": "a"}, {"task": "B", "source": "b"}]
    write_json(tmp_path / "scores/scoreboard.json", {"tasks": tasks})
    scores = {"toy": (0.5, 0.5), "toy-without-a": (0.2, 0.5), "toy-without-b": (0.5, None)}
    for run, pair in scores.items():
        for task, score in zip("AB", pair, strict=True):
            if score is None:
                continue
            write_json(tmp_path / f"scores/{run}/{task}.json", {"scores": {"test": [{"main_score": score}]}})
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
                tmp_path / f"scores/{run}/items/{task}.parquet",
                schema=ITEMS,
                rows=[pa.Table.from_pylist(rows, schema=ITEMS)],
            )
    return tmp_path


def test_differences_come_with_intervals_and_the_mean_with_its_own(results):
    effects = ablation_effects(results, "toy", ["toy-without-a"])
    by_task = {one.task: one for one in effects}
    assert by_task["A"].points == pytest.approx(-30)
    assert by_task["A"].real and by_task["A"].high < 0
    assert (by_task["B"].points, by_task["B"].real) == (0, False)
    assert by_task[MEAN].points == pytest.approx(-15)
    assert by_task[MEAN].low <= -15 <= by_task[MEAN].high


def test_a_task_that_one_run_lacks_has_no_difference(results):
    effects = ablation_effects(results, "toy", ["toy-without-b"])
    assert [(one.task, one.points) for one in effects] == [("A", 0), ("B", None), (MEAN, 0)]


def test_changes_stand_beside_each_other_and_the_table_is_written(results, tmp_path):
    effects = ablation_effects(results, "toy", ["toy-without-a", "toy-without-b"])
    lines = effect_lines(effects, run="toy").splitlines()
    assert lines[0].split() == ["less", "toy", "without-a", "without-b"]
    assert lines[1].split() == ["A", "-30.00*", "+0.00"]
    assert lines[2].split() == ["B", "+0.00", "-"]
    assert write_effects(tmp_path / "e.parquet", effects) == 6
    assert read_table(tmp_path / "e.parquet").schema.names == ABLATIONS.names
