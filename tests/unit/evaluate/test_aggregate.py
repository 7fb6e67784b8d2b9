import json

import pytest

from f2llm.config.benchmarks import MtebData, Task
from f2llm.errors import InputError
from f2llm.evaluate.aggregate import borda, means, task_score, whole_scores
from f2llm.evaluate.published import published_models, published_scores


def mteb_task(name, subsets=("default",), kind="STS", part_of=""):
    data = MtebData(
        repository="mteb/x",
        revision="0" * 40,
        splits=("test",),
        subsets=subsets,
        type=kind,
        main_score="m",
        texts=1,
        part_of=part_of,
    )
    return Task(name=name, type="sts", mteb=data, batch="")


def result(*cells, version="2.0.0"):
    rows = [{"hf_subset": subset, "main_score": score} for subset, score in cells]
    return {"mteb_version": version, "scores": {"test": rows}}


def test_a_task_is_the_mean_of_its_subsets_and_null_without_one():
    found = result(("en", 0.2), ("de", 0.6), ("fr", 0.9))
    assert task_score(found, splits=["test"], subsets=["en", "de"]) == pytest.approx(0.4)
    assert task_score(found, splits=["test"], subsets=["en", "es"]) is None
    assert task_score(found, splits=["test", "dev"], subsets=["en"]) is None
    assert task_score({"scores": {}}, splits=["test"], subsets=["en"]) is None


def test_parts_of_one_task_count_as_one_with_their_mean():
    parts = [mteb_task(name, part_of="Whole") for name in ("P", "Q")]
    tasks = [mteb_task("A"), *parts]
    assert whole_scores({"A": 0.9, "P": 0.2, "Q": 0.4}, tasks) == {"A": 0.9, "Whole": pytest.approx(0.3)}
    assert whole_scores({"A": 0.9, "P": 0.2}, tasks) == {"A": 0.9, "Whole": None}


def test_nulls_reach_the_means_that_they_belong_to_and_no_other():
    types = {"A": "STS", "B": "STS", "C": "Retrieval"}
    assert means({"A": 0.2, "B": 0.4, "C": 0.9}, types) == (
        pytest.approx(0.5), pytest.approx(0.6), {"Retrieval": 0.9, "STS": pytest.approx(0.3)},
    )  # fmt: skip
    found = means({"A": 0.2, "C": 0.9}, types)
    assert found == (None, None, {"Retrieval": 0.9, "STS": None})


def test_borda_gives_points_by_average_rank_and_leaves_out_who_lacks_a_score():
    scores = {"x": {"A": 0.9, "B": 0.1}, "y": {"A": 0.5, "B": 0.1}, "z": {"A": 0.1, "B": 0.5}, "w": {"A": 1.0}}
    # Task A: ranks 1, 2, 3. Task B: z first, x and y share ranks 2 and 3.
    assert borda(scores, ["A", "B"]) == {"x": (1, 2.5), "y": (3, 1.5), "z": (2, 2.0)}


def write(folder, revision, task, content):
    path = folder / "org__model" / revision / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_results_in_two_revision_folders_are_joined_and_a_real_revision_comes_first(tmp_path):
    write(tmp_path, "a" * 40, "A", result(("default", 0.1)))
    write(tmp_path, "external", "A", result(("default", 0.9), version=None))
    write(tmp_path, "external", "B", result(("default", 0.5), version=None))
    write(tmp_path, "a" * 40, "model_meta", {"name": "org/model"})
    (model,) = published_models(tmp_path).values()
    tasks = [mteb_task("A"), mteb_task("B"), mteb_task("C")]
    assert published_scores(model, tasks) == {"A": 0.1, "B": 0.5, "C": None}


def test_of_two_revisions_that_of_most_results_stands_then_the_newest_version(tmp_path):
    for task, score in (("A", 0.1), ("B", 0.2)):
        write(tmp_path, "a" * 40, task, result(("default", score), version="1.9.0"))
    write(tmp_path, "b" * 40, "A", result(("default", 0.9), version="1.10.0"))
    (model,) = published_models(tmp_path).values()
    assert published_scores(model, [mteb_task("A"), mteb_task("B")]) == {"A": 0.1, "B": 0.2}
    write(tmp_path, "external", "C", result(("default", 0.3), version="1.9.0"))
    write(tmp_path, "no_revision_available", "C", result(("default", 0.4), version="1.10.0"))
    assert published_scores(model, [mteb_task("C")]) == {"C": 0.4}


def test_a_file_that_is_no_result_is_named(tmp_path):
    write(tmp_path, "a" * 40, "A", {"no": "scores"})
    with pytest.raises(InputError, match=r"A\.json: is no result"):
        published_scores(tmp_path / "org__model", [mteb_task("A")])


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no model"):
        published_models(tmp_path)
