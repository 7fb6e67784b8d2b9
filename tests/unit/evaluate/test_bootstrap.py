import numpy as np
import pytest

from f2llm.evaluate.bootstrap import ItemScores, paired_bootstrap
from f2llm.evaluate.compare import format_comparison, read_comparison
from f2llm.evaluate.items import ITEMS, Item
from f2llm.records.errors import InputError
from f2llm.records.files import write_json
from f2llm.records.tables import write_rows


def scored(values, gold=None):
    keys = [("test", "default", f"{row:04}") for row in range(len(values))]
    return ItemScores(dict(zip(keys, values, strict=True)), dict(zip(keys, gold or [None] * len(values), strict=True)))


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
    assert lines[-1].endswith("different rows: C (another revision of the data)")


@pytest.fixture
def stored(tmp_path):
    def write(model, task, *subsets, **more):
        cells = {"test": [{"hf_subset": name, "main_score": 0.5} for name in subsets]}
        write_json(tmp_path / "scores" / model / f"{task}.json", {"scores": cells, "dataset_revision": "r"} | more)

    write("one", "A", "default")
    write("two", "A", "default")
    return tmp_path, write


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        ((["en"], {}), (["en", "de"], {}), "other splits or subsets"),
        ((["en"], {"data_sha256": "x"}), (["en"], {"data_sha256": "y"}), "other data"),
        ((["en"], {"data_sha256": "x"}), (["en"], {}), None),
        ((["en", "de"], {}), (["de", "en"], {}), None),
    ],
)
def test_compare_leaves_out_a_task_of_other_rows_and_says_why(stored, one, two, why):
    folder, write = stored
    write("one", "B", *one[0], **one[1])
    write("two", "B", *two[0], **two[1])
    found = read_comparison(["one", "two"], results=folder)
    assert found.left_out == ({"B": why} if why else {})
    assert {row.task for row in found.rows} == ({"A"} if why else {"A", "B"})


def test_compare_of_nothing_but_other_rows_says_what_differs(stored):
    folder, write = stored
    write("two", "A", "en")
    with pytest.raises(InputError, match=r"A \(other splits or subsets\); run them on one benchmark"):
        read_comparison(["one", "two"], results=folder)


def test_compare_names_all_files_that_are_no_results(stored):
    folder, write = stored
    (folder / "scores/one/A.json").write_text('{"scores": {')
    write("two", "A", "default", dataset_revision=None)
    with pytest.raises(InputError) as caught:
        read_comparison(["one", "two"], results=folder)
    torn, dateless = caught.value.faults
    assert "one/A.json: is no result of mteb's (Expecting" in torn
    assert dateless.endswith("(`dataset_revision`); delete it and run its evaluation again")


def test_compare_names_what_is_not_there(results):
    folder, write = results
    write("one", "A", 0.5, [0.5] * 20)
    with pytest.raises(InputError, match="three: has no scores"):
        read_comparison(["one", "three"], results=folder)
    with pytest.raises(InputError, match="at least two"):
        read_comparison(["one", "one"], results=folder)
