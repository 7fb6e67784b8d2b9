import numpy as np
import pytest

from f2llm.errors import InputError
from f2llm.evaluate.bootstrap import Scored, paired_bootstrap
from f2llm.evaluate.compare import format_comparison, read_comparison
from f2llm.evaluate.items import ITEMS, Item
from f2llm.records.files import write_json
from f2llm.records.tables import write_rows


def scored(values, gold=None):
    keys = [("test", "default", f"{row:04}") for row in range(len(values))]
    return Scored(dict(zip(keys, values, strict=True)), dict(zip(keys, gold or [None] * len(values), strict=True)))


def test_a_shift_of_every_item_is_a_difference_and_noise_is_none():
    dice = np.random.RandomState(0)
    noise = dice.uniform(size=200)
    found = paired_bootstrap("T", scored(list(noise + 0.1)), scored(list(noise)))
    assert (found.points, found.low, found.high, found.real) == pytest.approx((10, 10, 10, True))
    assert not paired_bootstrap("T", scored(list(noise)), scored(list(dice.permutation(noise)))).real


def test_the_interval_is_that_of_the_normal_approximation():
    differences = np.random.RandomState(1).normal(0.02, 0.2, 400)
    found = paired_bootstrap("T", scored(list(differences)), scored([0.0] * 400))
    error = 100 * differences.std() / 20
    assert found.points == pytest.approx(100 * differences.mean(), abs=1e-3)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.08)


def test_cosines_are_compared_by_their_correlation_with_the_gold_scores():
    gold = [float(row) for row in range(50)]
    found = paired_bootstrap("T", scored(gold, gold), scored(gold[::-1], gold))
    assert found.points == pytest.approx(200)
    assert found.real


def test_too_few_items_or_other_items_say_nothing():
    assert paired_bootstrap("T", scored([0.1] * 9), scored([0.2] * 9)) is None
    assert paired_bootstrap("T", scored([0.1] * 20), scored([0.2] * 21)) is None


@pytest.fixture
def results(tmp_path):
    def write(model, task, score, items, revision="r"):
        cells = {"test": [{"hf_subset": "default", "main_score": score}]}
        write_json(tmp_path / "scores" / model / f"{task}.json", {"scores": cells, "dataset_revision": revision})
        rows = [Item("test", "default", f"{row:04}", float(value)) for row, value in enumerate(items)]
        write_rows(tmp_path / "scores" / model / "items" / f"{task}.parquet", schema=ITEMS, rows=rows)

    return tmp_path, write


def test_compare_shows_scores_differences_and_what_may_be_chance(results):
    folder, write = results
    write("one", "A", 0.5, [0.5] * 20)
    write("two", "A", 0.6, [0.6] * 20)
    write("one", "B", 0.5, [0, 1] * 10)
    write("two", "B", 0.55, [1, 0] * 9 + [1, 1])
    write("one", "C", 0.5, [0.5] * 20)
    write("two", "C", 0.5, [0.5] * 20, revision="other rows")
    lines = format_comparison(read_comparison(["one", "two"], results=folder)).splitlines()
    assert lines[1].split() == ["A", "50.00", "60.00", "+10.00*"]
    assert lines[2].split() == ["B", "50.00", "55.00", "+5.00~"]
    assert lines[3].split() == ["mean", "of", "2", "50.00", "57.50", "+7.50"]
    assert lines[-1].endswith("different rows: C")


def test_compare_names_what_is_not_there(results):
    folder, write = results
    write("one", "A", 0.5, [0.5] * 20)
    with pytest.raises(InputError, match="three: has no scores"):
        read_comparison(["one", "three"], results=folder)
    with pytest.raises(InputError, match="at least two"):
        read_comparison(["one", "one"], results=folder)
